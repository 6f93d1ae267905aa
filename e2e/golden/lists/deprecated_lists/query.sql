-- Documented as deprecated.
INSERT INTO deprecated_lists_rows
SELECT
  id,
  array_fill(7, [3]) AS filled,
  trim_array(xs, 1) AS trimmed
FROM lists
