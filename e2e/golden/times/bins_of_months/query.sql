-- Before 1970 too.
INSERT INTO bins_of_months_rows
SELECT
  id,
  date_bin(INTERVAL '1 month', at) AS bin_month,
  date_bin(INTERVAL '2 years', at) AS bin_2_years,
  date_bin(INTERVAL '1 century', at, TIMESTAMP '1900-01-01')::TIMESTAMP(3) AS bin_century
FROM times
