"""The views in Glue's form, and the lake's state that one of them holds: pure.

A view of Athena is a table without data whose text is base64 of JSON, and the JSON says the columns again in Presto's types
(https://docs.aws.amazon.com/athena/latest/ug/views.html). Columns that disagree make the view stale, so both come from here.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from etl.catalog._tables import Json, as_input
from etl.ddl import RECIPE_VIEW, access_logs_exact_sql, access_logs_sql, recipe_view_sql
from etl.errors import LakeMismatch
from etl.lake import State
from etl.schema import BATCH_ID, EVENT_DATE, RAW_TABLE_FIELDS, RECIPE_COLUMNS

VIEW: Final = "access_logs"
EXACT_VIEW: Final = "access_logs_exact"
_STATE: Final = "accesslake.state"
"""JSON: one value, which is never empty and cannot be half there."""
_LAKE: Final = "accesslake.lake"
"""Whose view it is: another's of the same name is left alone."""
_BATCH_ID: Final = re.compile("([0-9]{10})?")
_DAY: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PREFIX, _SUFFIX = "/* Presto View: ", " */"
_PRESTO: Final = {"string": "varchar", "int": "integer", "bigint": "bigint", "timestamp": "timestamp(3)"}

_COLUMNS: Final = tuple(
    (field.name, field.kind.hive, field.comment) for field in (*RAW_TABLE_FIELDS, EVENT_DATE, BATCH_ID)
)


def access_logs_input(state: State, *, database: str, lake_uri: str) -> dict[str, Any]:
    """The view `access_logs` that shows this state and stores it, so that both change in one write."""
    sql = access_logs_sql(database=database, batch=state.batch, raw_since=state.raw_since)
    view = _view_input(VIEW, sql, _COLUMNS, database=database, lake_uri=lake_uri)
    view["Parameters"][_STATE] = json.dumps(asdict(state))
    return view


def exact_input(*, database: str, lake_uri: str) -> dict[str, Any]:
    """The view `access_logs_exact`."""
    sql = access_logs_exact_sql(database=database)
    return _view_input(EXACT_VIEW, sql, _COLUMNS, database=database, lake_uri=lake_uri)


def recipe_input(*, database: str, recipe_database: str, lake_uri: str) -> dict[str, Any]:
    """The view `s3accesslog`, which lies in a database of its own."""
    columns = tuple((name, kind, "") for name, kind, _ in RECIPE_COLUMNS)
    return _view_input(
        RECIPE_VIEW, recipe_view_sql(database=database), columns, database=recipe_database, lake_uri=lake_uri
    )


def read_state(live: Json) -> State:
    """The state that a live `access_logs` stores; raises `LakeMismatch` if it stores none.

    None is guessed: with a state that is too old readers would see compacted rows twice, or none of them.
    """
    try:
        state = State(**json.loads(live["Parameters"][_STATE]))
        if _BATCH_ID.fullmatch(state.batch) and _DAY.fullmatch(state.raw_since):
            return state
    except (KeyError, ValueError, TypeError):
        pass
    raise LakeMismatch(
        VIEW,
        "does not hold the lake's state",
        hint="something else has replaced the view: restore an earlier version of it in Glue",
    )


def owned_state(live: Json, *, lake_uri: str) -> State:
    """The state of this lake in a live `access_logs`; raises `LakeMismatch` if it is not this lake's view or stores none."""
    _check_owner(live, VIEW, lake_uri)
    return read_state(live)


def merged_view(live: Json, expected: Json) -> dict[str, Any] | None:
    """What to update the live view to; None if it is as expected already.

    Raises `LakeMismatch` for a table, and for a view that this lake has not made.
    """
    _check_owner(live, expected["Name"], expected["Parameters"][_LAKE])
    if not view_differences(live, expected):
        return None
    return {**as_input(live), **expected, "Parameters": {**live.get("Parameters", {}), **expected["Parameters"]}}


def _check_owner(live: Json, name: str, lake_uri: str) -> None:
    if live.get("TableType") != "VIRTUAL_VIEW":
        raise LakeMismatch(name, "is a table, not a view", hint="drop it or choose another database")
    owner = live.get("Parameters", {}).get(_LAKE)
    if owner != lake_uri:
        of = f"a view of the lake {owner}" if owner else "a view that accesslake has not made"
        raise LakeMismatch(name, f"is {of}", hint="drop it or choose another database")


def view_differences(live: Json, expected: Json) -> list[str]:
    """How the live view differs from the expected one, a short text each; empty if it is the same view."""
    if live.get("TableType") != "VIRTUAL_VIEW":
        return ["is no view"]
    differences = []
    found = _definition(live)
    if found is None:
        differences.append("its text cannot be read")
    else:
        wanted = _definition(expected) or {}
        differences += [f"{part} differs" for part in wanted if found.get(part) != wanted[part]]
    columns = [(each["Name"], each.get("Type")) for each in live.get("StorageDescriptor", {}).get("Columns", [])]
    if columns != [(each["Name"], each["Type"]) for each in expected["StorageDescriptor"]["Columns"]]:
        differences.append("its columns differ")
    if live.get("PartitionKeys"):
        differences.append("it has partition keys")
    parameters = live.get("Parameters", {})
    differences += [
        f"{key} is {parameters.get(key, 'missing')}"
        for key, value in expected["Parameters"].items()
        if parameters.get(key) != value
    ]
    return differences


def _view_input(
    name: str, sql: str, columns: Sequence[tuple[str, str, str]], *, database: str, lake_uri: str
) -> dict[str, Any]:
    definition = {
        "originalSql": sql,
        "catalog": "awsdatacatalog",
        "schema": database,
        "columns": [{"name": column, "type": _PRESTO[kind]} for column, kind, _ in columns],
    }
    text = base64.b64encode(json.dumps(definition).encode()).decode()
    return {
        "Name": name,
        "TableType": "VIRTUAL_VIEW",
        "Parameters": {"presto_view": "true", "comment": "Presto View", _LAKE: lake_uri.rstrip("/")},
        "PartitionKeys": [],
        "StorageDescriptor": {
            "Columns": [
                {"Name": column, "Type": kind} | ({"Comment": comment} if comment else {})
                for column, kind, comment in columns
            ],
            "Location": "",
            "SerdeInfo": {},
        },
        "ViewOriginalText": f"{_PREFIX}{text}{_SUFFIX}",
        "ViewExpandedText": "/* Presto View */",
    }


def _definition(view: Json) -> Mapping[str, Any] | None:
    text = str(view.get("ViewOriginalText") or "")
    if not text.startswith(_PREFIX) or not text.endswith(_SUFFIX):
        return None
    try:
        found = json.loads(base64.b64decode(text[len(_PREFIX) : -len(_SUFFIX)], validate=True))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
