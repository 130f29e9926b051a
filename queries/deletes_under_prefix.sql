-- Who deleted objects under a prefix?
-- :prefix string = ''  what the decoded keys start with; empty for all
-- :bucket string = ''  bucket; empty for all
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- Deletes that S3 accepted: single, by batch, and by lifecycle rules (requester AmazonS3). One of an object that was not
-- there is accepted too. A key that cannot be decoded stands as it was logged.
SELECT
  requester,
  remote_ip,
  user_agent,
  bucket_name,
  operation,
  count(*) AS deletes,
  min(coalesce(object_key, key_name)) AS first_key,
  max(coalesce(object_key, key_name)) AS last_key,
  min(request_time) AS first_request,
  max(request_time) AS last_request
FROM access_logs
WHERE event_date >= :since AND event_date <= :until
  AND operation IN ('REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT', 'S3.EXPIRE.OBJECT', 'S3.CREATE.DELETEMARKER')
  AND (http_status IS NULL OR http_status < 300)
  AND (:bucket = '' OR bucket_name = :bucket)
  AND starts_with(coalesce(object_key, key_name), :prefix)
GROUP BY requester, remote_ip, user_agent, bucket_name, operation
ORDER BY deletes DESC, requester, remote_ip, user_agent, bucket_name, operation
