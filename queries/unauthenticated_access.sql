-- What is reached without authentication, and what came back?
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- No requester means that nobody authenticated. A status of 403 is a closed door, 200 an open one. Ambiguous rows count:
-- the requester stands before anything that a client could forge; their number is shown, since their status is a guess.
SELECT
  bucket_name,
  operation,
  http_status,
  count(*) AS requests,
  count(*) FILTER (WHERE parse_status = 'ambiguous') AS ambiguous,
  count(DISTINCT remote_ip) AS addresses,
  coalesce(sum(bytes_sent_size), 0) AS bytes_sent,
  min(request_time) AS first_request,
  max(request_time) AS last_request
FROM access_logs
WHERE event_date >= :since AND event_date <= :until
  AND requester IS NULL
GROUP BY bucket_name, operation, http_status
ORDER BY requests DESC, bucket_name, operation, http_status
