-- When was each prefix last read, and last touched at all?
-- :depth integer = 1  how many levels of folders make a prefix
-- :bucket string = ''  bucket; empty for all
-- :since date = -90d  first day, inclusive
-- :until date = today  last day, inclusive
-- Longest untouched first. Requests that failed and those of lifecycle rules are no access. A prefix that nobody touched in
-- the period is not listed. A key that cannot be decoded stands as it was logged.
SELECT
  bucket_name,
  prefix,
  max(request_time) FILTER (
    WHERE operation IN (
      'REST.GET.OBJECT', 'REST.HEAD.OBJECT', 'REST.COPY.OBJECT_GET', 'REST.COPY.PART_GET', 'WEBSITE.GET.OBJECT',
      'WEBSITE.HEAD.OBJECT')) AS last_read,
  max(request_time) AS last_access,
  count(*) AS requests
FROM (
  SELECT
    bucket_name,
    regexp_extract(coalesce(object_key, key_name), '^([^/]*/){0,' || CAST(:depth AS varchar) || '}') AS prefix,
    operation,
    request_time
  FROM access_logs
  WHERE event_date >= :since AND event_date <= :until
    AND key_name IS NOT NULL
    AND http_status < 400
    AND NOT starts_with(operation, 'S3.')
    AND (:bucket = '' OR bucket_name = :bucket)
) AS accesses
GROUP BY bucket_name, prefix
ORDER BY last_access, bucket_name, prefix
