"""Makes the stateful table and the views in Glue, or brings what is there up to this version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from etl.catalog._glue import create_database, create_table, get_table, update_table
from etl.catalog._tables import Json, check_database, check_day, merged_table, table_input
from etl.catalog._views import (
    EXACT_VIEW,
    VIEW,
    access_logs_input,
    exact_input,
    merged_view,
    owned_state,
    recipe_input,
)
from etl.ddl import RECIPE_VIEW
from etl.errors import BadParameter, LakeUnusable
from etl.lake import State, create_glue_lake
from etl.schema import COMPACTED_TABLE

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_RACE_TRIES: Final = 5


@dataclass(frozen=True)
class Created:
    """What became of each table and view, as `database.name`."""

    created: tuple[str, ...]
    updated: tuple[str, ...]
    unchanged: tuple[str, ...]


@dataclass(frozen=True)
class _Entry:
    """One table or view: what it is when it is new, and what to make of one that is there (None: leave it)."""

    database: str
    name: str
    new: dict[str, Any]
    merged: Callable[[Json], dict[str, Any] | None]

    def __str__(self) -> str:
        return f"{self.database}.{self.name}"


def create_catalog(glue: GlueClient, *, database: str, recipe_database: str, lake_uri: str, first_day: str) -> Created:
    """Make `access_logs_compacted` and the views of the lake where they are missing, and renew those that are older.

    The view `access_logs` holds the lake's state (batch and first raw day). It starts at "" and `first_day`; one that is there
    keeps its own, whatever this call says. All is looked at before anything is written, so a refusal changes nothing; running
    it again changes nothing either.

    Raises `LakeMismatch` for a table, view or lake that belongs to somebody else, `BadParameter` for a name or day that cannot
    be used, `LakeUnusable` if Glue or the bucket refuses.
    """
    if not lake_uri.startswith("s3://"):
        raise BadParameter(lake_uri, "Athena reads a lake in S3 only", hint="s3://bucket/prefix")
    check_database("database", database)
    check_database("recipe database", recipe_database)
    check_day("first day", first_day)
    entries = _entries(database, recipe_database, lake_uri.rstrip("/"), first_day)
    for entry in entries:
        live = get_table(glue, entry.database, entry.name)
        if live is not None:
            entry.merged(live)
    create_glue_lake(lake_uri, database=database)
    create_database(glue, recipe_database)
    outcomes = [(_bring_up(glue, entry), str(entry)) for entry in entries]
    created, updated, unchanged = (
        tuple(name for outcome, name in outcomes if outcome == each) for each in ("created", "updated", "unchanged")
    )
    return Created(created, updated, unchanged)


def _entries(database: str, recipe_database: str, lake_uri: str, first_day: str) -> list[_Entry]:
    """Tables before the views that read them: a view over a column that is not there yet would be stale."""
    compacted = table_input(COMPACTED_TABLE, lake_uri=lake_uri, first_day=first_day)
    exact = exact_input(database=database, lake_uri=lake_uri)
    recipe = recipe_input(database=database, recipe_database=recipe_database, lake_uri=lake_uri)

    first = access_logs_input(State("", first_day), database=database, lake_uri=lake_uri)

    def renewed(live: Json) -> dict[str, Any] | None:
        state = owned_state(live, lake_uri=lake_uri)
        return merged_view(live, access_logs_input(state, database=database, lake_uri=lake_uri))

    return [
        _Entry(database, COMPACTED_TABLE.name, compacted, lambda live: merged_table(live, compacted)),
        _Entry(database, VIEW, first, renewed),
        _Entry(database, EXACT_VIEW, exact, lambda live: merged_view(live, exact)),
        _Entry(recipe_database, RECIPE_VIEW, recipe, lambda live: merged_view(live, recipe)),
    ]


def _bring_up(glue: GlueClient, entry: _Entry) -> str:
    """What became of it. What a rival has done in between, another run of this or a compaction, is read again."""
    for _ in range(_RACE_TRIES):
        live = get_table(glue, entry.database, entry.name)
        if live is None:
            if create_table(glue, entry.database, entry.new):
                return "created"
            continue
        merged = entry.merged(live)
        if merged is None:
            return "unchanged"
        if update_table(glue, entry.database, merged, version=live["VersionId"]):
            return "updated"
    raise LakeUnusable(str(entry), f"was changed by others {_RACE_TRIES} times in a row", hint="try again")
