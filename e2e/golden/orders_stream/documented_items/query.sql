INSERT INTO items_sink
WITH x AS (SELECT order_id, UNNEST(items) AS item FROM orders_stream)
SELECT order_id, item.sku AS sku, item.qty AS qty FROM x WHERE item.qty > 0;
