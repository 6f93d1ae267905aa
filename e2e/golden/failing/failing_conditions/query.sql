-- The condition itself fails for a row.
INSERT INTO failing_conditions_rows SELECT id FROM failing WHERE a / b > 3
