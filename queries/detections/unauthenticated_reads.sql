-- What was read or listed without authentication?
-- severity: medium
-- remedy: If the bucket is not meant to be public, turn on Block Public Access; if it is, serve it through CloudFront with origin access control.
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- A row for each day, bucket and operation; source_key and line_no name its first request. Only requests that S3 served (a status below 400).
-- Ambiguous rows are left out: their status is a guess.
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
    user_agent,
    bytes_sent_size
  FROM access_logs
  WHERE event_date >= :since AND event_date <= :until
    AND requester IS NULL
    AND regexp_like(operation, '^(REST|WEBSITE|SOAP)\.(GET|HEAD|COPY|SELECT)')
    AND NOT regexp_like(operation, '^REST\.COPY\.(OBJECT|PART)$')
    AND http_status < 400
    AND parse_status <> 'ambiguous'
),
placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY event_date, bucket_name, operation ORDER BY request_time, source_key, line_no) AS place,
    count(*) OVER (PARTITION BY event_date, bucket_name, operation) AS requests,
    max(request_time) OVER (PARTITION BY event_date, bucket_name, operation) AS last_request,
    sum(bytes_sent_size) OVER (PARTITION BY event_date, bucket_name, operation) AS bytes_sent
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
  user_agent,
  bytes_sent
FROM placed
WHERE place = 1
ORDER BY first_request, source_key, line_no
