INSERT INTO documents_as_they_are_rows SELECT * FROM documents WHERE json_get_int(value, 'id') <> 2;
