-- Statements may share a sink if their columns are the same.
INSERT INTO one_sink_twice_rows SELECT id, 'error' AS kind FROM logs WHERE level = 'error';
INSERT INTO one_sink_twice_rows SELECT id, level AS kind FROM logs WHERE level <> 'info'
