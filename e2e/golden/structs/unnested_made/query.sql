-- A list that the query makes itself; a record whose list cannot be made is a dead letter, the others are delivered.
INSERT INTO unnested_made_rows
SELECT id, UNNEST([n, n + 1]) AS n FROM structs
