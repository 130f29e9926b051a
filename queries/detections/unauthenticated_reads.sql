-- What was read or listed without authentication?
-- severity: medium
-- remedy: If the bucket is not meant to be public, turn on Block Public Access; if it is, serve it through CloudFront with origin access control.
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- A row for each day, bucket and operation; source_key and line_no name its first request. Only requests that S3 served (a status below 300, or 304:
-- a redirect shows nothing). An ambiguous row counts if one of its readings has such a status, so that a quote hides nothing; `ambiguous` says how
-- many of the requests are such guesses, and bytes_sent leaves them out.
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
    parse_status,
    CASE WHEN parse_status <> 'ambiguous' THEN bytes_sent_size END AS bytes
  FROM access_logs
  WHERE event_date >= :since AND event_date <= :until
    AND requester IS NULL
    AND regexp_like(operation, '(?i)^((REST|WEBSITE)\.(GET|HEAD|SELECT)\.|REST\.(COPY\..*_GET|POST\.SELECT)$|SOAP\.(Get|List|Head))')
    AND (
      parse_status <> 'ambiguous' AND (http_status < 300 OR http_status = 304)
      OR parse_status = 'ambiguous' AND (
        raw_line IS NULL
        OR regexp_like(raw_line, '^[^"]*"[\s\S]*" ([12][0-9]{2}|304) [^ "]+ (-|[0-9]+) (-|[0-9]+) (-|[0-9]+) (-|[0-9]+) "[\s\S]*" "[\s\S]*"')))
),
placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY event_date, bucket_name, operation ORDER BY request_time, source_key, line_no) AS place,
    count(*) OVER (PARTITION BY event_date, bucket_name, operation) AS requests,
    count(CASE WHEN parse_status = 'ambiguous' THEN 1 END) OVER (PARTITION BY event_date, bucket_name, operation) AS ambiguous,
    max(request_time) OVER (PARTITION BY event_date, bucket_name, operation) AS last_request,
    sum(bytes) OVER (PARTITION BY event_date, bucket_name, operation) AS bytes_sent
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
  bytes_sent,
  parse_status,
  ambiguous
FROM placed
WHERE place = 1
ORDER BY first_request, source_key, line_no
