-- One row for each element; no element, no row; of a NULL list one row with NULL.
INSERT INTO unnested_rows
SELECT id, UNNEST(tags) AS tag, upper(p.b) AS b FROM structs
