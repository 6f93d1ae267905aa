-- Text that is no number.
INSERT INTO bad_casts_rows SELECT id, CAST(s AS BIGINT) AS number FROM failing
