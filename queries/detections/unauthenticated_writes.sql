-- What was written or deleted without authentication?
-- severity: high
-- remedy: Turn on Block Public Access at once, then look for a bucket policy or an ACL that lets everyone write, and at what was written.
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- A row for each day, bucket, operation and address; source_key and line_no name its first request. Only requests that S3 accepted (a status below
-- 300: a redirect writes nothing). An ambiguous row counts if one of its readings has such a status, so that a quote hides nothing; `ambiguous` says
-- how many of the requests are such guesses. If it is all of them, read raw_line before anything else. Of a batch the deletes themselves count
-- (BATCH.DELETE.OBJECT), and not the request (REST.POST.MULTI_OBJECT_DELETE), which S3 answers with 200 even if it refuses every one of them.
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
    parse_status
  FROM access_logs
  WHERE event_date >= :since AND event_date <= :until
    AND requester IS NULL
    AND regexp_like(operation, '(?i)^((REST|BATCH)\.(PUT|POST|DELETE|COPY)\.|SOAP\.(Put|Create|Set|Copy|Delete))')
    AND NOT regexp_like(operation, '^REST\.(COPY\..*_GET|POST\.SELECT|POST\.MULTI_OBJECT_DELETE)$')
    AND (
      parse_status <> 'ambiguous' AND http_status < 300
      OR parse_status = 'ambiguous' AND (
        raw_line IS NULL
        OR regexp_like(raw_line, '^[^"]*"[\s\S]*" [12][0-9]{2} [^ "]+ (-|[0-9]+) (-|[0-9]+) (-|[0-9]+) (-|[0-9]+) "[\s\S]*" "[\s\S]*"')))
),
placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY event_date, bucket_name, operation, remote_ip ORDER BY request_time, source_key, line_no) AS place,
    count(*) OVER (PARTITION BY event_date, bucket_name, operation, remote_ip) AS requests,
    count(CASE WHEN parse_status = 'ambiguous' THEN 1 END) OVER (PARTITION BY event_date, bucket_name, operation, remote_ip) AS ambiguous,
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
  user_agent,
  parse_status,
  ambiguous
FROM placed
WHERE place = 1
ORDER BY first_request, source_key, line_no
