-- Who was refused again and again within an hour?
-- severity: medium
-- remedy: Find out whether it is a program without a permission that it needs, or somebody trying doors; revoke or rotate what somebody else uses.
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- :requests integer = 50  refusals within an hour
-- A row for each requester, address and hour (of the clock, UTC) with that many answers 403; source_key and line_no name the first. An ambiguous
-- row counts if one of its readings has the status 403, so that a quote hides nothing; `ambiguous` says how many of the requests are such guesses.
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
    error_code,
    user_agent,
    parse_status,
    date_format(request_time, '%Y-%m-%d %H') AS hour
  FROM access_logs
  WHERE event_date >= :since AND event_date <= :until
    AND (
      parse_status <> 'ambiguous' AND http_status = 403
      OR parse_status = 'ambiguous' AND (
        raw_line IS NULL
        OR regexp_like(raw_line, '^[^"]*"[\s\S]*" 403 [^ "]+ (-|[0-9]+) (-|[0-9]+) (-|[0-9]+) (-|[0-9]+) "[\s\S]*" "[\s\S]*"')))
),
placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY requester, remote_ip, hour ORDER BY request_time, source_key, line_no) AS place,
    count(*) OVER (PARTITION BY requester, remote_ip, hour) AS requests,
    count(CASE WHEN parse_status = 'ambiguous' THEN 1 END) OVER (PARTITION BY requester, remote_ip, hour) AS ambiguous,
    max(request_time) OVER (PARTITION BY requester, remote_ip, hour) AS last_request
  FROM found
)
SELECT
  source_key,
  line_no,
  requests,
  request_time AS first_request,
  last_request,
  remote_ip,
  requester,
  bucket_name,
  operation,
  error_code,
  user_agent,
  parse_status,
  ambiguous
FROM placed
WHERE place = 1 AND requests >= :requests
ORDER BY first_request, source_key, line_no
