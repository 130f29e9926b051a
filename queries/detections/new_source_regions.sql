-- From which AWS Regions did requests come that had never come from there before?
-- severity: low
-- remedy: Ask the requester whether it moved. If not, treat its credentials as lost; a policy can tie them to a network with aws:SourceVpc or aws:SourceIp.
-- :since date = -7d  first day on which a Region is new
-- :until date = today  last day, inclusive
-- :history date = -365d  first day to look at for known Regions; with --since, or in `detect`, 365 days before the first day
-- A row for each bucket and Region whose first request, of those looked at, came on or after the first day, in a bucket for which Regions of
-- earlier days are known; source_key and line_no name that request. `detect` without --since looks at all days of the lake. S3 logs the Region since early 2026, and only of requests from addresses of AWS. Ambiguous rows
-- are left out: their Region is a guess.
WITH found AS (
  SELECT DISTINCT
    source_key,
    line_no,
    request_time,
    event_date,
    bucket_name,
    source_region,
    remote_ip,
    requester,
    operation,
    user_agent
  FROM access_logs
  WHERE event_date >= :history AND event_date <= :until
    AND source_region IS NOT NULL
    AND parse_status = 'clean'
),
placed AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY bucket_name, source_region ORDER BY request_time, source_key, line_no) AS place,
    count(*) OVER (PARTITION BY bucket_name, source_region) AS requests,
    max(request_time) OVER (PARTITION BY bucket_name, source_region) AS last_request,
    min(event_date) OVER (PARTITION BY bucket_name) AS known_since
  FROM found
)
SELECT
  source_key,
  line_no,
  requests,
  request_time AS first_request,
  last_request,
  bucket_name,
  source_region,
  remote_ip,
  requester,
  operation,
  user_agent
FROM placed
WHERE place = 1 AND event_date >= :since AND known_since < event_date
ORDER BY first_request, source_key, line_no
