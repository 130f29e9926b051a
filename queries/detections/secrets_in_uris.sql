-- Which requests carry a password, a key or a token in their URI or referer?
-- severity: high
-- remedy: Take the secret for known to everyone who reads logs: rotate it, and have the client send it in a header.
-- :since date = -30d  first day, inclusive
-- :until date = today  last day, inclusive
-- A row for each day, bucket, requester, address and parameter; source_key and line_no name its first request. Neither the URI nor the secret is
-- shown. A parameter stands after ?, & or ;, in the query string or in a URL or query within it, percent-encoded however often. Its name
-- counts in any case, also in brackets (user[password]) or with a word before it (db_password, x-api-key); of several in one request the first
-- counts, the URI's before the referer's, then a code of ten characters or more (what OAuth sends back), then a password in a URL, which is
-- listed as user:password@. Left out are what a presigned URL is made of (X-Amz-Signature, X-Amz-Security-Token, X-Amz-Credential, Signature,
-- AWSAccessKeyId), in a referer too: see long_lived_presigned_urls; continuation and other page tokens; csrf_token, which opens nothing
-- without its session; key, otp and sid, which mean too much else; names whose letters are percent-encoded or that are run together with
-- other words (myPassword); secrets in paths, in JSON and in user agents.
WITH texts AS (
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
    coalesce(request_uri, '') || ' ' || coalesce(referer, '') AS said
  FROM access_logs
  WHERE event_date >= :since AND event_date <= :until
),
found AS (
  SELECT
    *,
    coalesce(
      regexp_extract(
        said,
        '(?i)(?:[?&;]|%(?:25)*(?:3F|26|3B))('
          || '(?:(?:[a-z0-9_.\[\]-]|%(?:25)*5[BD])*(?:[_.\[-]|%(?:25)*5B))?'
          || '(?:password|passwd|pwd|passphrase|passcode|db[_-]?pass|user[_-]?pass|secret|jwt|api[_-]?key|access[_-]?key|private[_-]?key'
          || '|secret[_-]?key|secret[_-]?access[_-]?key|session[_-]?id|(?:access|id|refresh|auth|session|api|bearer)[_-]?token)'
          || '(?:(?:\[|%(?:25)*5B)[0-9]*(?:\]|%(?:25)*5D)|\]|%(?:25)*5D)*'
          || '|(?:(?:[a-z0-9_.\[\]-]|%(?:25)*5[BD])*(?:\[|%(?:25)*5B))?'
          || '(?:pass|token|auth|authorization|sig|jsessionid|phpsessid|samlresponse)'
          || '(?:(?:\[|%(?:25)*5B)[0-9]*(?:\]|%(?:25)*5D)|\]|%(?:25)*5D)*'
          || ')(?:=|%(?:25)*3D)[^&; ]',
        1),
      regexp_extract(said, '(?i)(?:[?&;]|%(?:25)*(?:3F|26|3B))(code)(?:=|%(?:25)*3D)[^&; ]{10}', 1),
      CASE
        WHEN regexp_like(said, '://[^/?#@ :&%]*:[^/?#@ &]+@')
          OR regexp_like(said, '(?i)%(?:25)*3A(?:%(?:25)*2F){2}[^/?#@ :&%]*%(?:25)*3A[^/?#@ &%]+%(?:25)*40')
          THEN 'user:password@'
      END) AS parameter
  FROM texts
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
