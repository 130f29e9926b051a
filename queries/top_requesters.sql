-- Which requesters send the most requests?
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- :rows integer = 20  how many requesters
-- No requester (null) is everyone who did not authenticate. A dash in the log's bytes sent means zero.
SELECT
  requester,
  count(*) AS requests,
  count(*) FILTER (WHERE http_status >= 400) AS failed,
  coalesce(sum(bytes_sent_size), 0) AS bytes_sent,
  count(DISTINCT bucket_name) AS buckets,
  min(request_time) AS first_request,
  max(request_time) AS last_request
FROM access_logs
WHERE event_date >= :since AND event_date <= :until
GROUP BY requester
ORDER BY requests DESC, requester
LIMIT :rows
