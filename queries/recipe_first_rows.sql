-- What do the first rows of the period look like?
-- :since date = -1d  first day, inclusive
-- :until date = today  last day, inclusive
-- :rows integer = 10  how many rows
-- The first of the three queries of the 2019 recipe. Its own text, SELECT * FROM "default"."s3accesslog" limit 10, runs
-- as well, but nothing in it limits the days that Athena reads.
SELECT *
FROM access_logs
WHERE event_date >= :since AND event_date <= :until
ORDER BY request_time, source_key, line_no
LIMIT :rows
