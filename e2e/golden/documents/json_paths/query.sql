INSERT INTO json_paths_rows
SELECT
  json_get_int(value, 'id') AS id,
  extract_json(value, '$.a.b[*]') AS bs,
  extract_json(value, '$.l[*].k') AS ks,
  extract_json(value, '$.n') AS all_n,
  extract_json_string(value, '$.s') AS s,
  extract_json_string(value, '$.a.b[1].c') AS c,
  extract_json_string(value, '$.l[?@.q > 1].k') AS filtered
FROM documents
