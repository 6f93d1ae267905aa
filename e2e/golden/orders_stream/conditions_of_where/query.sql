-- A row stays if the condition is true: neither false nor NULL.
INSERT INTO conditions_of_where_rows
SELECT order_id FROM orders_stream
WHERE (amount BETWEEN 1 AND 500 OR status IS NULL) AND NOT (email IS NULL) AND coalesce(status, '') NOT IN ('open', 'lost')
  AND CASE WHEN ts_ms > 0 THEN TRUE ELSE amount > 1 END
