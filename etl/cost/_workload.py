"""How much there is to do: what the caller says, and what follows from measurements. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from etl.errors import BadParameter

DAYS: Final = 30
"""Days of the month that is billed."""
GB: Final = 1e9
"""As in the published examples; where AWS counts 2**30, the bill is 7 % lower."""

BYTES_PER_LINE: Final = 680
"""Of generated lines of all layouts (`benchmarks/run_firehose.py`)."""
DOCUMENT_SHARE: Final = 1.32
"""Bytes of our JSON documents for a byte of log, the same benchmark; 125 bytes of a document name its log object."""
RECIPE_SHARE: Final = 1.64
"""The same for the documents of the 2019 recipe, which have long keys, nulls and spaces, and no name of the log object."""
VENDED_SHARE: Final = 1.27
"""The same for AWS's own JSON: the low end of what is estimated, 0.7 GB a million lines of 550 bytes."""
RAW_SHARE: Final = 0.30
"""Bytes of snappy Parquet for a byte of log: 227 of 749 on synthetic lines."""
COMPACTED_SHARE: Final = 0.19
"""The same for zstd: 145 of 749."""

STEP_BYTES: Final = 5_000
"""Firehose bills each record in steps of 5 KB, and conversion on the same bytes (https://aws.amazon.com/firehose/pricing/)."""
RECORD_BYTES: Final = 255_000
RECORD_DOCUMENTS: Final = 500
"""Where a record of ours is full: `etl.sinks`."""
CALL_BYTES: Final = 3 << 20
BUFFER_BYTES: Final = 128 << 20
BUFFER_SECONDS: Final = 900
"""Firehose writes an object when either is reached."""

BATCH_MESSAGES: Final = 10
"""Log objects of an invocation of the parser: few, so that quiet buckets are not flattered."""
LAMBDA_GB: Final = 1769 / 1024
"""Memory at which a function has one whole processor."""
GET_SECONDS: Final = 0.03
"""Wait for one object; one after the other, although they are read concurrently."""
CALL_SECONDS: Final = 0.06
LINES_PER_SECOND: Final = 35_000
"""Parsing and encoding: assumed, a fraction of what is measured on a laptop."""
SQS_REQUESTS: Final = 1.2
"""For each message: it is sent once, and received and deleted in batches."""
LOG_DAYS: Final = 90
"""The template's default for the text logs; they cost more than the lake, and a shorter time is as good once it is audited."""
RAW_DAYS: Final = 8
"""Raw objects live for the grace period of seven days after their compaction."""
COMPACT_ROWS_PER_SECOND: Final = 50_000
COMPACT_GB: Final = 3_008 / 1024
COMPACT_REQUESTS: Final = 4
"""For each raw object: its footer and its bytes, each looked for and read."""
DETECT_GB: Final = 1.0
DETECT_ROWS_PER_SECOND: Final = 500_000
DETECT_SECONDS: Final = 0.05
"""For each raw object: its request, and whether findings of it are there. Both are assumed."""
DETECT_REQUESTS: Final = 2
"""Of a raw object up to 4 MiB one, of a larger one some more, for its footer and a few columns."""
METRICS: Final = 15
COMPACTION_METRICS: Final = 10
"""Sent once a day, and paid for by the hour (https://aws.amazon.com/cloudwatch/pricing/)."""
DETECTION_METRICS: Final = 5
"""Of which three are sent only where something is found; what is sent in trouble is not counted."""
ALARMS: Final = 15
QUERY_DAYS: Final = 7
QUERY_SHARE: Final = 0.25
"""What a query reads: a week, and a quarter of the bytes, its columns."""

_MOST: Final = 10**13


@dataclass(frozen=True)
class Workload:
    """What arrives, how long it is kept, and how often it is queried. Raises `BadParameter` for what cannot be."""

    lines_per_day: int
    bytes_per_line: int = BYTES_PER_LINE
    lines_per_object: int = 1_000
    days_kept: int = 365
    queries_per_day: int = 0

    def __post_init__(self) -> None:
        """Only what makes sense is estimated."""
        _check("lines-per-day", self.lines_per_day, 1, _MOST)
        _check("bytes-per-line", self.bytes_per_line, 1, 700_000)
        _check("lines-per-object", self.lines_per_object, 1, _MOST)
        _check("days-kept", self.days_kept, 0, 36_500)
        _check("queries-per-day", self.queries_per_day, 0, 10**9)

    @property
    def lines(self) -> float:
        """Lines of a month."""
        return float(self.lines_per_day * DAYS)

    @property
    def log_bytes(self) -> float:
        """Bytes of log of a month."""
        return self.lines * self.bytes_per_line

    @property
    def objects(self) -> float:
        """Log objects of a month."""
        return self.lines / self.lines_per_object

    @property
    def batches(self) -> float:
        """Invocations of the parser."""
        return self.objects / BATCH_MESSAGES


def billed_record_bytes(size: float) -> int:
    """What Firehose bills for a record of that many bytes."""
    return -int(-size // STEP_BYTES) * STEP_BYTES


def documents_per_record(document_bytes: float) -> int:
    """How many documents of that size a record of ours takes."""
    return max(1, min(RECORD_DOCUMENTS, int(RECORD_BYTES // document_bytes)))


def packed_bytes(lines: float, document_bytes: float, *, batches: float) -> float:
    """What Firehose bills for so many documents, packed; the last record of each batch loses half a step on average."""
    documents = documents_per_record(document_bytes)
    return lines / documents * billed_record_bytes(documents * document_bytes) + batches * STEP_BYTES / 2


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise BadParameter(f"--{name}", f"{value} cannot be estimated", hint=f"a number from {least} to {most:,}")
