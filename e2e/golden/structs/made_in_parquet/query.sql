INSERT INTO made_in_parquet_rows
SELECT id, tags[1] AS tag, struct(id, p.b) AS pair, [p.a, n] AS numbers, [struct(n)] AS listed, array_append(tags, 'end') AS tags,
  regexp_match(p.b, '.') AS letters, string_to_array('a,b', ',') AS parts
FROM structs
