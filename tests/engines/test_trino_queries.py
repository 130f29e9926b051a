"""The queries that come with the product, and the recipe's own, on Trino: what DuckDB says, and the plain-Python answer."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from query_answers import answer
from query_answers_cases import CASES
from query_answers_rows import Row, Seen, disagreement, groups
from test_query_recipe import BY_CLIENT, BY_USER_AGENT, FIRST_TEN
from trino_fresh import Fresh
from trino_lakes import AFTER, MAIN, NEWEST, Lakes
from trino_server import Trino

from etl.lake import open_lake
from etl.query import bind, connect, find_query, list_queries, run_query, to_duckdb
from etl.schema import COMPACTED_TABLE, RECIPE_COLUMNS

pytest_plugins = ["trino_fixtures"]

ASKED = [(query.name, values) for query in list_queries() for values in CASES.get(query.name, ({},))]
SILENT: tuple[str, Mapping[str, str]] = ("detections/access_denied_bursts", {})
COMPACTED = COMPACTED_TABLE.name


@pytest.mark.parametrize(("name", "values"), ASKED, ids=[f"{name}-{dict(values)}" for name, values in ASKED])
def test_a_query_gives_the_answer_on_trino_as_it_does_embedded(
    name: str, values: Mapping[str, str], trino: Trino, lakes: Lakes
) -> None:
    expected = answer(name, Seen(lakes.seen, NEWEST), values)
    sql = bind(find_query(name), values, newest_day=NEWEST)
    found = trino.run(sql, schema=MAIN)
    names = [column for column, _ in found.columns]
    assert not disagreement(names, found.rows, expected)
    assert expected.rows or (name, values) == SILENT, "an answer without rows shows nothing"

    connection = connect(open_lake(str(lakes.before)).snapshot())
    embedded = run_query(connection, to_duckdb(sql)).read_all()
    rows = [tuple(map(_naive, row.values())) for row in embedded.to_pylist()]
    assert embedded.column_names == names
    assert not disagreement(names, rows, expected)
    if COMPACTED in (reads := trino.reads(found)):
        assert max(reads[COMPACTED].partitions, default=NEWEST) <= NEWEST


@pytest.mark.parametrize("name", [query.name for query in list_queries()])
def test_a_query_gives_the_answer_after_the_next_compaction_too(name: str, trino: Trino, lakes: Lakes) -> None:
    values = CASES.get(name, ({},))[-1]
    found = trino.run(bind(find_query(name), values, newest_day=NEWEST), schema=AFTER)
    expected = answer(name, Seen(lakes.seen_after, NEWEST), values)
    assert not disagreement([column for column, _ in found.columns], found.rows, expected)


def _naive(value: Any) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value


# --- The recipe, letter for letter ------------------------------------------------------------------------------------

BY = ("remote_ip", "requester", "bucket_name", "operation", "user_agent", "signature_version")


def recent_sigv2(seen: list[Row]) -> list[Row]:
    since = dt.datetime.now(dt.UTC).replace(tzinfo=None) - dt.timedelta(hours=24)
    sure = [row for row in seen if row["parse_status"] != "ambiguous"]
    return [row for row in sure if row["request_time"] > since and row["signature_version"] == "SigV2"]


def test_the_first_ten_rows(shown: str, trino: Trino, fresh: Fresh) -> None:
    found = trino.run(without_semicolon(FIRST_TEN), schema="default")
    assert [name for name, _ in found.columns] == [name for name, _, _ in RECIPE_COLUMNS]
    assert len(found.rows) == 10
    assert not Counter(found.rows) - Counter(map(recipe_row, fresh.visible(shown)))


def test_sigv2_by_client(shown: str, trino: Trino, fresh: Fresh) -> None:
    found = trino.run(BY_CLIENT, schema="default")
    wanted = [(len(some), *of.values()) for of, some in groups(recent_sigv2(fresh.visible(shown)), *BY)]
    assert Counter(found.rows) == Counter(wanted)
    assert [row[0] for row in found.rows] == sorted((row[0] for row in wanted), reverse=True)
    assert len(wanted) == 3


def test_sigv2_by_user_agent(shown: str, trino: Trino, fresh: Fresh) -> None:
    found = trino.run(BY_USER_AGENT, schema="default")
    # The text groups by operation without showing it.
    by = ("bucket_name", "user_agent", "operation", "signature_version")
    counted = groups(recent_sigv2(fresh.visible(shown)), *by)
    wanted = [(len(some), of["bucket_name"], of["user_agent"], of["signature_version"]) for of, some in counted]
    assert Counter(found.rows) == Counter(wanted)
    assert [row[0] for row in found.rows] == sorted((row[0] for row in wanted), reverse=True)
    assert len(wanted) == 3


def without_semicolon(text: str) -> str:
    """Athena's console takes the end of a statement, the protocol of Trino does not."""
    return text.strip().removesuffix(";")


def recipe_row(row: Row) -> tuple[Any, ...]:
    """A row as the recipe's table had it: 22 columns, all texts but the time."""
    values = []
    for _, kind, ours in RECIPE_COLUMNS:
        value = row[ours]
        if ours == "signature_version" and row["parse_status"] == "ambiguous":
            value = None
        values.append(str(value) if kind == "string" and value is not None else value)
    return tuple(values)
