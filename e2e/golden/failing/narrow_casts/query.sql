-- Numbers too large for the type they are cast to.
INSERT INTO narrow_casts_rows SELECT id, CAST(a AS INT) AS narrow FROM failing
