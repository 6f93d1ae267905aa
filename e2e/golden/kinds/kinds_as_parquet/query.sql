INSERT INTO kinds_as_parquet_rows SELECT * FROM kinds
