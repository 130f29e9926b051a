-- Which requests were signed with Signature Version 2?
-- severity: medium
-- remedy: Bring the client to a version that signs with Signature Version 4, and set its Region; the inventory of `accesslake detect` names the version.
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- A row for each request. Clean rows count, and short ones whose line goes on after the signature version (a line is cut at its
-- end: only its last field can be damaged). Ambiguous rows never count: see sigv2_undecidable.
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
  request_uri,
  http_status,
  user_agent,
  signature_version,
  authentication_type
FROM access_logs
WHERE event_date >= :since AND event_date <= :until
  AND signature_version = 'SigV2'
  AND (parse_status = 'clean' OR (parse_status = 'short' AND NOT regexp_like(raw_line, ' SigV2\s*$')))
ORDER BY first_request, source_key, line_no
