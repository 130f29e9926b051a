"""Where Spark runs: in the session that is there, on the cluster that started us, or on this machine."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from etl.errors import UsageError, first_line
from etl.spark._java import has_java

ROWS_PER_BATCH: Final = 4_000
"""Rows that cross between Spark and Python at once: a client chooses how long its lines are."""
TROUBLE: Final = (PySparkException, Py4JError, OSError, EOFError)
"""What calls of Spark raise; the last two once its process is gone."""
_SILENT: Final = Path(__file__).with_name("log4j2.properties")
_ONE_MACHINE: Final = {
    "spark.master": "local[2]",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={_SILENT.as_uri()}",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def one_machine(*, workers: int, scratch: Path) -> dict[str, str]:
    """Spark's settings for this machine alone: nothing listens beyond loopback, nothing is logged, and the lake's disk holds
    what does not fit into memory. If the lake's path has a comma, by which Spark separates folders, the temporary folder does.
    """
    folder = tempfile.gettempdir() if "," in str(scratch) else str(scratch)
    return {**_ONE_MACHINE, "spark.master": f"local[{workers}]", "spark.local.dir": folder}


_OURS: Final = {
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(ROWS_PER_BATCH),
    "spark.sql.session.timeZone": "UTC",
}


@contextmanager
def spark_session(settings: dict[str, str], *, session: SparkSession | None = None) -> Iterator[SparkSession]:
    """A session of our own settings over whatever Spark there is.

    The one that is given, or runs already (a notebook's, AWS Glue's), stays as it is and is not ended. A program that
    `spark-submit` started gets its cluster. Plain Python gets a Spark with `settings`, which ends with the block. Raises
    `UsageError` where Spark cannot start.
    """
    before = SparkContext._active_spark_context
    found = session or (_started({} if _is_submitted() else settings) if before is None else _started({}))
    if not is_running(found.sparkContext):
        raise UsageError("Apache Spark", "has ended", hint="start a session anew")
    try:
        # Has settings of its own, and shares everything else.
        ours = found.newSession()
        for name, value in _OURS.items():
            ours.conf.set(name, value)
        with warnings.catch_warnings():
            # PySpark 3.5 compares versions by a module that Python 3.11 warns of.
            warnings.filterwarnings("ignore", ".*distutils", DeprecationWarning)
            yield ours
    finally:
        if session is None and before is None:
            _stop(found)


def is_running(context: SparkContext) -> bool:
    """Whether Spark still answers: its process can be killed, and a cluster can end it."""
    try:
        return context._jsc is not None and not context._jsc.sc().isStopped()
    except TROUBLE:
        return False


def _stop(spark: SparkSession) -> None:
    context = spark.sparkContext
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            spark.stop()
    except TROUBLE:
        # Its process is gone, and PySpark would go on asking it: a second call asks no more, and forgets the rest.
        context.stop()
        SparkContext._gateway = SparkContext._jvm = None
        SparkSession._instantiatedSession = SparkSession._activeSession = None


def _is_submitted() -> bool:
    return bool({"PYSPARK_GATEWAY_PORT", "PYSPARK_SUBMIT_ARGS"} & os.environ.keys())


def _started(settings: dict[str, str]) -> SparkSession:
    if settings:
        if not has_java():
            raise UsageError("Apache Spark", "there is no Java", hint="it runs on Java 17")
        # Executors must have the packages that this interpreter has.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName("accesslake")
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except TROUBLE as error:
        raise UsageError("Apache Spark", f"does not start: {_reason_of(error)}", hint="it runs on Java 17") from error


def _reason_of(error: Exception) -> str:
    """What Java says, which stands below what PySpark asked; else what PySpark says."""
    said = [line.removeprefix(": ") for line in str(error).splitlines() if line.startswith(": ")]
    return said[0] if said else first_line(error)
