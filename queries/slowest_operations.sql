-- Which operations take the longest?
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- :rows integer = 20  how many operations
-- Milliseconds from receiving the request to the last byte sent, so the client's own speed counts. Percentiles are exact:
-- the smallest duration that so many percent of the requests did not exceed.
WITH durations AS (
  SELECT operation, total_duration, count(*) AS requests
  FROM access_logs
  WHERE event_date >= :since AND event_date <= :until
    AND total_duration IS NOT NULL
  GROUP BY operation, total_duration
),
ranked AS (
  SELECT
    operation,
    total_duration,
    sum(requests) OVER (PARTITION BY operation) AS requests,
    sum(requests) OVER (PARTITION BY operation ORDER BY total_duration) AS not_slower
  FROM durations
)
SELECT
  operation,
  max(requests) AS requests,
  min(total_duration) FILTER (WHERE not_slower * 100 >= requests * 50) AS median_ms,
  min(total_duration) FILTER (WHERE not_slower * 100 >= requests * 95) AS p95_ms,
  min(total_duration) FILTER (WHERE not_slower * 100 >= requests * 99) AS p99_ms,
  max(total_duration) AS max_ms
FROM ranked
GROUP BY operation
ORDER BY p99_ms DESC, max_ms DESC, operation
LIMIT :rows
