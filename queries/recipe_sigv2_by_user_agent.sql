-- Which buckets and user agents saw Signature Version 2 in the last 24 hours?
-- :hours integer = 24  how many hours back, from now or, if it is earlier, from the end of the last day
-- :until date = today  last day, inclusive
-- The third query of the 2019 recipe, limited to the days it needs; the recipe's own text also splits the counts by
-- operation without showing it. Rows count as in recipe_sigv2_by_client: never ambiguous ones.
SELECT
  count(*) AS cnt,
  bucket_name,
  user_agent,
  signature_version
FROM access_logs
WHERE event_date >= date_format(
    date_add('hour', -:hours, least(localtimestamp, date_add('day', 1, CAST(:until AS timestamp)))), '%Y-%m-%d')
  AND event_date <= :until
  AND request_time > date_add('hour', -:hours, least(localtimestamp, date_add('day', 1, CAST(:until AS timestamp))))
  AND signature_version = 'SigV2'
  AND (parse_status = 'clean' OR (parse_status = 'short' AND NOT regexp_like(raw_line, ' SigV2\s*$')))
GROUP BY bucket_name, user_agent, signature_version
ORDER BY cnt DESC, bucket_name, user_agent
