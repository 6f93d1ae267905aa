-- Missing in a document is the zero value; without a document there is NULL.
INSERT INTO json_columns_rows
SELECT
  id,
  j AS j,
  json_get_str(j, 'k') AS k,
  json_get_int(j, 'n') AS n,
  json_get_str(t, 'k') AS tk,
  json_get_float(t, 'n') AS tn,
  json_get_bool(t, 0) AS tb,
  json_length(j) AS length_j,
  json_length(t) AS length_t,
  j -> 2 ->> 'k' AS deep,
  j ->> 0 AS item,
  json_contains(j, 'k') AS has_k,
  extract_json(j, '$.list[*]') AS ks,
  extract_json_string(t, '$.k') AS tks,
  CAST(t AS JSON) ->> 'k' AS text_as_json,
  '{"k": [1, 2]}'::JSON -> 'k' ->> 1 AS literal_json,
  json_get_str(j, 'k') IS NULL AND json_get_int(j, 'n') IS NULL AND json_get_bool(j, 'b') IS NULL AND json_get_float(j, 'f') IS NULL AS all_null
FROM payloads
