"""SQL that drops rows which stand twice, and only those.

A row is (source_key, line_no); whatever delivers it again delivers it equal. (Two different rows of one name come from a file
that was written over: both stay.) S3 itself also delivers a line in two log objects, which shows as equal rows of different
objects; a line that stands twice in one object is two requests. So what was delivered again goes first; the equal rows that are
left are numbered within their object, and of rows that are equal and have the same number the first object's is kept
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html#LogDeliveryBestEffort: "might even be delivered
twice"). Equality is of all fields: a short hash of some columns only finds the rows worth comparing, and those are compared by
the SHA-256 of all that they hold, each field with its length. That is a twentieth of a row: where all rows come twice, or a day
comes again, whole rows would take many times the disk of the raw files.

A row of the table `input` is told from all others by its place, (raw_object, file_row): one raw object may hold a row twice, for
Firehose delivers at least once.
"""

from __future__ import annotations

from typing import Final

from etl.schema import RAW_TABLE_FIELDS, WIRE_FIELDS, Kind

CONTENT: Final = ", ".join([*(field.name for field in WIRE_FIELDS), "extra_fields", "raw_line"])
"""The columns that make two rows the same line; bytes that are not UTF-8 show in `raw_line` alone."""

_CLUE: Final = "hash(request_time, request_id, operation, key_name, version_id)"


def _field(name: str, kind: Kind) -> str:
    text = {Kind.STRING: name, Kind.TIMESTAMP: f"epoch_ms({name})::VARCHAR"}.get(kind, f"{name}::VARCHAR")
    return f"coalesce(strlen({text}) || ':' || {text}, '-')"


_KINDS: Final = {field.name: field.kind for field in RAW_TABLE_FIELDS}
_DIGEST: Final = f"unhex(sha256(concat({', '.join(_field(name, _KINDS[name]) for name in CONTENT.split(', '))})))"
"""Equal for equal rows, null being equal to null, and for no others."""

REPEATED_SQL: Final = f"""
CREATE TEMP TABLE repeated AS SELECT {_CLUE} AS clue FROM input GROUP BY ALL HAVING count(*) > 1
"""
"""Clues that more than one row gives; of most rows nothing but these five columns is read."""

SUSPECTS_SQL: Final = f"""
CREATE TEMP TABLE suspects AS
SELECT {_DIGEST} AS digest, source_key, line_no, raw_object, file_row FROM input WHERE {_CLUE} IN (FROM repeated)
"""
"""All rows that may be equal to another one."""

REDELIVERED_SQL: Final = """
CREATE TEMP TABLE folded AS
SELECT raw_object, file_row FROM (
    SELECT raw_object, file_row,
        row_number() OVER (PARTITION BY digest, source_key, line_no ORDER BY raw_object, file_row) AS delivery
    FROM suspects
) WHERE delivery > 1
"""

FOLDED_BEFORE_SQL: Final = f"""
INSERT INTO folded
WITH again AS (
    SELECT {_DIGEST} AS digest, source_key, line_no, raw_object, file_row
    FROM input SEMI JOIN (SELECT DISTINCT source_key FROM committed) USING (source_key)
)
SELECT raw_object, file_row
FROM again SEMI JOIN committed USING (source_key, line_no, digest) ANTI JOIN folded USING (raw_object, file_row)
"""
"""Rows that an earlier batch holds already; `committed` has only the log objects that come again."""


def committed_sql(source: str) -> str:
    """Rows of committed files, as far as they are compared; `objects` has the log objects of the batch."""
    return (
        f"SELECT {_DIGEST} AS digest, source_key, line_no FROM {source} "
        "WHERE source_key IN (SELECT source_key FROM objects)"
    )


COPIES_SQL: Final = """
INSERT INTO folded
WITH left_over AS (SELECT * FROM suspects ANTI JOIN folded USING (raw_object, file_row)),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY digest, source_key ORDER BY line_no) AS twin FROM left_over
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY digest, twin ORDER BY source_key) AS copy FROM numbered
)
SELECT raw_object, file_row FROM ranked WHERE copy > 1
"""
"""Lines that S3 delivered in two log objects."""

KEPT_SQL: Final = "SELECT input.* FROM input ANTI JOIN folded USING (raw_object, file_row)"
