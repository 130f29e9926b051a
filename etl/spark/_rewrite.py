"""The rewriting step on Spark: tasks read, fold, sort and write; the driver plans, counts and numbers the files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from pyspark import StorageLevel
from pyspark.accumulators import Accumulator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import expr, shiftright

from etl.lake import Input, Lake, Output, Plan, Winner, raw_name
from etl.lake._layout import day_of
from etl.schema import SCHEMA
from etl.spark._fold_sql import AGAIN_SQL, COPIES_SQL, FOLDED_BEFORE_SQL, REDELIVERED_SQL, REPEATED_SQL, SUSPECTS_SQL
from etl.spark._read import ReadCommitted, ReadInputs
from etl.spark._rows import COMMITTED_SCHEMA, PLACE, READ_SCHEMA, REPORT, ROWS_BITS, SORTED_BY, ddl_of
from etl.spark._session import TROUBLE
from etl.spark._tasks import count_parts, count_shuffle_parts, group_by_size
from etl.spark._write import WRITTEN, NameFiles, WriteFiles, number_files, read_written

_KEYS_SHARE: Final = 50
"""A committed file's column of source keys is this part of it, or less."""
_NAMING_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Work:
    """What all steps know of one rewriting."""

    lake: Lake
    plan: Plan
    attempt: str
    target_bytes: int
    spark: SparkSession
    rows_read: Accumulator[int]
    rows_written: Accumulator[int]

    @property
    def cores(self) -> int:
        """Tasks that can run at once."""
        return int(self.spark.sparkContext.defaultParallelism)

    def tasks(self, groups: Sequence[Sequence[Any]]) -> DataFrame:
        """A row for each group, as JSON, and a task for each row."""
        texts = [(json.dumps(group),) for group in groups]
        return self.spark.createDataFrame(self.spark.sparkContext.parallelize(texts, len(texts)), "task string")


@dataclass(frozen=True)
class _Reports:
    """What was found in the inputs, by number."""

    unreadable: Mapping[int, str]
    inputs: tuple[Input, ...]
    row_bytes: int


def rewrite_work(work: Work) -> Winner:
    """What came of it."""
    plan = work.plan
    if not plan.inputs and not plan.logs:
        return Winner(plan.batch, work.attempt, (), {})
    with ExitStack() as kept:
        rows = _persisted(_read(work), kept)
        reports = _reports(rows)
        left_out = {_name_of(plan, number): reason for number, reason in sorted(reports.unreadable.items())}
        found = Winner(plan.batch, work.attempt, (), {}, tuple(left_out), reports.inputs, left_out)
        number = shiftright(PLACE, ROWS_BITS)
        readable = rows.where(f"{REPORT} IS NULL").drop(REPORT)
        if reports.unreadable:
            readable = readable.where(~number.isin(sorted(reports.unreadable)))
        readable.createOrReplaceTempView("input")
        folded = _persisted(_fold(work, kept), kept)
        counts: dict[int, int] = dict(folded.groupBy(number).count().collect())
        if counts:
            readable = readable.join(folded, PLACE, "left_anti")
        outputs = _write(work, readable, reports.row_bytes)
        return replace(found, outputs=outputs, folded=_by_day(plan, counts))


def _persisted(frame: DataFrame, kept: ExitStack) -> DataFrame:
    """The frame, worked out once and then on the executors' disks until the block ends."""
    frame.persist(StorageLevel.DISK_ONLY)
    kept.callback(_unpersist, frame)
    return frame


def _unpersist(frame: DataFrame) -> None:
    with suppress(*TROUBLE):  # what ended the block is to be told, not that Spark has gone since
        frame.unpersist()


# --- Read -------------------------------------------------------------------------------------------------------------


def _read(work: Work) -> DataFrame:
    plan, lake = work.plan, work.lake
    known = lake.quarantined_names() if plan.logs else frozenset[str]()
    items: list[dict[str, Any]] = [
        *({"raw": asdict(item), "size": item.size} for item in plan.inputs),
        *(
            {"log": asdict(log), "size": log.size, "quarantined": raw_name(log.source_key, log.version) in known}
            for log in plan.logs
        ),
    ]
    numbered = [{**item, "number": number} for number, item in enumerate(items)]
    groups = group_by_size(numbered, size_of=lambda item: int(item["size"]), cores=work.cores)
    # What is kept is not made fewer by its size, as other shuffles are: a small lake would be two hundred empty tasks.
    work.spark.conf.set("spark.sql.shuffle.partitions", str(count_shuffle_parts(len(groups), cores=work.cores)))
    read = ReadInputs(lake.uri, plan.ingest_date, work.rows_read)
    return work.tasks(groups).mapInArrow(read, ddl_of(READ_SCHEMA))


