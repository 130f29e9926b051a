"""The detections that are SQL: `queries/detections/*.sql`, over everything that a connection sees."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from etl.detect._findings import SEVERITIES
from etl.errors import BadParameter

if TYPE_CHECKING:
    import duckdb

    from etl.query import Query

_FOLDER: Final = "detections/"
_FIRST_DAY, _LAST_DAY = "0001-01-01", "9999-12-31"


def find_detections(names: Iterable[str] = ()) -> dict[str, Query]:
    """The detections of these names, or all, by name, the gravest first. Raises `BadParameter` for one that there is not."""
    # Imported here: it needs DuckDB, and whoever looks at single files (`detect_file`) does not.
    from etl.query import list_queries

    found = {query.name.removeprefix(_FOLDER): query for query in list_queries() if query.name.startswith(_FOLDER)}
    asked = list(names) or list(found)
    for name in asked:
        if name not in found:
            near = difflib.get_close_matches(name.lower().replace("-", "_"), found, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(found)}"
            raise BadParameter(f"--detection {name}", "no detection of that name", hint=hint)
    return dict(sorted(((name, found[name]) for name in asked), key=lambda item: _gravity(item[1].severity, item[0])))


def run_detection(
    connection: duckdb.DuckDBPyConnection, query: Query, *, since: str | None, until: str | None, newest_day: str
) -> pa.Table:
    """The rows that a detection finds: first `source_key`, `line_no`, `requests`, `first_request`, `last_request`.

    Without days, all days of the lake. A detection that compares with what was before (it has a parameter `history`) looks at
    the year before `since` too: a default that counts back from the newest day would leave older days without a past.
    """
    from etl.query import bind, history_start, run_query, to_duckdb

    values = {"since": since or _FIRST_DAY, "until": until or _LAST_DAY}
    if any(parameter.name == "history" for parameter in query.parameters):
        values["history"] = _FIRST_DAY if since is None else history_start(since)
    return run_query(connection, to_duckdb(bind(query, values, newest_day=newest_day))).read_all()


def _gravity(severity: str, name: str) -> tuple[int, str]:
    return SEVERITIES.index(severity), name
