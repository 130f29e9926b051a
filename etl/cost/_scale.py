"""What a day of lines asks of each part and engine: arithmetic on what was measured and what AWS allows. Pure.

Figures without a source here are of `docs/benchmarks.md`, where a test finds them again. Those of `_workload` are assumed, and
on the safe side of what was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from etl.cost import _limits as limit
from etl.cost import _prices as price
from etl.cost import _workload as given
from etl.cost._estimate import cost
from etl.cost._workload import DAYS, Workload

VOLUMES: Final = (1_000_000, 100_000_000, 1_000_000_000, 10_000_000_000)
"""Lines a day."""
DAY_SECONDS: Final = 86_400
PEAK: Final = 3
"""The busiest hour beside the mean: assumed. S3 delivers in bursts, and the queue evens out what is shorter than hours."""

RAW_BYTES: Final = 167.6
COMPACTED_BYTES: Final = 93.3
PACKED_LINES_PER_SECOND: Final = 175_000
INGEST_LINES_PER_SECOND: Final = 84_000
LOCAL_ROWS_PER_SECOND: Final = 149_000
SPARK_ROWS_PER_SECOND: Final = 35_500
"""Of ten million rows, from the start of the command to its end."""
MEASURED_CPUS: Final = 2
RECORD_BYTES: Final = 250
"""Of one raw object in a plan, and again in a commit."""

SCRATCH_SHARE: Final = 3.3
"""Disk for a byte of raw file (`docs/deploy.md`)."""
OBJECT_SECONDS: Final = 0.12
"""To look at a raw object in S3 and to read it: assumed, as `docs/deploy.md` has it. Sixteen at once are not reckoned with."""
PUBLISHED_BYTES_PER_SECOND: Final = 200_000_000
"""Of compacted files that whoever runs compaction, Spark's driver too, copies within a bucket, side by side: assumed."""
COMPACTOR_BYTES: Final = 2560 << 20
COMPACTOR_OBJECTS: Final = 5_000
"""More than either is refused by the compaction function: `etl.lambdas.compact`."""
PARSER_MESSAGES: Final = 500
"""Of a batch of the parser."""
STATEMENT_ROWS: Final = 100_000_000
"""Of one UNLOAD: `etl.athena`."""
STATEMENT_READS: Final = 2
"""How often a statement reads all columns, at least: once to number rows that may have an equal, once for the others. Counted in
the SQL, since Athena keeps no result of a WITH for its second use."""
ATHENA_LEAST_BYTES: Final = 10_000_000
SCAN_CUTOFF_BYTES: Final = 100_000_000_000
"""The workgroup's, by default."""


@dataclass(frozen=True)
class Arrivals:
    """A day's lines, spread as S3 spreads them over log objects."""

    lines: int
    lines_per_object: int = 1_000

    @property
    def per_second(self) -> float:
        """Lines, on average."""
        return self.lines / DAY_SECONDS

    @property
    def text_bytes(self) -> float:
        """As S3 delivers them."""
        return self.lines * float(given.BYTES_PER_LINE)

    @property
    def document_bytes(self) -> float:
        """As Firehose takes them."""
        return self.text_bytes * given.DOCUMENT_SHARE

    @property
    def raw_bytes(self) -> float:
        """As Firehose writes them."""
        return self.lines * RAW_BYTES

    @property
    def log_objects(self) -> float:
        """Log objects, which are messages of the queue, GETs, and with the direct sink raw objects."""
        return self.lines / self.lines_per_object

    @property
    def firehose_calls(self) -> float:
        """PutRecordBatch requests of full size."""
        return self.document_bytes / given.CALL_BYTES

    @property
    def firehose_objects(self) -> float:
        """Raw objects: one whenever the buffer is full or its time is up."""
        return max(self.document_bytes / given.BUFFER_BYTES, min(DAY_SECONDS / given.BUFFER_SECONDS, self.log_objects))

    @property
    def firehose_mib_per_second(self) -> float:
        """In the busiest hour."""
        return self.document_bytes / (1 << 20) / DAY_SECONDS * PEAK

    def functions(self, *, peak: float = PEAK) -> float:
        """Parsers at work at the same time, each with one processor."""
        parsing = self.lines / given.LINES_PER_SECOND
        waiting = self.log_objects * given.GET_SECONDS + self.firehose_calls * given.CALL_SECONDS
        return (parsing + waiting) / DAY_SECONDS * peak

    def record_bytes(self, *, raw_objects: float) -> float:
        """Commit records of a year, which every run of compaction reads."""
        return raw_objects * RECORD_BYTES * 365


def firehose_lines(mib_per_second: float) -> float:
    """Lines a day that a stream with this quota takes in its busiest hour."""
    return mib_per_second * (1 << 20) * DAY_SECONDS / (given.BYTES_PER_LINE * given.DOCUMENT_SHARE) / PEAK


def billed_as_amazon_counts() -> float:
    """What a full record costs in kilobytes of 1,024 bytes and gigabytes of 2**30, beside what `cost` says.

    AWS's pricing examples have those gigabytes, and steps of 5,120 bytes: https://aws.amazon.com/firehose/pricing/ .
    """
    document = given.BYTES_PER_LINE * given.DOCUMENT_SHARE
    size = given.documents_per_record(document) * document
    theirs = math.ceil(size / 5_120) * 5_120 / (1 << 30)
    return theirs / (given.billed_record_bytes(size) / given.GB)


