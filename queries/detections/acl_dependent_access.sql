-- Which requests were only allowed because of an ACL, and would fail once ACLs are disabled?
-- severity: low
-- remedy: Give the requester what it needs in the bucket policy, then set Object Ownership to bucket owner enforced, which disables ACLs.
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- A row for each day, bucket, requester and operation; source_key and line_no name its first request. Ambiguous rows are left out: whether they
-- needed an ACL is a guess. Lines of before November 2022 do not say.
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
    key_name
  FROM access_logs
  WHERE event_date >= :since AND event_date <= :until
    AND acl_required = 'Yes'
    AND parse_status = 'clean'
),
placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY event_date, bucket_name, requester, operation ORDER BY request_time, source_key, line_no) AS place,
    count(*) OVER (PARTITION BY event_date, bucket_name, requester, operation) AS requests,
    max(request_time) OVER (PARTITION BY event_date, bucket_name, requester, operation) AS last_request
  FROM found
)
SELECT
  source_key,
  line_no,
  requests,
  request_time AS first_request,
  last_request,
  bucket_name,
  remote_ip,
  requester,
  operation,
  key_name
FROM placed
WHERE place = 1
ORDER BY first_request, source_key, line_no
