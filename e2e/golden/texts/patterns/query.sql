INSERT INTO patterns_rows
SELECT
  id,
  s LIKE '%com' AS like_end,
  s LIKE 'a_b%' AS like_one,
  s LIKE '%' AS like_all,
  s NOT LIKE '%o%' AS like_not,
  s ILIKE 'hello%' AS ilike_,
  s NOT ILIKE '%WORLD' AS ilike_not,
  s SIMILAR TO '(Hello|Goodbye) World' AS similar,
  s LIKE 'Ž_u%' AS like_unicode,
  s LIKE '%\\%' AS like_escaped,
  s < 'b' AS text_less,
  s BETWEEN 'H' AND 'Z' AS text_between,
  t IN ('World', ',', '') AS text_in,
  'it''s' AS quote,
  E'a\tb' AS escaped
FROM texts
