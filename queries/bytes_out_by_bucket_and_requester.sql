-- Who takes how many bytes out of which bucket?
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- :rows integer = 100  how many pairs of bucket and requester
-- Bytes of responses, without protocol overhead; the log does not say which of them left the Region and cost money.
SELECT
  bucket_name,
  requester,
  count(*) AS requests,
  sum(bytes_sent_size) AS bytes_sent
FROM access_logs
WHERE event_date >= :since AND event_date <= :until
  AND bytes_sent_size > 0
GROUP BY bucket_name, requester
ORDER BY bytes_sent DESC, bucket_name, requester
LIMIT :rows
