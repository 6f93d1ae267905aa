INSERT INTO subqueries_rows
SELECT o.id, o.n + 1 AS n
FROM (SELECT id, length(id) AS n, status FROM (SELECT order_id AS id, status FROM orders_stream WHERE amount IS NOT NULL) q WHERE id <> 'o1') AS o
WHERE o.status IS NULL OR NOT o.status = 'open'
