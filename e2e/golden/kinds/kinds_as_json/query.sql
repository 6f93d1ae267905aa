INSERT INTO kinds_as_json_rows SELECT * FROM kinds