def way_in_usd(lines: int, sink: str) -> float:
    """A day of reading, sending and converting."""
    name = f"accesslake, {sink}"
    return next(item.usd for item in cost(Workload(lines)).alternatives if item.name == name) / DAYS


# --- Compaction of a day ----------------------------------------------------------------------------------------------


def compactor_lines(sink: str, *, lines_per_object: int = 1_000) -> float:
    """The most lines a day that the compaction function takes: by bytes, number of files and time, whichever is first."""
    by_size = COMPACTOR_BYTES / RAW_BYTES
    by_time = limit.LAMBDA_SECONDS.value * given.COMPACT_ROWS_PER_SECOND
    by_number = COMPACTOR_OBJECTS * lines_per_object if sink == "parquet" else math.inf
    return min(by_size, by_time, by_number)


def compactor_usd(lines: float) -> float:
    """Of the compaction function's time."""
    return lines / given.COMPACT_ROWS_PER_SECOND * given.COMPACT_GB * price.LAMBDA_ARM.usd


def machine_seconds(lines: float, *, raw_objects: float) -> float:
    """On one machine of two processors."""
    return lines / LOCAL_ROWS_PER_SECOND + raw_objects * OBJECT_SECONDS


def machine_usd(lines: float, *, raw_objects: float) -> float:
    """Of a machine that is paid for while it runs."""
    return machine_seconds(lines, raw_objects=raw_objects) / 3600 * limit.MACHINE.usd


def spark_disks(lines: float) -> int:
    """Workers whose disks hold the rows, if Spark spilled as much as the local engine: not measured."""
    return math.ceil(lines * RAW_BYTES * SCRATCH_SHARE / (limit.GLUE_DISK.value * 1e9))


def published_lines(seconds: float) -> float:
    """Lines whose compacted files are published in so many seconds."""
    return seconds * PUBLISHED_BYTES_PER_SECOND / COMPACTED_BYTES


def machine_lines(seconds: float, *, lines_per_raw_object: float) -> float:
    """Lines that one machine compacts in so many seconds."""
    return seconds / machine_seconds(1, raw_objects=1 / lines_per_raw_object)


def lines_per_firehose_object() -> float:
    """Of a full buffer."""
    return given.BUFFER_BYTES / (given.BYTES_PER_LINE * given.DOCUMENT_SHARE)


def athena_statements(lines: float) -> int:
    """UNLOADs for a day whose hours are equal; an hour is never divided."""
    hours = min(24, max(1, int(STATEMENT_ROWS / (lines / 24))))
    return math.ceil(24 / hours)


def athena_usd(lines: float) -> float:
    """Of the bytes scanned: each UNLOAD reads all raw objects of the plan, and so does the count of what is folded."""
    scanned = (athena_statements(lines) + 1) * max(STATEMENT_READS * lines * RAW_BYTES, ATHENA_LEAST_BYTES)
    return scanned / 1e12 * price.ATHENA.usd


@dataclass(frozen=True)
class SparkRun:
    """A day's compaction on Spark, with as many workers as it takes to be done within the hour."""

    lines: float
    rows_per_second: float
    """Of one processor."""

    @property
    def executors(self) -> int:
        """Workers that work."""
        return max(1, math.ceil(self.lines / (self._worker * 3600)))

    @property
    def seconds(self) -> float:
        """Without starting."""
        return self.lines / (self._worker * self.executors)

    @property
    def glue_usd(self) -> float:
        """With the driver's worker, and the minute that is billed at least."""
        hours = max(self.seconds, limit.GLUE_LEAST_SECONDS.value) / 3600
        return (self.executors + 1) * hours * limit.GLUE.usd

    @property
    def emr_usd(self) -> float:
        """Of equal workers on EMR Serverless."""
        worker = limit.GLUE_VCPUS.value * limit.EMR_CPU.usd + 16 * limit.EMR_MEMORY.usd
        return (self.executors + 1) * max(self.seconds, limit.GLUE_LEAST_SECONDS.value) / 3600 * worker

    @property
    def _worker(self) -> float:
        return self.rows_per_second * limit.GLUE_VCPUS.value


def local_rows_per_cpu() -> float:
    """What one processor makes of the local engine."""
    return LOCAL_ROWS_PER_SECOND / MEASURED_CPUS


def spark_rows_per_cpu() -> float:
    """What one processor makes of Spark, on one machine."""
    return SPARK_ROWS_PER_SECOND / MEASURED_CPUS


def glue_beats_athena() -> float:
    """Rows a second of one processor above which Glue is cheaper than Athena, of a day that takes one statement."""
    athena = athena_usd(STATEMENT_ROWS) / STATEMENT_ROWS
    return limit.GLUE.usd / 3600 / limit.GLUE_VCPUS.value / athena


def athena_beats_least_glue() -> float:
    """Lines a day below which Athena is cheaper than the least that a run of Glue costs: two workers for a minute."""
    least = 2 * limit.GLUE_LEAST_SECONDS.value / 3600 * limit.GLUE.usd
    return least / (athena_usd(STATEMENT_ROWS) / STATEMENT_ROWS)
