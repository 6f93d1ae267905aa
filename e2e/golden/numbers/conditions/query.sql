-- CASE evaluates a branch only for the rows that take it: j = 0 divides nothing.
INSERT INTO conditions_rows
SELECT
  id,
  coalesce(j, i, -1) AS coalesced,
  coalesce(t, 'none') AS coalesced_text,
  nullif(i, j) AS nullif_ij,
  nullif(i, 0) AS nullif_zero,
  nvl(j, 99) AS nvl_j,
  ifnull(t, 'missing') AS ifnull_t,
  nvl2(j, 'has', 'has not') AS nvl2_j,
  CASE WHEN i < 0 THEN 'negative' WHEN i = 0 THEN 'zero' WHEN i > 0 THEN 'positive' ELSE 'unknown' END AS case_searched,
  CASE n WHEN 2 THEN 'two' WHEN 5 THEN 'five' END AS case_simple,
  CASE WHEN b THEN CASE WHEN x > 0 THEN 1 ELSE 2 END ELSE 3 END AS case_nested,
  CASE WHEN j = 0 OR j IS NULL THEN 0 ELSE i / j END AS case_guards
FROM numbers
