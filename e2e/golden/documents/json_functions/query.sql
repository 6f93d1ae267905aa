-- What is missing is '', 0, 0.0 or false, as documented.
INSERT INTO json_functions_rows
SELECT
  json_get_int(value, 'id') AS id,
  json_get_str(value, 's') AS s,
  json_get_int(value, 'n') AS n,
  json_get_float(value, 'f') AS f,
  json_get_bool(value, 't') AS t,
  json_get_str(value, 'a', 'b', 1, 'c') AS c,
  json_get_int(value, 'a', 'b', 0) AS first_of_b,
  json_get_json(value, 'a') AS raw_a,
  json_get_json(value, 'a', 'b') AS raw_b,
  CAST(json_get(value, 'n') AS BIGINT) AS native_n,
  json_get(value, 'n')::TEXT AS native_text,
  json_as_text(value, 'n') AS text_n,
  json_as_text(value, 'a') AS text_a,
  json_as_text(value, 'z') AS text_z,
  json_contains(value, 'a') AS has_a,
  json_contains(value, 'a', 'b', 1) AS has_b_1,
  json_contains(value, 'z') AS has_z,
  json_length(value) AS keys,
  json_length(value, 'l') AS length_l,
  json_length(value, 'o', 'q') AS length_o_q,
  json_get_int('{"k": [7, 8]}', 'k', 1) AS of_text
FROM documents
