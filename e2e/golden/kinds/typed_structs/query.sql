INSERT INTO typed_structs_rows SELECT id, CAST(struct(small, name) AS STRUCT<a BIGINT, b TEXT>) AS pair FROM kinds
