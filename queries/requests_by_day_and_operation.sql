-- How many requests came each day, by operation?
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
SELECT
  event_date,
  operation,
  count(*) AS requests,
  count(*) FILTER (WHERE http_status >= 400) AS failed,
  coalesce(sum(bytes_sent_size), 0) AS bytes_sent
FROM access_logs
WHERE event_date >= :since AND event_date <= :until
GROUP BY event_date, operation
ORDER BY event_date, requests DESC, operation
