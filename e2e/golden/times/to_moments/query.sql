-- from_unixtime takes nanoseconds, as documented.
INSERT INTO to_moments_rows
SELECT
  id,
  to_timestamp(text) AS of_text,
  to_timestamp(secs) AS of_number,
  to_timestamp(secs + 0.5) AS of_fraction,
  to_timestamp(y::TEXT || '/' || m::TEXT || '/' || d::TEXT || ' 10-20-30', '%Y/%m/%d %H-%M-%S') AS of_format,
  to_timestamp('03:59:00.123456789 05-17-2023', '%c', '%+', '%H:%M:%S%.f %m-%d-%Y') AS of_formats,
  to_timestamp_seconds(secs) AS seconds,
  to_timestamp_seconds('2023-05-17T22:16:00') AS seconds_text,
  to_timestamp_millis(secs * 1000 + 7) AS millis,
  to_timestamp_millis('17.05.2023 22:16:00.648', '%d.%m.%Y %H:%M:%S%.f') AS millis_format,
  to_timestamp_micros(secs * 1000000 + 7) AS micros,
  to_timestamp_micros('2023-05-17T22:16:00.648662Z') AS micros_text,
  to_timestamp_nanos(secs * 1000000000 + 7) AS nanos,
  to_timestamp_nanos('2023-05-17T22:16:00.000000001Z') AS nanos_text,
  to_char(from_unixtime(secs * 1000000000), '%Y-%m-%d %H:%M:%S') AS unix_nanos,
  extract(microsecond FROM from_unixtime(secs * 1000000000 + 500000000)) % 1000000 AS unix_fraction,
  CAST(text AS TIMESTAMP) AS of_cast,
  CAST(text AS TIMESTAMP(9)) AS of_cast_9
FROM times
WHERE id > 0
