-- Which clients connected with a TLS version below 1.2?
-- severity: medium
-- remedy: Bring the client's TLS library up to date, then require it of all with the condition key s3:TlsVersion (and aws:SecureTransport) in the bucket policy.
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- A row for each day, bucket, requester, user agent and TLS version; source_key and line_no name its first request. Plain HTTP has no TLS
-- version and is not listed, nor are lines of before March 2019, which do not say. Ambiguous rows are left out: their TLS version is a guess.
WITH found AS (
  SELECT DISTINCT
    source_key,
    line_no,
    request_time,
    event_date,
    bucket_name,
    remote_ip,
    requester,
    user_agent,
    upper(tls_version) AS tls
  FROM access_logs
  WHERE event_date >= :since AND event_date <= :until
    AND upper(tls_version) IN ('SSLV2', 'SSLV3', 'TLSV1', 'TLSV1.0', 'TLSV1.1')
    AND parse_status = 'clean'
),
placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY event_date, bucket_name, requester, user_agent, tls ORDER BY request_time, source_key, line_no) AS place,
    count(*) OVER (PARTITION BY event_date, bucket_name, requester, user_agent, tls) AS requests,
    max(request_time) OVER (PARTITION BY event_date, bucket_name, requester, user_agent, tls) AS last_request
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
  user_agent,
  tls
FROM placed
WHERE place = 1
ORDER BY first_request, source_key, line_no
