"""What a managed Spark cluster runs: compaction or a back-fill, as AWS Glue starts it."""

from etl.jobs._arguments import Job, read_arguments
from etl.jobs._run import run_job

__all__ = ["Job", "read_arguments", "run_job"]
