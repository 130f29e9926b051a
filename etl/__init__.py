"""accesslake: Amazon S3 server access logs in, an exact, date-partitioned Parquet lake out."""

from etl.parse import Parsed, parse
from etl.schema import SCHEMA

__all__ = ["SCHEMA", "Parsed", "parse"]
