"""Checks of the catalog: who keeps the state, and that tables and views are what queries and Firehose rely on. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from etl.catalog import (
    EXACT_VIEW,
    VIEW,
    access_logs_input,
    exact_input,
    read_state,
    recipe_input,
    table_differences,
    table_input,
    view_differences,
)
from etl.ddl import DEFAULT_FIRST_DAY, RECIPE_VIEW
from etl.doctor._check import Check, Found, Unreadable, judge
from etl.doctor._deployed import Deployed, Stack
from etl.errors import LakeMismatch
from etl.schema import TABLES

_UPDATE = "update the stack; its function create-catalog brings tables and views up to date"


def catalog_names(database: str, recipe_database: str) -> list[tuple[str, str]]:
    """(database, name) of every table and view that is looked at."""
    ours = [(database, table.name) for table in TABLES] + [(database, VIEW), (database, EXACT_VIEW)]
    return [*ours, (recipe_database, RECIPE_VIEW)]


def catalog_checks(deployed: Deployed) -> Iterator[Check]:
    """The lake's identity, its tables, its views."""
    stack = deployed.stack
    expected = {"state": "glue", "database": stack.database}
    yield judge(
        "lake identity",
        deployed.identity,
        lambda found: [f"{key} is {found.get(key)!r}" for key, value in expected.items() if found.get(key) != value],
        expected=f"meta/lake.json: state glue, database {stack.database}",
        advice="one lake has one keeper: give the stack the database that the lake names, or another lake",
    )
    first_day = stack.parameters.get("FirstDay", DEFAULT_FIRST_DAY)
    for table in TABLES:
        yield judge(
            f"table {table.name}",
            _live(deployed, stack.database, table.name),
            partial(table_differences, expected=table_input(table, lake_uri=stack.lake_uri, first_day=first_day)),
            expected=f"{len(table.columns)} columns, projection from {first_day} at the latest, {table.folder}/ of the lake",
            advice=f"{_UPDATE}; no crawler and no other writer may touch it",
        )
    exact = exact_input(database=stack.database, lake_uri=stack.lake_uri)
    recipe = recipe_input(database=stack.database, recipe_database=stack.recipe_database, lake_uri=stack.lake_uri)
    views: list[tuple[str, str, Callable[[dict[str, Any]], list[str]]]] = [
        (stack.database, VIEW, partial(_state_problems, stack)),
        (stack.database, EXACT_VIEW, partial(view_differences, expected=exact)),
        (stack.recipe_database, RECIPE_VIEW, partial(view_differences, expected=recipe)),
    ]
    for database, name, problems in views:
        yield judge(
            f"view {name}",
            _live(deployed, database, name),
            problems,
            expected=f"the SQL of this version, in {database}",
            advice=f"{_UPDATE}; a view replaced by hand must be dropped first, but access_logs restored: it holds the state",
        )


def _state_problems(stack: Stack, live: dict[str, Any]) -> list[str]:
    """Of `access_logs`: the SQL must show the state that the view stores."""
    try:
        state = read_state(live)
    except LakeMismatch as error:
        return [error.reason]
    return view_differences(live, access_logs_input(state, database=stack.database, lake_uri=stack.lake_uri))


def _live(deployed: Deployed, database: str, name: str) -> Found:
    return deployed.tables.get(f"{database}.{name}", Unreadable("is missing"))
