"""SQL that drops rows which stand twice, and only those.

A row is (source_key, line_no); whatever delivers it again delivers it equal. S3 itself also delivers a line in two log
objects, which shows as equal rows of different objects; a line that stands twice in one object is two requests. So equal
rows are numbered within their object, and of rows that are equal and have the same number the first object's is kept
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html#LogDeliveryBestEffort: "might even be delivered twice").
Equality is of all fields, never of a hash alone: the hash only finds the few rows worth comparing.
"""

from __future__ import annotations

from typing import Final

from etl.schema import WIRE_FIELDS

CONTENT: Final = ", ".join([*(field.name for field in WIRE_FIELDS), "extra_fields"])
"""The columns that make two rows the same line."""

SUSPECTS_SQL: Final = f"""
CREATE OR REPLACE TEMP TABLE suspects AS
WITH hashed AS (SELECT *, hash({CONTENT}) AS content_hash FROM input),
     repeated AS (SELECT content_hash FROM hashed GROUP BY content_hash HAVING count(*) > 1)
SELECT * FROM hashed WHERE content_hash IN (SELECT content_hash FROM repeated)
"""

FOLDED_SQL: Final = f"""
CREATE OR REPLACE TEMP TABLE folded AS
WITH delivered AS (
    SELECT *, row_number() OVER (PARTITION BY {CONTENT}, source_key, line_no ORDER BY raw_object) AS delivery
    FROM suspects
), numbered AS (
    SELECT *, row_number() OVER (PARTITION BY {CONTENT}, source_key ORDER BY line_no) AS twin
    FROM delivered WHERE delivery = 1
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY {CONTENT}, twin ORDER BY source_key) AS copy FROM numbered
)
SELECT raw_object, source_key, line_no FROM delivered WHERE delivery > 1
UNION ALL
SELECT raw_object, source_key, line_no FROM ranked WHERE copy > 1
"""

_SAME: Final = " AND ".join(f"new.{name} IS NOT DISTINCT FROM old.{name}" for name in CONTENT.split(", "))

FOLDED_BEFORE_SQL: Final = f"""
INSERT INTO folded
SELECT new.raw_object, new.source_key, new.line_no
FROM input AS new
SEMI JOIN committed AS old ON new.source_key = old.source_key AND new.line_no = old.line_no AND {_SAME}
ANTI JOIN folded AS gone
    ON new.raw_object = gone.raw_object AND new.source_key = gone.source_key AND new.line_no = gone.line_no
"""
"""Rows that an earlier batch holds already; `committed` has only the log objects that come again."""

KEPT_SQL: Final = """
SELECT input.* FROM input ANTI JOIN folded
    ON input.raw_object = folded.raw_object AND input.source_key = folded.source_key AND input.line_no = folded.line_no
"""
