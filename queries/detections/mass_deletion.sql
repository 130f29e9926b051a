-- Who deleted many objects of a bucket within an hour?
-- severity: high
-- remedy: Ask the owner of the credentials; if nobody knows, deny deletes in the bucket policy, rotate the credentials, and restore what versioning kept.
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- :deletes integer = 100  deletes within an hour
-- A row for each requester, bucket and hour (of the clock, UTC) with that many accepted deletes, one by one or by batch; source_key and line_no name the
-- first. What lifecycle rules expire is not among them. An ambiguous row counts if one of its readings has a status below 300, so that a
-- quote hides nothing; `ambiguous` says how many of the requests are such guesses. If it is all of them, read raw_line before anything else.
WITH found AS (
  SELECT DISTINCT
    source_key,
    line_no,
    request_time,
    event_date,
    bucket_name,
    remote_ip,
    requester,
    operation,
    key_name,
    user_agent,
    parse_status,
    date_format(request_time, '%Y-%m-%d %H') AS hour
  FROM access_logs
  WHERE event_date >= :since AND event_date <= :until
    AND operation IN ('REST.DELETE.OBJECT', 'BATCH.DELETE.OBJECT', 'SOAP.DeleteObject')
    AND (
      parse_status <> 'ambiguous' AND http_status < 300
      OR parse_status = 'ambiguous' AND (
        raw_line IS NULL
        OR regexp_like(raw_line, '^[^"]*"[\s\S]*" [12][0-9]{2} [^ "]+ (-|[0-9]+) (-|[0-9]+) (-|[0-9]+) (-|[0-9]+) "[\s\S]*" "[\s\S]*"')))
),
placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY requester, bucket_name, hour ORDER BY request_time, source_key, line_no) AS place,
    count(*) OVER (PARTITION BY requester, bucket_name, hour) AS requests,
    count(CASE WHEN parse_status = 'ambiguous' THEN 1 END) OVER (PARTITION BY requester, bucket_name, hour) AS ambiguous,
    max(request_time) OVER (PARTITION BY requester, bucket_name, hour) AS last_request
  FROM found
)
SELECT
  source_key,
  line_no,
  requests,
  request_time AS first_request,
  last_request,
  bucket_name,
  requester,
  remote_ip,
  operation,
  key_name,
  user_agent,
  parse_status,
  ambiguous
FROM placed
WHERE place = 1 AND requests >= :deletes
ORDER BY first_request, source_key, line_no
