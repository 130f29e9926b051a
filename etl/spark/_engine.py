"""The engine as compaction calls it. PySpark is loaded only then: nobody else needs it."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from etl.compact import DEFAULT_TARGET_BYTES, OnRows
from etl.errors import LakeUnusable, first_line
from etl.lake import Lake, Plan, Winner
from etl.spark._progress import watch

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DEFAULT_WORKERS: Final = 2
_ERROR: Final = re.compile(r"^(?:[\w.]*\.)?\w+(?:Error|Unusable|NotFound|NotConserved|Exception): (.+)$", re.MULTILINE)


def rewrite_on_spark(
    lake: Lake,
    plan: Plan,
    *,
    attempt: str,
    target_bytes: int = DEFAULT_TARGET_BYTES,
    on_rows: OnRows = lambda done, planned: None,
    session: SparkSession | None = None,
    workers: int = DEFAULT_WORKERS,
) -> Winner:
    """Write the plan's rows, each once, by event day and sorted, into the attempt's own folder of staging, as `rewrite` does.

    The rows, their order and the counts are those of the local engine; only where one file ends and the next begins differs.
    `session` is by default the one that runs, else the cluster that started the program, else `workers` processes on this
    machine. Executors read and write the lake with the credentials they find in their own environment. `on_rows` is told half a
    row for each that was read and half for each that was written. Raises `LakeUnusable`, and `UsageError` where Spark cannot
    start.
    """
    from etl.spark._rewrite import Work, rewrite_work
    from etl.spark._session import TROUBLE, is_running, one_machine, spark_session

    with spark_session(one_machine(workers=workers, scratch=lake.store.scratch()), session=session) as spark:
        context = spark.sparkContext
        work = Work(lake, plan, attempt, target_bytes, spark, context.accumulator(0), context.accumulator(0))
        planned = 0 if plan.logs else sum(item.rows for item in plan.inputs)

        def tell() -> None:
            # A task that ran twice was counted twice.
            done = (work.rows_read.value + work.rows_written.value) // 2
            on_rows(min(done, planned) if planned else done, planned)

        def act() -> Winner:
            context.setJobGroup(attempt, f"accesslake compact {plan.batch}", interruptOnCancel=True)
            return rewrite_work(work)

        def cancel() -> None:
            with suppress(*TROUBLE):  # without a Spark there is nothing to cancel
                context.cancelJobGroup(attempt)

        try:
            return watch(act, tell=tell, cancel=cancel)
        except TROUBLE as error:
            if not is_running(context):
                reason = "compaction failed: Spark ended before its work was done"
                raise LakeUnusable(lake.uri, reason, hint="was it stopped, or killed for want of memory?") from error
            if isinstance(error, (OSError, EOFError)):
                raise
            raise LakeUnusable(lake.uri, f"compaction failed: {_reason_of(error)}") from error


def _reason_of(error: Exception) -> str:
    """What a task said before it failed, in the text that Spark makes of it; else what Spark says."""
    said = _ERROR.findall(str(error))
    return str(said[-1]) if said else first_line(error)
