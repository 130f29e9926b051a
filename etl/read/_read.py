"""Rows of one snapshot of a lake, each once, with the schema's names and types."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa
from sqlglot import exp

from etl.catalog import open_lake
from etl.errors import BadParameter
from etl.lake import Lake
from etl.query import check_order, connect, newest_day, parse_condition, resolve_day, run_query, to_duckdb
from etl.read._frames import load_pandas, to_frame
from etl.schema import BATCH_ID, FIELDS, SCHEMA, arrow_schema

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]

    from etl.lake._snapshot import Snapshot

Day = str | dt.date

_FIELDS: Final = {field.name: field for field in (*FIELDS, BATCH_ID)}


def read(
    lake: str | Lake,
    *,
    since: Day | None = None,
    until: Day | None = None,
    columns: Sequence[str] | None = None,
    where: str | None = None,
) -> pa.Table:
    """The rows that are in the lake at this moment, as often as they are stored, whatever compaction does; unordered.

    What was delivered twice is stored twice until it is compacted; `etl.query` has the view `access_logs_exact`.

    `lake` is a folder, `s3://bucket/prefix`, or an open lake. `since` and `until` are event days in UTC, both inclusive: a date,
    `YYYY-MM-DD`, or `today` and `-7d`, which count from the newest day of the lake that is not in the future. `columns` are any
    of `etl.SCHEMA` and `batch_id` (null for a row that is not compacted), in the order of the result; all of `etl.SCHEMA` by
    default. `where` is a condition over these columns in Athena's SQL; what DuckDB would answer otherwise than Athena is refused.

    Only files that can hold rows of these days are opened, and of them only the columns that are needed; the result is in memory.
    Where Glue keeps the lake's state, it is asked with what credentials boto3 finds. Credentials in the rows are as they were
    logged. Raises `BadParameter`, `QueryError`, or a `LakeError`.
    """
    names = _known_columns(SCHEMA.names if columns is None else columns)
    statement = exp.select(*(exp.column(name) for name in names)).from_("access_logs")
    if where is not None:
        statement = statement.where(parse_condition(where), copy=False)
    sql = to_duckdb(statement.sql(dialect="athena", comments=False))
    snapshot = (open_lake(lake) if isinstance(lake, str) else lake).snapshot()
    first, last = _event_day("since", since, snapshot), _event_day("until", until, snapshot)
    check_order(first, last, dashes="")
    with connect(snapshot, since=first, until=last) as connection:
        table = run_query(connection, sql).read_all()
    return table.cast(arrow_schema(tuple(_FIELDS[name] for name in names)))


def read_pandas(
    lake: str | Lake,
    *,
    since: Day | None = None,
    until: Day | None = None,
    columns: Sequence[str] | None = None,
    where: str | None = None,
) -> pd.DataFrame:
    """What `read` gives, as a frame of Arrow types: no copy, and a null stays a null where NumPy has none (a status, a size).

    Raises what `read` raises, and `UsageError` where pandas is not installed.
    """
    load_pandas()
    return to_frame(read(lake, since=since, until=until, columns=columns, where=where))


def _known_columns(columns: Sequence[str]) -> list[str]:
    if isinstance(columns, str) or not columns:
        raise BadParameter("columns", "takes a list of one or more names")
    for place, name in enumerate(columns):
        if name not in _FIELDS:
            near = difflib.get_close_matches(str(name), _FIELDS, n=3, cutoff=0.5)
            raise BadParameter(
                f"columns: {name!r}",
                "no such column",
                hint=f"did you mean {' or '.join(near)}?" if near else "etl.SCHEMA.names has them",
            )
        if name in columns[:place]:
            raise BadParameter(f"columns: {name!r}", "is asked for twice")
    return list(columns)


def _event_day(name: str, day: Day | None, snapshot: Snapshot) -> str | None:
    if day is None:
        return None
    if isinstance(day, dt.datetime):
        raise BadParameter(name, "is a time", hint="a day is needed: .date() of a time in UTC")
    text = day.isoformat() if isinstance(day, dt.date) else day
    newest = text
    if text == "today" or text.startswith("-"):
        with connect(snapshot) as connection:
            newest = newest_day(connection)
    return resolve_day(name, text, newest_day=newest)
