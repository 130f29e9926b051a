"""SQL for Spark that finds the rows to drop because they stand twice: what `etl.compact` folds, over any number of machines.

`input` holds the rows, each with its `place`: the input's number in the upper half, the row's number in the lower. Places tell
rows apart, and their order is that of the inputs' names. Only five columns of most rows are read, and only a hash of them
travels: it finds the few rows worth comparing, and equality is of all fields.

That holds while the hashes that stand twice are few enough to be sent to every executor (Spark's 10 MB, some million of them),
and known before the join with them is planned: what Spark estimates of them grows with all rows, and it has shuffled those by the
time it knows better. With more of them the rows themselves are shuffled once more: slower, and no less right. So they may be if
log objects come again that an earlier batch holds rows of.
"""

from __future__ import annotations

from typing import Final

from etl.compact import CONTENT

_CLUE: Final = "xxhash64(request_time, request_id, operation, key_name, version_id)"

REPEATED_SQL: Final = f"SELECT {_CLUE} AS clue FROM input GROUP BY 1 HAVING count(*) > 1"
"""Hashes of more rows than one."""

SUSPECTS_SQL: Final = f"""
SELECT {CONTENT}, source_key, line_no, place FROM input LEFT SEMI JOIN repeated ON {_CLUE} = repeated.clue
"""
"""All rows that may be equal to another one of the batch."""

REDELIVERED_SQL: Final = f"""
SELECT place FROM (
    SELECT place, row_number() OVER (PARTITION BY {CONTENT}, source_key, line_no ORDER BY place) AS delivery FROM suspects
) WHERE delivery > 1
"""

AGAIN_SQL: Final = "SELECT DISTINCT file FROM committed_keys LEFT SEMI JOIN log_objects USING (source_key)"
"""Committed files with rows of log objects that come again."""

_SAME: Final = " AND ".join(f"new.{name} <=> old.{name}" for name in CONTENT.split(", "))

FOLDED_BEFORE_SQL: Final = f"""
WITH again AS (SELECT * FROM input LEFT SEMI JOIN (SELECT DISTINCT source_key FROM committed) USING (source_key))
SELECT new.place FROM again AS new
LEFT SEMI JOIN committed AS old ON new.source_key = old.source_key AND new.line_no = old.line_no AND {_SAME}
"""
"""Rows that an earlier batch holds already."""

COPIES_SQL: Final = f"""
WITH left_over AS (SELECT * FROM suspects LEFT ANTI JOIN gone USING (place)),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY {CONTENT}, source_key ORDER BY line_no NULLS LAST) AS twin FROM left_over
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY {CONTENT}, twin ORDER BY source_key NULLS LAST) AS copy FROM numbered
)
SELECT place FROM ranked WHERE copy > 1
"""
"""Lines that S3 delivered in two log objects; `gone` are the places that the others found."""
