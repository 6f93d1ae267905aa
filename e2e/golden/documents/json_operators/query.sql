INSERT INTO json_operators_rows
SELECT
  json_get_int(value, 'id') AS id,
  value ->> 's' AS s,
  CAST(value ->> 'n' AS BIGINT) AS n,
  (value -> 'n')::BIGINT AS n_native,
  (value -> 'a')::TEXT AS a,
  value -> 'a' ->> 'b' AS b_as_text,
  value -> 'a' -> 'b' -> 1 ->> 'c' AS c,
  value -> 'l' ->> 1 AS second_of_l,
  value ->> 't' = 'true' AS t,
  value ->> 'z' AS z,
  (value ->> 'f')::DOUBLE + 1 AS sum_
FROM documents
