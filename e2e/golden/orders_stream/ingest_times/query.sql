-- When the record was received. It is in no `*`.
INSERT INTO ingest_times_rows
SELECT order_id, __ingest_ts > TIMESTAMP '2026-01-01' AS is_recent, __ingest_ts <= now() AS is_past, __ingest_ts IS NULL AS is_null,
  __ingest_ts > '2026-01-01' AS is_recent_as_text, arrow_typeof(__ingest_ts) LIKE 'Timestamp%' AS is_timestamp,
  date_part('year', __ingest_ts) >= 2026 AS has_year
FROM orders_stream WHERE __ingest_ts > now() - INTERVAL '1 day' AND amount > 50
