INSERT INTO errors_sink SELECT * FROM logs WHERE level = 'error';
INSERT INTO all_sink    SELECT * FROM logs;
