-- to_timestamp takes 1677 to 2262.
INSERT INTO bad_moments_rows SELECT id, to_timestamp(at) IS NOT NULL AS is_moment FROM failing
