INSERT INTO orders_sink
SELECT order_id, lower(email) AS email, amount::DOUBLE AS amount, to_timestamp_millis(ts_ms) AS at
FROM orders_stream WHERE amount > 0 AND status IN ('paid','sent');
