INSERT INTO star_and_more_rows SELECT *, n * 2 AS twice, l.level || '!' loud FROM logs l
