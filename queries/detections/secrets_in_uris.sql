-- Which requests carry a password, a key or a token in their URI or referer?
-- severity: high
-- remedy: Take the secret for known to everyone who reads logs: rotate it, and have the client send it in a header.
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- A row for each day, bucket, requester, address and parameter; source_key and line_no name its first request. Neither the URI nor the secret is
-- shown. Names count as they are written in the query string, in any case; of several in one request the first counts, the URI's before the referer's. The signature and the token of a presigned URL are not listed: see long_lived_presigned_urls.
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
    user_agent,
    coalesce(
      regexp_extract(request_uri, '(?i)[?&](password|passwd|pwd|secret|client_secret|api_?key|apikey|token|access_token|id_token|refresh_token|auth_token|jwt|private_key|aws_secret_access_key)=[^& ]', 1),
      regexp_extract(referer, '(?i)[?&](password|passwd|pwd|secret|client_secret|api_?key|apikey|token|access_token|id_token|refresh_token|auth_token|jwt|private_key|aws_secret_access_key)=[^& ]', 1)) AS parameter
  FROM access_logs
  WHERE event_date >= :since AND event_date <= :until
),
placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY event_date, bucket_name, requester, remote_ip, parameter ORDER BY request_time, source_key, line_no) AS place,
    count(*) OVER (PARTITION BY event_date, bucket_name, requester, remote_ip, parameter) AS requests,
    max(request_time) OVER (PARTITION BY event_date, bucket_name, requester, remote_ip, parameter) AS last_request
  FROM found
  WHERE parameter IS NOT NULL
)
SELECT
  source_key,
  line_no,
  requests,
  request_time AS first_request,
  last_request,
  bucket_name,
  requester,
  remote_ip,
  parameter,
  operation,
  user_agent
FROM placed
WHERE place = 1
ORDER BY first_request, source_key, line_no
