"""The Java that Spark runs on: looked for without PySpark, before anything is written."""

from __future__ import annotations

import os
import shutil


def has_java() -> bool:
    """Whether there is the Java that PySpark would start; where `spark-submit` started us, it runs already."""
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        return True
    home = os.environ.get("JAVA_HOME")
    return shutil.which(os.path.join(home, "bin", "java") if home else "java") is not None
