"""Batches of log objects, and the records that name them: whatever they hold, for old lakes too."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_records import INPUT, OUTPUT, PLAN, WINNER

from etl.backfill import BATCH_BYTES, BATCH_OBJECTS, cut_batches
from etl.compact import plan_logs
from etl.errors import LakeMismatch
from etl.lake import (
    Input,
    Plan,
    PlannedLog,
    State,
    Winner,
    commit_of,
    create_lake,
    create_record,
    raw_key,
    raw_name,
    read_plan,
    read_winner,
)
from etl.lake._layout import plan_key, winner_key

TEXTS = st.text(st.characters(), max_size=12)  # a path that is no UTF-8 has lone surrogates
LOGS = st.builds(PlannedLog, TEXTS, TEXTS, st.integers(0, 40), st.text("0123456789abcdef-", max_size=8))


@given(st.lists(LOGS, max_size=40), st.integers(1, 5), st.integers(1, 60))
def test_batches_hold_every_log_once_in_order_and_no_more_than_they_may(
    logs: list[PlannedLog], objects: int, size: int
) -> None:
    batches = list(cut_batches(iter(logs), objects=objects, size=size))
    assert [log for batch in batches for log in batch] == logs
    for batch in batches:
        assert 1 <= len(batch) <= objects
        assert len(batch) == 1 or sum(log.size for log in batch) <= size
    for batch, following in pairwise(batches):
        assert len(batch) == objects or sum(log.size for log in batch) + following[0].size > size


def test_a_batch_is_cut_before_the_next_object_is_looked_at_twice() -> None:
    """The list is as long as an archive: no more of it is taken than a batch and one."""
    taken = 0

    def logs() -> object:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield PlannedLog(str(number), "", 1, "v")

    batches = cut_batches(logs(), objects=10, size=100)  # type: ignore[arg-type]
    assert len(next(batches)) == 10
    assert taken == 11


def test_a_plan_and_its_commit_have_sizes_that_every_reader_can_bear() -> None:
    name = "logs/123456789012/us-east-1/a-bucket-of-some-length/2024/05/02/2024-05-02-00-00-00-0123456789ABCDEF"
    log = PlannedLog(f"s3://some-bucket-of-logs/{name}", f"s3://some-bucket-of-logs/{name}", 10_000, "0" * 32)
    plan = plan_logs(last=State("", ""), logs=[log] * 100, ingest_date="2024-05-02")
    assert len(json.dumps(asdict(plan), indent=1)) / 100 * BATCH_OBJECTS < 10e6
    inputs = (Input(raw_key(raw_name("a", "b"), "2024-05-02"), "0" * 32, 10_000, 40, 40, 0),) * 100
    commit = commit_of(plan, Winner("1", "x", (), {}, inputs=inputs), committed_at="")
    assert len(json.dumps(asdict(commit), indent=1)) / 100 * BATCH_OBJECTS < 6e6
    assert BATCH_BYTES >> 30 == 8


@settings(max_examples=50)
@given(st.lists(LOGS, max_size=5), st.lists(TEXTS, max_size=3), st.dictionaries(TEXTS, TEXTS, max_size=3))
def test_records_come_back_as_they_were(logs: list[PlannedLog], left_out: list[str], reasons: dict[str, str]) -> None:
    plan = plan_logs(last=State("0000000004", "2024-05-02"), logs=logs, ingest_date="2024-05-03")
    winner = Winner("0000000005", "x", (OUTPUT,), {"2024-05-03": 2}, tuple(left_out), (INPUT,), reasons)
    with tempfile.TemporaryDirectory() as folder:
        store = create_lake(str(Path(folder) / "lake")).store
        assert create_record(store, plan_key(plan.batch), plan)
        assert create_record(store, winner_key(plan.batch), winner)
        assert read_plan(store, plan.batch) == plan
        assert read_winner(store, plan.batch) == winner
    assert [log.source_key for log in plan.logs] == sorted(log.source_key for log in logs)
    assert (plan.batch, plan.inputs, plan.raw_since) == ("0000000005", (), "2024-05-02")


@pytest.mark.parametrize("missing", [("logs", "ingest_date"), ("logs", "ingest_date", "raw_since", "stragglers")])
def test_records_of_older_lakes_still_read(tmp_path: Path, missing: tuple[str, ...]) -> None:
    store = create_lake(str(tmp_path / "lake")).store
    plan = {name: value for name, value in asdict(PLAN).items() if name not in missing}
    winner = {name: value for name, value in asdict(WINNER).items() if name not in ("inputs", "reasons")}
    store.create(plan_key(PLAN.batch), json.dumps(plan).encode())
    store.create(winner_key(PLAN.batch), json.dumps(winner).encode())
    assert read_plan(store, PLAN.batch) == PLAN
    assert read_winner(store, PLAN.batch) == WINNER


@pytest.mark.parametrize("log", [{}, {"source_key": "a"}, 3, None])
def test_a_damaged_list_of_logs_is_one_clear_error(tmp_path: Path, log: object) -> None:
    store = create_lake(str(tmp_path / "lake")).store
    store.create(plan_key(PLAN.batch), json.dumps({**asdict(PLAN), "logs": [log]}).encode())
    with pytest.raises(LakeMismatch, match="is damaged, or of a newer format"):
        read_plan(store, PLAN.batch)


def test_a_commit_holds_the_log_objects_that_were_read_and_no_trace_of_others() -> None:
    logs = tuple(PlannedLog(name, name, 1, "v") for name in "ab")
    read = Input(raw_key(raw_name("a", "v"), "2024-05-03"), "v", 1, 1, 1, 0)
    plan = Plan("0000000001", (INPUT,), (), logs=logs, ingest_date="2024-05-03")
    commit = commit_of(plan, Winner(plan.batch, "x", (), {}, ("b",), (read,)), committed_at="")
    assert (commit.inputs, commit.left_out) == ((INPUT, read), ())
    commit = commit_of(plan, Winner(plan.batch, "x", (), {}, ("b", INPUT.key), (read,)), committed_at="")
    assert (commit.inputs, commit.left_out) == ((read,), (INPUT,))
