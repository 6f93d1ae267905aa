INSERT INTO struct_fields_rows
SELECT
  id,
  p.a AS a,
  p['b'] AS b,
  p.inner.c AS c,
  p['inner']['at'] AS at,
  p.inner AS inner_,
  p AS whole,
  structs.p.b AS qualified,
  items[1].sku AS first_sku,
  items[1]['qty'] AS first_qty,
  items AS items,
  struct(1, 'a') AS made,
  struct(id, p.b, n) AS made_of_columns,
  struct(id, 'x')['c1'] AS made_field,
  struct(1, 'x').c1 AS made_field_too,
  struct(id AS a, n AS b) AS made_with_names,
  p.a + 1 AS sum_,
  p.inner IS NULL AS is_null
FROM structs
