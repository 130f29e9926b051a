"""SQL that drops rows which stand twice, and only those.

A row is (source_key, line_no); whatever delivers it again delivers it equal. (Two different rows of one name come from a file
that was written over: both stay.) S3 itself also delivers a line in two log objects, which shows as equal rows of different
objects; a line that stands twice in one object is two requests. So what was delivered again goes first; the equal rows that are
left are numbered within their object, and of rows that are equal and have the same number the first object's is kept
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html#LogDeliveryBestEffort: "might even be delivered
twice"). Equality is of all fields, never of a hash alone: a hash of some columns only finds the few rows worth comparing.

A row of the table `input` is told from all others by its place, (raw_object, file_row): one raw object may hold a row twice, for
Firehose delivers at least once.
"""

from __future__ import annotations

from typing import Final

from etl.schema import WIRE_FIELDS

CONTENT: Final = ", ".join([*(field.name for field in WIRE_FIELDS), "extra_fields", "raw_line"])
"""The columns that make two rows the same line; bytes that are not UTF-8 show in `raw_line` alone."""

_CLUE: Final = "hash(request_time, request_id, operation, key_name, version_id)"

REPEATED_SQL: Final = f"""
CREATE TEMP TABLE repeated AS SELECT {_CLUE} AS clue FROM input GROUP BY ALL HAVING count(*) > 1
"""
"""Clues that more than one row gives; of most rows nothing but these five columns is read."""

SUSPECTS_SQL: Final = f"""
CREATE TEMP TABLE suspects AS
SELECT {CONTENT}, source_key, line_no, raw_object, file_row FROM input WHERE {_CLUE} IN (FROM repeated)
"""
"""All rows that may be equal to another one."""

REDELIVERED_SQL: Final = f"""
CREATE TEMP TABLE folded AS
SELECT raw_object, file_row FROM (
    SELECT raw_object, file_row,
        row_number() OVER (PARTITION BY {CONTENT}, source_key, line_no ORDER BY raw_object, file_row) AS delivery
    FROM suspects
) WHERE delivery > 1
"""

_SAME: Final = " AND ".join(f"new.{name} IS NOT DISTINCT FROM old.{name}" for name in CONTENT.split(", "))

FOLDED_BEFORE_SQL: Final = f"""
INSERT INTO folded
SELECT new.raw_object, new.file_row
FROM input AS new
SEMI JOIN committed AS old ON new.source_key = old.source_key AND new.line_no = old.line_no AND {_SAME}
ANTI JOIN folded AS gone ON new.raw_object = gone.raw_object AND new.file_row = gone.file_row
"""
"""Rows that an earlier batch holds already; `committed` has only the log objects that come again."""

COPIES_SQL: Final = f"""
INSERT INTO folded
WITH left_over AS (SELECT * FROM suspects ANTI JOIN folded USING (raw_object, file_row)),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY {CONTENT}, source_key ORDER BY line_no) AS twin FROM left_over
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY {CONTENT}, twin ORDER BY source_key) AS copy FROM numbered
)
SELECT raw_object, file_row FROM ranked WHERE copy > 1
"""
"""Lines that S3 delivered in two log objects."""

KEPT_SQL: Final = "SELECT input.* FROM input ANTI JOIN folded USING (raw_object, file_row)"
