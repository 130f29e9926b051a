-- Which errors does S3 answer with, and how often?
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
SELECT
  error_code,
  http_status,
  count(*) AS requests,
  count(DISTINCT requester) AS requesters,
  count(DISTINCT remote_ip) AS addresses,
  min(request_time) AS first_request,
  max(request_time) AS last_request
FROM access_logs
WHERE event_date >= :since AND event_date <= :until
  AND (error_code IS NOT NULL OR http_status >= 400)
GROUP BY error_code, http_status
ORDER BY requests DESC, error_code, http_status
