"""The quality of the log itself: what could not be read, came twice, came late, or is missing."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from etl.audit import Audit
from etl.lake._layout import day_of
from etl.report._data import Arrivals, Quality, QuarantineReason
from etl.report._requests import read_rows

if TYPE_CHECKING:
    import duckdb

    from etl.lake import Commit

_ON_TIME: Final = dt.timedelta(days=1)
"""S3 delivers within hours, and a day's last requests on the next day."""


def assess_quality(
    connection: duckdb.DuckDBPyConnection, commits: list[Commit], audit: Audit, *, unreadable: tuple[str, ...]
) -> Quality:
    """Of the whole lake, whatever days the report is about: a line that could not be read has no day."""
    reasons = read_rows(
        connection,
        "SELECT reason, count(DISTINCT (source_key, line_no)) AS lines, min(source_key) AS source_key, "
        "arg_min(line_no, (source_key, line_no)) AS line_no FROM access_logs_quarantine GROUP BY reason "
        "ORDER BY lines DESC, reason",
    )
    waiting = read_rows(
        connection,
        "SELECT count(*) AS late FROM access_logs_raw "
        "WHERE request_time < TRY_CAST(ingest_date AS timestamp) - INTERVAL 1 DAY",
    )
    return Quality(
        quarantine=tuple(QuarantineReason(**row) for row in reasons),
        folded=sum(sum(commit.folded.values()) for commit in commits),
        late=waiting[0]["late"] + sum(_late_rows(commit) for commit in commits),
        left_out=(*audit.left_out, *unreadable),
        stragglers=len(audit.stragglers),
        days_beyond_today=audit.days_beyond_today,
        problems=audit.problems,
        is_ok=audit.ok,
        arrivals=tuple(
            Arrivals(day.ingest_date, day.log_objects, day.lines, day.rows, day.quarantined, day.folded, day.ok)
            for day in audit.days
        ),
    )


def _late_rows(commit: Commit) -> int:
    """Rows of days that were over before the day on which the first of the batch's log objects arrived."""
    arrived = [day for item in commit.inputs if (day := day_of(item.key))]
    if not arrived:
        return 0
    in_time = (dt.date.fromisoformat(min(arrived)) - _ON_TIME).isoformat()
    return sum(output.rows for output in commit.outputs if day_of(output.key) < in_time)
