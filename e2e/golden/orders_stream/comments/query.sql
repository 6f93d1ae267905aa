-- A comment; with a semicolon, and an ' apostrophe.
/* One of
   several lines; /* and one inside */ */
INSERT INTO comments_rows -- behind
SELECT order_id, /* between */ '-- no comment' AS text, 5 --1
  AS five, 6 /* ; */ AS six FROM orders_stream -- the end
