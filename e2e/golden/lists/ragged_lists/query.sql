-- All the elements, also where the inner lists have different lengths.
INSERT INTO ragged_lists_rows
SELECT
  id,
  cardinality(nested) AS elements
FROM lists
