-- What fails in one statement does not touch the others.
INSERT INTO several_quotients SELECT id, 100 / n AS quotient FROM logs WHERE level IS NOT NULL;
INSERT INTO several_levels SELECT id, coalesce(level, 'none') AS level FROM logs WHERE n >= 0;
INSERT INTO several_pairs WITH x AS (SELECT id, UNNEST([n, -n]) AS n FROM logs) SELECT id, n FROM x WHERE n > 0
