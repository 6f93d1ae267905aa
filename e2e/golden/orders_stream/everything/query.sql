INSERT INTO everything_rows SELECT * FROM orders_stream
