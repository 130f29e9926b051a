"""What the detections find in a period, and who still signs with SigV2; nothing is written down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from etl.detect import (
    OBJECT_DETECTIONS,
    SEVERITIES,
    Migration,
    detect_file,
    detect_sigv2,
    plan_migration,
    take_inventory,
)
from etl.query import bind, list_queries, run_query, to_duckdb
from etl.report._data import Detected, Example, Period
from etl.schema import SCHEMA

if TYPE_CHECKING:
    import duckdb

    from etl.lake._snapshot import Snapshot
    from etl.query import Query

_FOLDER: Final = "detections/"
_FIRST_DAY, _LAST_DAY = "0001-01-01", "9999-12-31"
_EXAMPLES: Final = 5
_TELLING: Final = ("parameter", "tls", "source_region", "operation", "error_code", "parse_status")
"""Columns of which the first that a detection has says what was done."""
_SIGV2, _UNDECIDABLE = OBJECT_DETECTIONS


class Sigv2:
    """All requests of the period that are signed with SigV2, and lines of which nobody can tell, each once."""

    def __init__(self, snapshot: Snapshot, period: Period) -> None:
        first, last = period.since or _FIRST_DAY, period.until or _LAST_DAY
        nothing = detect_sigv2(SCHEMA.empty_table())
        files = [file for file in snapshot.compacted if first <= file.day <= last]
        found = [detect_file(file.path, filesystem=snapshot.filesystem) for file in (*files, *snapshot.raw)]
        self.hits = _fold([nothing.hits, *(each.hits for each in found)], first, last)
        self.undecidable = _fold([nothing.undecidable, *(each.undecidable for each in found)], first, last)

    def count_days(self) -> Counter[str]:
        """Requests by event day."""
        if not self.hits.num_rows:
            return Counter()
        return Counter(_days(self.hits).to_pylist())

    def plan(self, *, newest_day: str) -> tuple[Migration, ...]:
        """The inventory, and what there is to do."""
        return plan_migration(take_inventory(self.hits), newest_day=newest_day) if self.hits.num_rows else ()


def run_detections(
    connection: duckdb.DuckDBPyConnection, period: Period, *, newest_day: str
) -> dict[str, tuple[Query, pa.Table]]:
    """What the detections that are SQL find, by name. `connection` sees all days: some compare with what was before."""
    queries = {name: query for name, query in _detections().items() if name not in OBJECT_DETECTIONS}
    return {name: (query, _run(connection, query, period, newest_day)) for name, query in queries.items()}


def describe_detections(found: Mapping[str, tuple[Query, pa.Table]], sigv2: Sigv2) -> tuple[Detected, ...]:
    """All detections, those that look at files too, the gravest first."""
    queries = _detections()
    by_file = {_SIGV2: sigv2.hits, _UNDECIDABLE: sigv2.undecidable}
    every = dict(found) | {name: (queries[name], rows) for name, rows in by_file.items()}
    detected = [_detected(name, query, rows) for name, (query, rows) in every.items()]
    return tuple(sorted(detected, key=lambda each: (SEVERITIES.index(each.severity), each.name)))


def _detections() -> dict[str, Query]:
    return {query.name.removeprefix(_FOLDER): query for query in list_queries() if query.name.startswith(_FOLDER)}


def _run(connection: duckdb.DuckDBPyConnection, query: Query, period: Period, newest_day: str) -> pa.Table:
    values = {"until": period.until or _LAST_DAY}
    if period.since:
        values["since"] = period.since
    elif not any(parameter.name == "history" for parameter in query.parameters):
        values["since"] = _FIRST_DAY
    return run_query(connection, to_duckdb(bind(query, values, newest_day=newest_day))).read_all()


def _detected(name: str, query: Query, rows: pa.Table) -> Detected:
    if "requests" not in rows.column_names:
        rows = rows.append_column("requests", pa.repeat(1, rows.num_rows))
        rows = rows.append_column("last_request", rows.column("request_time"))
    keys = [("requests", "descending"), ("last_request", "descending"), ("source_key", "ascending")]
    busiest = pc.sort_indices(rows.select([name for name, _ in keys]), sort_keys=keys).slice(0, _EXAMPLES)
    return Detected(
        name,
        query.severity,
        query.question,
        query.remedy,
        findings=rows.num_rows,
        requests=pc.sum(rows.column("requests")).as_py() or 0,
        examples=tuple(_example(row) for row in rows.take(busiest).to_pylist()),
    )


def _example(row: dict[str, Any]) -> Example:
    return Example(
        row.get("bucket_name"),
        row.get("requester") or row.get("remote_ip"),
        next((str(row[name]) for name in _TELLING if row.get(name)), ""),
        row["requests"],
        row["last_request"],
    )


def _fold(tables: list[pa.Table], first: str, last: str) -> pa.Table:
    """The rows of these days, each once: Firehose may have written one twice."""
    rows = pa.concat_tables(tables)
    days = _days(rows)
    rows = rows.filter(pc.and_(pc.greater_equal(days, first), pc.less_equal(days, last)))
    numbered = rows.select(["source_key", "line_no"]).append_column("place", pa.array(range(rows.num_rows), pa.int64()))
    places = numbered.group_by(["source_key", "line_no"], use_threads=False).aggregate([("place", "min")])
    return rows.take(places.column("place_min"))


def _days(rows: pa.Table) -> pa.ChunkedArray:
    return pc.strftime(rows.column("request_time"), format="%Y-%m-%d")
