-- What happened to one object?
-- :bucket string  its bucket
-- :key string  its key, decoded
-- :since date = -365d  first day, inclusive
-- :until date = today  last day, inclusive
-- A key that cannot be decoded stands as it was logged.
SELECT
  request_time,
  operation,
  requester,
  remote_ip,
  http_status,
  error_code,
  version_id,
  bytes_sent_size,
  object_size,
  user_agent,
  request_id,
  parse_status,
  source_key,
  line_no
FROM access_logs
WHERE event_date >= :since AND event_date <= :until
  AND bucket_name = :bucket
  AND coalesce(object_key, key_name) = :key
ORDER BY request_time, source_key, line_no
