-- What would take more memory than a batch may is kept apart too.
INSERT INTO too_much_rows SELECT id, length(repeat('ab', a)) AS characters FROM failing
