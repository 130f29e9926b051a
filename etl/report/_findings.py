"""What the detections find in a period, and who still signs with SigV2; nothing is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from etl.detect import (
    OBJECT_DETECTIONS,
    Migration,
    detect_file,
    files_of_days,
    find_detections,
    join_detected,
    plan_migration,
    run_detection,
    take_inventory,
    within_days,
)
from etl.query import settled_columns
from etl.report._data import Detected, Example, Period, Told

if TYPE_CHECKING:
    import duckdb

    from etl.lake._snapshot import Snapshot
    from etl.query import Query

_EXAMPLES: Final = 5
_TELLING: Final = ("parameter", "tls", "source_region", "operation", "error_code", "parse_status", "key_name")
"""Columns of which the first that a detection has says what was done; one that is that of all requests is better."""
_SIGV2, _UNDECIDABLE = OBJECT_DETECTIONS
_SHOWN: Final = (
    *("source_key", "line_no", "request_time", "bucket_name"),
    *("remote_ip", "requester", "operation", "user_agent", "authentication_type"),
)
"""What of a SigV2 request is counted or named: neither keys nor URIs, which are most of a file."""


class Sigv2:
    """All requests of the period that are signed with SigV2, and lines of which nobody can tell, each once."""

    def __init__(self, snapshot: Snapshot, period: Period) -> None:
        days = _days(period)
        files = files_of_days(snapshot, **days)
        found = (detect_file(each.path, filesystem=snapshot.filesystem, shown=_SHOWN) for each in files)
        sigv2 = join_detected(within_days(each, **days) for each in found)
        self.hits = sigv2.hits
        self.undecidable = sigv2.undecidable

    def count_days(self) -> Counter[str]:
        """Requests by event day."""
        return Counter(pc.strftime(self.hits.column("request_time"), format="%Y-%m-%d").to_pylist())

    def plan(self, *, last_day: str) -> tuple[Migration, ...]:
        """The inventory, and what there is to do."""
        return plan_migration(take_inventory(self.hits), last_day=last_day) if self.hits.num_rows else ()


def run_detections(connection: duckdb.DuckDBPyConnection, period: Period, *, newest_day: str) -> dict[str, pa.Table]:
    """What the detections that are SQL find, by name. `connection` sees all days: some compare with what was before."""
    days = _days(period)
    return {
        name: run_detection(connection, query, **days, newest_day=newest_day)
        for name, query in find_detections().items()
        if name not in OBJECT_DETECTIONS
    }


def describe_detections(found: Mapping[str, pa.Table], sigv2: Sigv2) -> tuple[Detected, ...]:
    """All detections, those that look at files too, the gravest first."""
    every = {**found, _SIGV2: sigv2.hits, _UNDECIDABLE: sigv2.undecidable}
    return tuple(_detected(name, query, every[name]) for name, query in find_detections().items())


def _days(period: Period) -> dict[str, str | None]:
    return {"since": period.since or None, "until": period.until or None}


def _detected(name: str, query: Query, rows: pa.Table) -> Detected:
    if "requests" not in rows.column_names:
        rows = rows.append_column("requests", pa.repeat(1, rows.num_rows))
        rows = rows.append_column("last_request", rows.column("request_time"))
    keys = [("requests", "descending"), ("last_request", "descending"), ("source_key", "ascending")]
    settled = settled_columns(query)
    busiest = pc.sort_indices(rows.select([name for name, _ in keys]), sort_keys=keys).slice(0, _EXAMPLES)
    return Detected(
        name,
        query.severity,
        query.question,
        query.remedy,
        findings=rows.num_rows,
        requests=pc.sum(rows.column("requests")).as_py() or 0,
        examples=tuple(_example(row, settled) for row in rows.take(busiest).to_pylist()),
    )


def _example(row: dict[str, Any], settled: Collection[str]) -> Example:
    """A finding with all that is true of it: beside the count of a group, its first line must not pass for the whole of it.

    A column that a condition pins need not be among those that are shown: nobody was authenticated, say.
    """

    def tell(name: str) -> Told | None:
        if name not in row and name not in settled:
            return None
        return Told(row.get(name), row["requests"] == 1 or name in settled)

    telling = [
        Told(_spell(name, row[name]), told.is_of_all) for name in _TELLING if row.get(name) and (told := tell(name))
    ]
    someone, place = tell("requester"), tell("remote_ip")
    is_named = someone is not None and someone.is_of_all and someone.text is not None
    return Example(
        tell("bucket_name"),
        someone,
        None if is_named and place is not None and not place.is_of_all else place,
        next((each for each in telling if each.is_of_all), telling[0] if telling else None),
        row["requests"],
        row["last_request"],
    )


def _spell(name: str, value: Any) -> str:
    """As S3 writes it: the detection compares TLS versions in capitals (`TLSV1`)."""
    return str(value).replace("V", "v") if name == "tls" else str(value)
