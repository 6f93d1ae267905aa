-- CASE and coalesce look at no more than they need.
INSERT INTO guarded_rows SELECT id, CASE WHEN b = 0 OR b < 0 THEN NULL ELSE a / b END AS quotient, CASE WHEN regexp_like(s, '^-?[0-9]{1,18}$') THEN CAST(s AS BIGINT) ELSE -1 END AS number FROM failing
