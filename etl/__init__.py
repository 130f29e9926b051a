"""accesslake: Amazon S3 server access logs in, an exact, date-partitioned Parquet lake out."""
