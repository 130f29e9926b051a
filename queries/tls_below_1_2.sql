-- Which clients still connect with a TLS version below 1.2?
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- Plain HTTP has no TLS version and is not listed. Ambiguous rows are left out: their TLS version is a guess.
SELECT
  upper(tls_version) AS tls,
  bucket_name,
  requester,
  user_agent,
  count(*) AS requests,
  count(DISTINCT remote_ip) AS addresses,
  min(request_time) AS first_request,
  max(request_time) AS last_request
FROM access_logs
WHERE event_date >= :since AND event_date <= :until
  AND upper(tls_version) IN ('SSLV2', 'SSLV3', 'TLSV1', 'TLSV1.0', 'TLSV1.1')
  AND parse_status <> 'ambiguous'
GROUP BY upper(tls_version), bucket_name, requester, user_agent
ORDER BY requests DESC, tls, bucket_name, requester, user_agent
