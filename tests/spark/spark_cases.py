"""What the tests of the Spark engine share: one Spark for all of them, and both engines on one plan."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.compact import Rewrite, read_or_create_plan, rewrite, verify
from etl.lake import Lake, Plan, Winner, open_lake
from etl.lake._layout import day_of, staged_key

MISSING = "" if shutil.which("java") or os.environ.get("JAVA_HOME") else "there is no Java"
if find_spec("pyspark") is None:
    MISSING = "PySpark is not installed (make test-engines)"
TRIES = 3


@cache
def started() -> Any:
    """Spark in this process, with two executors; it ends with the process. A task that fails is tried again, as on a cluster."""
    from pyspark.sql import SparkSession

    from etl.spark._session import one_machine

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.appName("tests")
    settings = one_machine(workers=2, scratch=Path(mkdtemp(prefix="accesslake-spark-")))
    for name, value in {**settings, "spark.master": f"local[2,{TRIES}]"}.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


@pytest.fixture
def spark() -> Any:
    if MISSING:
        pytest.skip(MISSING)
    return started()


@pytest.fixture
def on_spark(spark: Any) -> Rewrite:
    """The engine on the Spark of the tests."""
    from etl.spark import rewrite_on_spark

    return partial(rewrite_on_spark, session=spark)


def plan_of(lake: Path) -> Plan:
    plan = read_or_create_plan(open_lake(str(lake)))
    assert plan is not None
    return plan


def assert_same(lake: Path, on_spark: Rewrite, *, target_bytes: int = 1 << 20) -> Winner:
    """Both engines rewrite the lake's plan: the same rows in the same order, the same counts. What Spark gave."""
    opened, plan = open_lake(str(lake)), plan_of(lake)
    told: list[tuple[int, int]] = []
    local = rewrite(opened, plan, attempt="local", target_bytes=target_bytes)
    spark = on_spark(opened, plan, attempt="spark", target_bytes=target_bytes, on_rows=lambda *rows: told.append(rows))
    for winner in (local, spark):
        verify(opened, plan, winner)
    assert ordered_rows(opened, spark) == ordered_rows(opened, local)
    assert replace(spark, attempt="", outputs=(), reasons={}) == replace(local, attempt="", outputs=(), reasons={})
    assert spark.reasons.keys() == set(spark.left_out)
    assert told == sorted(told)
    return spark


def ordered_rows(lake: Lake, winner: Winner) -> dict[str, list[dict[str, Any]]]:
    """The rows of an attempt by day, in the order of its files' names and of the rows in them."""
    days: dict[str, list[dict[str, Any]]] = {}
    for output in sorted(winner.outputs, key=lambda output: output.key):
        days.setdefault(day_of(output.key), []).extend(staged_rows(lake, winner, output.key).to_pylist())
    return days


def staged_rows(lake: Lake, winner: Winner, key: str) -> pa.Table:
    with pq.ParquetFile(lake.store.path(staged_key(winner.batch, winner.attempt, key))) as file:
        return file.read()
