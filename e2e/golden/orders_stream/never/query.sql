INSERT INTO never_rows SELECT order_id FROM orders_stream WHERE 1 = 2
