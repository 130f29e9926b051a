-- Which lines have several legal readings, because a client sent quotes?
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- :rows integer = 100  how many lines
-- The columns show the best reading. Bucket, time, address, requester, operation and key stand before anything that a client
-- could forge; all after them is a guess, so look at raw_line.
SELECT
  request_time,
  bucket_name,
  remote_ip,
  requester,
  operation,
  key_name,
  http_status,
  signature_version,
  source_key,
  line_no,
  raw_line
FROM access_logs
WHERE event_date >= :since AND event_date <= :until
  AND parse_status = 'ambiguous'
ORDER BY request_time, source_key, line_no
LIMIT :rows
