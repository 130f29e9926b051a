-- Which clients signed with Signature Version 2 in the last 24 hours: by address, requester, bucket, operation and user agent?
-- :hours integer = 24  how many hours back, from now or, if it is earlier, from the end of the last day
-- :until date = today  last day, inclusive
-- The second query of the 2019 recipe, limited to the days it needs. Clean rows count, and short ones whose line goes on
-- after the signature version (a line is cut at its end: only its last field can be damaged). Ambiguous rows do not count:
-- their signature version is a guess, and they are neither SigV2 nor its absence.
SELECT
  count(*) AS cnt,
  remote_ip,
  requester,
  bucket_name,
  operation,
  user_agent,
  signature_version
FROM access_logs
WHERE event_date >= date_format(
    date_add('hour', -:hours, least(localtimestamp, date_add('day', 1, CAST(:until AS timestamp)))), '%Y-%m-%d')
  AND event_date <= :until
  AND request_time > date_add('hour', -:hours, least(localtimestamp, date_add('day', 1, CAST(:until AS timestamp))))
  AND signature_version = 'SigV2'
  AND (parse_status = 'clean' OR (parse_status = 'short' AND NOT regexp_like(raw_line, ' SigV2\s*$')))
GROUP BY remote_ip, requester, bucket_name, operation, user_agent, signature_version
ORDER BY cnt DESC, remote_ip, requester, bucket_name, operation, user_agent
