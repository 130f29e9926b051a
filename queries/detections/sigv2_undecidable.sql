-- Which lines may hide a request signed with Signature Version 2, and nobody can tell?
-- severity: info
-- remedy: Read raw_line. If the client is yours, find out how it signs; a client that sends quotes to disturb the log is worth a look.
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- A row for each line. Listed are ambiguous lines of which one reading is signed with SigV2, or which end before they say, and lines cut
-- in or before the signature version. They are neither SigV2 nor its absence.
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
  parse_status,
  raw_line
FROM access_logs
WHERE event_date >= :since AND event_date <= :until
  AND (
    parse_status NOT IN ('clean', 'short') AND (
      raw_line IS NULL
      OR regexp_like(raw_line, '" +[^ "]+ +[^ "]+ +SigV2(\s|$)')
      OR regexp_like(raw_line, '"( +[^ "]+){0,2}\s*$')
      OR regexp_like(raw_line, '"( +[^ "]+){2} +S(i(gV?)?)?\s*$'))
    OR parse_status = 'short' AND (
      raw_line IS NULL
      OR signature_version IN ('S', 'Si', 'Sig', 'SigV')
      OR signature_version = 'SigV2' AND regexp_like(raw_line, ' SigV2\s*$')
      OR signature_version IS NULL AND NOT regexp_like(raw_line, '" +[^ "]+ +[^ "]+ +-(\s[^"]*)?$')))
ORDER BY first_request, source_key, line_no
