-- What was written or deleted without authentication?
-- severity: high
-- remedy: Turn on Block Public Access at once, then look for a bucket policy or an ACL that lets everyone write, and at what was written.
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- A row for each day, bucket, operation and address; source_key and line_no name its first request. Only requests that S3 served (a status below
-- 400). Ambiguous rows are left out: their status is a guess.
WITH found AS (
  SELECT DISTINCT
    source_key,
    line_no,
    request_time,
    event_date,
    bucket_name,
    remote_ip,
    operation,
    key_name,
    user_agent
  FROM access_logs
  WHERE event_date >= :since AND event_date <= :until
    AND requester IS NULL
    AND regexp_like(operation, '^(REST|SOAP|BATCH)\.(PUT|POST|DELETE|COPY)')
    AND NOT regexp_like(operation, '_GET$')
    AND http_status < 400
    AND parse_status <> 'ambiguous'
),
placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY event_date, bucket_name, operation, remote_ip ORDER BY request_time, source_key, line_no) AS place,
    count(*) OVER (PARTITION BY event_date, bucket_name, operation, remote_ip) AS requests,
    max(request_time) OVER (PARTITION BY event_date, bucket_name, operation, remote_ip) AS last_request
  FROM found
)
SELECT
  source_key,
  line_no,
  requests,
  request_time AS first_request,
  last_request,
  bucket_name,
  operation,
  remote_ip,
  key_name,
  user_agent
FROM placed
WHERE place = 1
ORDER BY first_request, source_key, line_no
