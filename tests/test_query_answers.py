"""Every shipped query, on random lakes and on the corpus, against its plain-Python answer."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import duckdb
import pytest
from hostile_keys import hostile_log
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from query_answers import ANSWERS, answer, parameters_of
from query_answers_cases import CASES, as_raw, varied_rows
from query_answers_rows import Answer, Row, Seen, disagreement, in_order
from query_lake import snapshot_of, write_compacted, write_raw

from etl import parse
from etl.query import bind, connect, find_query, list_queries, run_query, to_duckdb

NEWEST = "2024-03-10"
NAMES = [query.name for query in list_queries()]
SEEDS = range(3)
ANY = {"since": "0001-01-01", "until": "2099-12-31", "hours": "400000", "bucket": "b1", "key": "k"}


def test_every_query_has_an_answer_with_its_parameters() -> None:
    headers = {
        query.name: {each.name: (each.type, each.default) for each in query.parameters} for query in list_queries()
    }
    assert {name: parameters_of(name) for name in ANSWERS} == headers
    assert set(CASES) <= set(headers)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_query_gives_the_answer(seed: int, tmp_path: Path) -> None:
    lake = random_lake(tmp_path, varied_rows(700, newest=NEWEST, seed=seed), random.Random(seed))
    wrong = {name: found for name in NAMES if (found := differences(*lake, name))}
    assert not wrong


@hypothesis_settings(max_examples=40)
@given(name=st.sampled_from(NAMES), count=st.integers(0, 40), seed=st.integers(0, 2**32))
def test_a_query_gives_the_answer_of_few_rows(name: str, count: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lake = random_lake(Path(folder), varied_rows(count, newest=NEWEST, seed=seed), random.Random(seed))
        wrong = differences(*lake, name)
    assert not wrong


def test_a_query_gives_the_answer_of_lines_as_they_come(tmp_path: Path) -> None:
    corpus = [path.read_bytes() for path in sorted((Path(__file__).parent / "corpus").glob("*.log"))]
    rows = [
        row
        for number, data in enumerate([*corpus, hostile_log()])
        for row in parse(data, source_key=f"s3://corpus/{number}").table.to_pylist()
    ]
    connection, seen = random_lake(tmp_path, rows, random.Random(0))
    wrong = {}
    for name in NAMES:
        values = {given: text for given, text in ANY.items() if given in parameters_of(name)}
        if found := differences(connection, seen, name, values):
            wrong[name] = found
    assert not wrong


def test_every_query_has_something_to_say_of_these_rows() -> None:
    rows = [row | {"batch_id": None} for seed in SEEDS for row in varied_rows(700, newest=NEWEST, seed=seed)]
    asked = [(name, values) for name in NAMES for values in CASES.get(name, ({},))]
    silent = [(name, values) for name, values in asked if not answer(name, Seen(rows, NEWEST), values).rows]
    assert silent == [("detections/access_denied_bursts", {}), ("detections/mass_deletion", {})]


def random_lake(root: Path, rows: Sequence[Row], pick: random.Random) -> tuple[duckdb.DuckDBPyConnection, Seen]:
    """The rows in all states: compacted, raw by us and by Firehose, delivered twice, and delivered again after compaction."""
    arms: dict[str, list[Row]] = {"compacted": [], "ours": [], "firehose": []}
    for row in rows:
        arms[pick.choice(("compacted", "compacted", "ours", "firehose"))].append(row)
    again = pick.sample(arms["compacted"], k=len(arms["compacted"]) // 20)
    twice = pick.sample(arms["firehose"], k=len(arms["firehose"]) // 5)
    # What goes through Firehose leaves out what is clean.
    sent = [row | ({"parse_status": None} if row["parse_status"] == "clean" else {}) for row in arms["firehose"]]
    sent_twice = [row for row, kept in zip(sent, arms["firehose"], strict=True) if kept in twice]
    snapshot = snapshot_of(
        compacted=write_compacted(root, arms["compacted"]),
        raw=[
            write_raw(root, arms["ours"] + again, day="2024-03-11"),
            write_raw(root, sent, day="2024-03-12", name="b", firehose=True),
            write_raw(root, sent_twice, day="2024-03-13", name="c", firehose=True),
        ],
    )
    seen = [row | {"batch_id": "000001"} for row in arms["compacted"]]
    seen += [as_raw(row) for row in (*arms["ours"], *again, *arms["firehose"], *twice)]
    return connect(snapshot), Seen(seen, NEWEST)


def differences(
    connection: duckdb.DuckDBPyConnection, seen: Seen, name: str, *asked: dict[str, str]
) -> list[tuple[object, str]]:
    """(values, how they differ) of each case in which what DuckDB says of a lake is not the answer."""
    found: list[tuple[object, str]] = []
    for values in asked or CASES.get(name, ({},)):
        table = run_query(connection, _sql(name, tuple(values.items()))).read_all()
        rows = [tuple(row.values()) for row in table.to_pylist()]
        if difference := disagreement(table.column_names, rows, answer(name, seen, values)):
            found.append((values, difference))
    return found


@cache
def _sql(name: str, values: tuple[tuple[str, str], ...]) -> str:
    return to_duckdb(bind(find_query(name), dict(values), newest_day=NEWEST))


# --- The comparison itself --------------------------------------------------------------------------------------------

TIED = in_order([{"a": a, "b": b} for a, b in ((1, "x"), (2, "y"), (2, "z"), (None, "n"))], "-a", limit=3)


@pytest.mark.parametrize(
    ("found", "agrees"),
    [
        ([(2, "y"), (2, "z"), (1, "x")], True),
        ([(2, "z"), (2, "y"), (1, "x")], True),
        ([(2, "z"), (2, "z"), (1, "x")], False),
        ([(2, "y"), (1, "x"), (2, "z")], False),
        ([(2, "y"), (2, "z")], False),
        ([(2, "y"), (2, "z"), (None, "n")], False),
    ],
)
def test_rows_that_are_tied_may_come_in_any_order(found: list[tuple[object, ...]], agrees: bool) -> None:
    assert (not disagreement(("a", "b"), found, TIED)) is agrees


def test_a_limit_may_cut_through_tied_rows() -> None:
    cut = Answer(TIED.rows, TIED.order, limit=1)
    assert not disagreement(("a", "b"), [(2, "z")], cut)
    assert disagreement(("a", "b"), [(1, "x")], cut)
    assert disagreement(("b", "a"), [(2, "z")], cut)
