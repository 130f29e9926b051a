"""Compaction's rewriting step on Apache Spark: for days that outgrow one machine, and for the back-fill of archives."""

from etl.spark._engine import rewrite_on_spark
from etl.spark._java import has_java

__all__ = ["has_java", "rewrite_on_spark"]
