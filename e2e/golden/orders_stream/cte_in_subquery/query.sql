INSERT INTO cte_in_subquery_rows
SELECT a.order_id, a.status FROM (WITH x AS (SELECT * FROM orders_stream WHERE status LIKE '%n%') SELECT order_id, status FROM x) a
