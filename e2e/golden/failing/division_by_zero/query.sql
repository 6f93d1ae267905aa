-- A row that cannot be computed is a dead letter; the rows beside it are delivered.
INSERT INTO division_by_zero_rows SELECT id, a / b AS quotient FROM failing
