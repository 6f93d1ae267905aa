INSERT INTO json_unnested_rows
WITH x AS (SELECT json_get_int(value, 'id') AS id, UNNEST(extract_json(value, '$.l[*]')) AS item FROM documents)
SELECT id, item, json_get_str(item, 'k') AS k, item ->> 'q' AS q FROM x
