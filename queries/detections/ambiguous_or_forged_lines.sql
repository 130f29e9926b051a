-- Which lines did a client write quotes into, so that they read in several ways or imitate the fields of the log?
-- severity: medium
-- remedy: Look at raw_line and at what else this address and requester did. Quotes in a user agent can be an accident; imitated fields are not.
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- A row for each line. Of ambiguous lines (parse_status) the columns show the best reading: bucket, time, address, requester, operation
-- and key are certain, all after them is a guess. The others read in one way only, and hold fields of the log within what the client sent.
SELECT DISTINCT
  source_key,
  line_no,
  CAST(1 AS bigint) AS requests,
  request_time AS first_request,
  request_time AS last_request,
  bucket_name,
  remote_ip,
  requester,
  operation,
  key_name,
  http_status,
  user_agent,
  referer,
  request_uri,
  parse_status,
  raw_line
FROM access_logs
WHERE event_date >= :since AND event_date <= :until
  AND (
    parse_status NOT IN ('clean', 'short')
    OR regexp_like(user_agent, '" +[^ "]+ +[^ "]+ +SigV')
    OR regexp_like(referer, '" +[^ "]+ +[^ "]+ +SigV')
    OR regexp_like(request_uri, '" +[^ "]+ +[^ "]+ +SigV')
    OR regexp_like(user_agent, '" [0-9]{3} [^ "]+ ([0-9]+|-) ([0-9]+|-) ([0-9]+|-) ')
    OR regexp_like(referer, '" [0-9]{3} [^ "]+ ([0-9]+|-) ([0-9]+|-) ([0-9]+|-) ')
    OR regexp_like(request_uri, '" [0-9]{3} [^ "]+ ([0-9]+|-) ([0-9]+|-) ([0-9]+|-) '))
ORDER BY first_request, source_key, line_no
