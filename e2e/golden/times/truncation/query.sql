INSERT INTO truncation_rows
SELECT
  id,
  date_trunc('year', at) AS year,
  date_trunc('quarter', at) AS quarter,
  date_trunc('month', at) AS month,
  date_trunc('week', at) AS week,
  date_trunc('day', at) AS day,
  date_trunc('hour', at) AS hour,
  date_trunc('minute', at) AS minute,
  date_trunc('second', at) AS second,
  datetrunc('hour', us) AS micro_hour,
  date_bin(INTERVAL '15 minutes', at) AS bin_15_minutes,
  date_bin(INTERVAL '1 day', at, TIMESTAMP '2020-01-01T06:00:00')::TIMESTAMP(3) AS bin_origin,
  date_bin(INTERVAL '1 week', at) AS bin_week,
  date_bin(INTERVAL '250 milliseconds', at) AS bin_milliseconds,
  date_bin(INTERVAL '10 microseconds', us) AS bin_microseconds
FROM times
