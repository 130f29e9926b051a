"""The script that AWS Glue runs: one file with our code in it, as one file is what a deployment uploads for a job.

`infra.package` puts the archive in. Executors get it from the driver. https://docs.aws.amazon.com/glue/latest/dg/ .
"""

from __future__ import annotations

import base64
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ARCHIVE = ""


def main(arguments: Sequence[str]) -> None:
    """Unpack the code, hand it to the executors, and run the job."""
    from pyspark import SparkContext

    archive = Path(tempfile.mkdtemp(prefix="accesslake-"), "accesslake.zip")
    archive.write_bytes(base64.b64decode(ARCHIVE))
    sys.path.insert(0, str(archive))
    context = SparkContext.getOrCreate()
    context.addPyFile(str(archive))
    if "--lake-region" in arguments:
        region = arguments[arguments.index("--lake-region") + 1]
        for environment in os.environ, context.environment:
            environment["AWS_DEFAULT_REGION"] = region
    from etl.jobs import run_job

    run_job(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
