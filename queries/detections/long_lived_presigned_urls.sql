-- Which presigned URLs live long?
-- severity: medium
-- remedy: Sign for minutes, not days, and with Signature Version 4, which ends after seven days; limit it in the bucket policy with s3:signatureAge.
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- :hours integer = 24  longer than so many hours is long
-- A row for each day, bucket, requester and address; source_key and line_no name its first request. Of SigV4 the whole lifetime counts
-- (X-Amz-Expires), of SigV2 what was left of it when the request came (Expires): how long it had been before is not logged. Only
-- requests that S3 served (a status below 300, or 304); ambiguous rows are left out. A URL signed with temporary credentials (`temporary`, it carries a
-- session token) ends with their session, hours after it began, however long it says to live: it is the lesser trouble.
WITH presigned AS (
  SELECT DISTINCT
    source_key,
    line_no,
    request_time,
    event_date,
    bucket_name,
    remote_ip,
    requester,
    key_name,
    user_agent,
    signature_version,
    CAST(regexp_extract(request_uri, '[?&]X-Amz-Expires=([0-9]{1,10})(&| |$)', 1) AS bigint) AS lifetime,
    regexp_extract(request_uri, '[?&]Expires=([0-9]{1,10})(&| |$)', 1) AS expires,
    regexp_like(request_uri, '[?&](X-Amz-)?Expires=[0-9]{11}') AS is_endless,
    regexp_like(request_uri, '(?i)[?&]X-Amz-Security-Token=[^& ]') AS temporary
  FROM access_logs
  WHERE event_date >= :since AND event_date <= :until
    AND authentication_type = 'QueryString'
    AND (http_status < 300 OR http_status = 304)
    AND parse_status <> 'ambiguous'
),
placed AS (
  SELECT
    *,
    row_number() OVER (
      PARTITION BY event_date, bucket_name, requester, remote_ip ORDER BY request_time, source_key, line_no) AS place,
    count(*) OVER (PARTITION BY event_date, bucket_name, requester, remote_ip) AS requests,
    max(request_time) OVER (PARTITION BY event_date, bucket_name, requester, remote_ip) AS last_request
  FROM presigned
  WHERE is_endless
    OR lifetime > CAST(3600 AS bigint) * :hours
    OR date_add('second', CAST(expires AS bigint), CAST('1970-01-01' AS timestamp)) > date_add('hour', :hours, request_time)
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
  key_name,
  user_agent,
  signature_version,
  lifetime AS lifetime_seconds,
  date_add('second', CAST(expires AS bigint), CAST('1970-01-01' AS timestamp)) AS expires_at,
  temporary
FROM placed
WHERE place = 1
ORDER BY first_request, source_key, line_no
