INSERT INTO more_types_rows
SELECT
  id,
  CAST(7 AS TINYINT) AS tiny,
  CASE WHEN small = 42 THEN small END::SMALLINT AS small_int,
  CAST(200 AS TINYINT UNSIGNED) AS tiny_unsigned,
  CAST(65535 AS SMALLINT UNSIGNED) AS small_unsigned,
  CAST(usmall AS INTEGER UNSIGNED) AS int_unsigned,
  CAST(ubig AS BIGINT UNSIGNED) AS big_unsigned,
  CAST('12.345' AS NUMERIC(10, 2))::TEXT AS number_,
  CAST(price AS DECIMAL(12, 1))::DOUBLE AS plain_decimal,
  CAST('2024-02-29' AS DATE) AS date_,
  TIME '12:34:56' < TIME '13:00:00' AS time_of_day,
  TIMESTAMP '2024-01-31T00:00:00' + INTERVAL '1 month 1 day' = TIMESTAMP '2024-03-01T00:00:00' AS interval_,
  NULL::VARCHAR AS nothing
FROM kinds
