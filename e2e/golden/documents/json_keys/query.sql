INSERT INTO json_keys_rows
SELECT json_get_int(value, 'id') AS id, value ? 's' AS has_s, value -> 'o' ? 'p' AS has_o_p, NOT value ? 'a' AS has_no_a
FROM documents WHERE value ? 'a' OR value ? 'l'
