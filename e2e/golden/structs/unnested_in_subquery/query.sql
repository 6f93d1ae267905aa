INSERT INTO unnested_in_subquery_rows
SELECT id, t.tag || '!' AS tag, n FROM (SELECT id, n, unnest(tags) AS tag FROM structs WHERE id < 6) AS t WHERE tag IS NOT NULL
