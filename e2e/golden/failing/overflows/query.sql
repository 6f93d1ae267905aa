-- Results that their type cannot hold.
INSERT INTO overflows_rows SELECT id, a + b AS total, a - b AS less, a * b AS product FROM failing
