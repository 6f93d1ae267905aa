INSERT INTO names_of_types_rows
SELECT
  id,
  arrow_typeof(flag) AS of_flag,
  arrow_typeof(small) AS of_small,
  arrow_typeof(big) AS of_big,
  arrow_typeof(usmall) AS of_usmall,
  arrow_typeof(ubig) AS of_ubig,
  arrow_typeof(single) AS of_single,
  arrow_typeof(double) AS of_double,
  arrow_typeof(name) AS of_name,
  arrow_typeof(raw) AS of_raw,
  arrow_typeof(price) AS of_price,
  arrow_typeof(s) LIKE 'Timestamp(%' AS of_s,
  arrow_typeof(ms) LIKE 'Timestamp(%' AS of_ms,
  arrow_typeof(us) LIKE 'Timestamp(%' AS of_us,
  arrow_typeof(ns) LIKE 'Timestamp(%' AS of_ns,
  arrow_typeof(list) LIKE 'List(%' AS of_list,
  arrow_typeof(part) LIKE 'Struct(%' AS of_part,
  arrow_typeof(arrow_cast(5, 'Int8')) AS of_cast,
  CASE WHEN small = 42 THEN arrow_cast(small, 'Int8') END AS tiny
FROM kinds
