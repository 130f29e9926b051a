-- Which requests were only allowed because of an ACL, and would fail once ACLs are disabled?
-- :since date = -90d  first day, inclusive
-- :until date = today  last day, inclusive
-- Ambiguous rows are left out: whether they needed an ACL is a guess. Lines from before November 2022 do not say.
SELECT
  bucket_name,
  requester,
  operation,
  count(*) AS requests,
  count(DISTINCT key_name) AS objects,
  min(request_time) AS first_request,
  max(request_time) AS last_request
FROM access_logs
WHERE event_date >= :since AND event_date <= :until
  AND acl_required = 'Yes'
  AND parse_status <> 'ambiguous'
GROUP BY bucket_name, requester, operation
ORDER BY requests DESC, bucket_name, requester, operation
