INSERT INTO integers_rows
SELECT
  id,
  factorial(i) AS factorial_i,
  factorial(n) AS factorial_n,
  gcd(i, j) AS gcd_ij,
  lcm(i, j) AS lcm_ij,
  gcd(i, 0) AS gcd_zero,
  lcm(i, 0) AS lcm_zero,
  to_hex(abs(i)) AS to_hex_abs,
  to_hex(n) AS to_hex_n
FROM numbers
WHERE n >= 0 OR n IS NULL