def _reports(rows: DataFrame) -> _Reports:
    found = [json.loads(row[0]) for row in rows.where(f"{REPORT} IS NOT NULL").select(REPORT).collect()]
    found.sort(key=lambda report: int(report["number"]))
    return _Reports(
        {report["number"]: report["unreadable"] for report in found if "unreadable" in report},
        tuple(Input(**report["input"]) for report in found if "input" in report),
        sum(report["bytes"] for report in found),
    )


def _name_of(plan: Plan, number: int) -> str:
    """What an input is called where it is left out."""
    logs = number - len(plan.inputs)
    return plan.inputs[number].key if logs < 0 else plan.logs[logs].source_key


def _by_day(plan: Plan, counts: Mapping[int, int]) -> dict[str, int]:
    """Counts of inputs by number as counts by the day they arrived."""
    days: dict[str, int] = {}
    for number, count in sorted(counts.items()):
        day = day_of(plan.inputs[number].key) if number < len(plan.inputs) else plan.ingest_date
        days[day] = days.get(day, 0) + count
    return days


# --- Fold -------------------------------------------------------------------------------------------------------------


def _fold(work: Work, kept: ExitStack) -> DataFrame:
    """Places of the rows to drop."""
    spark = work.spark
    before = _folded_before(work, kept)
    repeated = _persisted(spark.sql(REPEATED_SQL), kept)
    if not repeated.count():  # all of them, so that their size is known to the join with them
        return before
    repeated.createOrReplaceTempView("repeated")
    suspects = _persisted(spark.sql(SUSPECTS_SQL), kept)
    suspects.createOrReplaceTempView("suspects")
    gone = _persisted(spark.sql(REDELIVERED_SQL).union(before).distinct(), kept)
    gone.createOrReplaceTempView("gone")
    return gone.union(spark.sql(COPIES_SQL))


def _folded_before(work: Work, kept: ExitStack) -> DataFrame:
    """Rows that an earlier batch holds: only files of touched days are looked at, and read only if a log object comes again."""
    spark, lake = work.spark, work.lake
    nothing = spark.createDataFrame([], f"{PLACE} bigint")
    earlier = [output for commit in lake.commits() if commit.batch < work.plan.batch for output in commit.outputs]
    if not earlier:
        return nothing
    days = {day for (day,) in spark.sql("SELECT DISTINCT event_date FROM input").collect()}
    sizes = {output.key: output.size for output in earlier if day_of(output.key) in days}
    if not sizes:
        return nothing
    _persisted(spark.sql("SELECT DISTINCT source_key FROM input"), kept).createOrReplaceTempView("log_objects")
    groups = group_by_size(sizes, size_of=lambda key: sizes[key] // _KEYS_SHARE, cores=work.cores)
    keys = work.tasks(groups).mapInArrow(ReadCommitted(lake.uri, keys_only=True), "file string, source_key string")
    keys.createOrReplaceTempView("committed_keys")
    again = sorted(file for (file,) in spark.sql(AGAIN_SQL).collect())
    if not again:
        return nothing
    groups = group_by_size(again, size_of=lambda key: sizes[key], cores=work.cores)
    committed = work.tasks(groups).mapInArrow(ReadCommitted(lake.uri, keys_only=False), ddl_of(COMMITTED_SCHEMA))
    committed = committed.join(spark.table("log_objects"), "source_key", "left_semi").select(*COMMITTED_SCHEMA.names)
    _persisted(committed, kept).createOrReplaceTempView("committed")
    return spark.sql(FOLDED_BEFORE_SQL)


# --- Write ------------------------------------------------------------------------------------------------------------


def _write(work: Work, rows: DataFrame, row_bytes: int) -> tuple[Output, ...]:
    """Files of the rows. The order is total, so a part that is worked out again holds the same rows; one bucket's day, however
    large, spreads over as many parts as it needs.
    """
    lake, plan = work.lake, work.plan
    parts = count_parts(row_bytes, target_bytes=work.target_bytes, cores=work.cores)
    sorted_by = [expr(text) for text in SORTED_BY]
    ordered = rows.repartitionByRange(parts, *sorted_by).sortWithinPartitions(*sorted_by).select(*SCHEMA.names)
    write = WriteFiles(lake.uri, plan.batch, work.attempt, work.target_bytes, work.rows_written)
    written = read_written([row[0] for row in ordered.mapInArrow(write, ddl_of(WRITTEN)).collect()])
    outputs, names = number_files(written, batch=plan.batch, attempt=work.attempt)
    if outputs:
        groups = group_by_size(names.items(), size_of=lambda _: _NAMING_BYTES, cores=work.cores)
        work.tasks(groups).mapInArrow(NameFiles(lake.uri), ddl_of(WRITTEN)).collect()
    return outputs
