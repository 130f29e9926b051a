"""Each step of compaction may be repeated by anybody, and what is wrong is refused before it is seen."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from compact_cases import lake as lake
from compact_cases import staged
from compact_cases import truth as truth
from small_lakes import (
    DAY_1,
    DAY_2,
    DAY_3,
    Truth,
    add_logs,
    all_files,
    difference,
    log_text,
    read_lake,
)

from etl.audit import audit
from etl.compact import (
    _compact,
    _rewrite,
    commit,
    compact,
    elect,
    inspect_inputs,
    plan_batch,
    publish,
    read_or_create_plan,
    rewrite,
    verify,
)
from etl.errors import AccessLakeError, ObjectNotFound, RowsNotConserved
from etl.lake import Input, Lake, Plan, Winner, open_lake, read_commits, read_plan, read_winner
from etl.lake._layout import staged_key

# --- Step by step -----------------------------------------------------------------------------------------------------


def some_input(name: str) -> Input:
    return Input(f"raw/ingest_date=2024-05-02/{name}.parquet", "etag", 1, 1, 1, 0)


def test_a_plan_depends_on_nothing_but_the_last_batch_and_what_there_is() -> None:
    a, b, c = map(some_input, "abc")
    assert plan_batch(last_batch="", readable=[], unreadable=[]) is None
    assert plan_batch(last_batch="", readable=[b, a], unreadable=[c]) == Plan("0000000001", (a, b), (c,))
    assert plan_batch(last_batch="0000000041", readable=[a], unreadable=[]) == Plan("0000000042", (a,), ())
    assert plan_batch(last_batch="", readable=[], unreadable=[c, b]) == Plan("0000000001", (), (b, c))


def test_a_plan_that_is_there_is_adopted_and_what_came_later_waits(lake: Path, truth: Truth) -> None:
    plan = read_or_create_plan(open_lake(str(lake)))
    assert plan is not None
    later = add_logs(lake, late=log_text(10, seed="late"))
    assert read_or_create_plan(open_lake(str(lake))) == plan
    done = compact(str(lake), now=DAY_2)
    assert done.rows_in == sum(truth.values())
    assert difference(read_lake(lake), later) == "", "the late object is still seen through raw/"
    assert compact(str(lake), now=DAY_2).rows_in == 10


def test_the_first_of_two_plans_counts(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rival plans, and more arrives, before we look."""
    opened = open_lake(str(lake))
    rival: list[Plan | None] = []

    def look(store: Any, objects: Any) -> Any:
        if not rival:
            rival.append(None)
            rival[0] = read_or_create_plan(opened)
            add_logs(lake, late=log_text(10, seed="late"))
            objects = opened.uncompacted()
        return inspect_inputs(store, objects)

    monkeypatch.setattr(_compact, "inspect_inputs", look)
    assert read_or_create_plan(opened) == rival[0] == read_plan(opened.store, "0000000001")


def test_the_first_of_two_attempts_counts(lake: Path, truth: Truth) -> None:
    opened = open_lake(str(lake))
    plan = read_or_create_plan(opened)
    assert plan is not None
    first, second = (rewrite(opened, plan, attempt=name) for name in ("first", "second"))
    assert elect(opened, first) == first
    assert elect(opened, second) == first == read_winner(opened.store, plan.batch)
    publish(opened, first)
    assert difference(read_lake(lake), truth) == "", "what is published and not committed is not seen"
    publish(opened, first)
    commit(opened, plan, first, now=DAY_2)
    commit(opened, plan, second, now=DAY_3)
    assert difference(read_lake(lake), truth) == ""
    (found,) = read_commits(opened.store)
    assert found.committed_at == DAY_2.isoformat()
    assert [output.key for output in found.outputs] == [output.key for output in first.outputs]


def test_a_name_that_holds_something_else_is_never_taken_for_ours(lake: Path) -> None:
    opened = open_lake(str(lake))
    plan = read_or_create_plan(opened)
    assert plan is not None
    winner = rewrite(opened, plan, attempt="a")
    opened.store.create(winner.outputs[0].key, b"something else")
    with pytest.raises(RowsNotConserved):
        publish(opened, winner)
    with pytest.raises(AccessLakeError):
        compact(str(lake))
    assert list(read_commits(opened.store)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), "is no file of batch 0000000001"),
        (lambda path: shutil.copy(path, path.with_name("0000000001-0009.parquet")), "is no file of batch 0000000001"),
        (
            lambda path: shutil.copytree(path.parent, path.parent.with_name("event_date=1999-01-01")),
            "1999-01-01/.* is no file",
        ),
    ],
    ids=["gone", "changed", "one more", "on another day"],
)
def test_a_batch_is_committed_only_if_its_files_are_there_and_no_others(
    lake: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object], message: str
) -> None:
    def publish_and_change(opened: Lake, winner: Winner) -> None:
        publish(opened, winner)
        change(Path(opened.store.path(winner.outputs[0].key)))

    monkeypatch.setattr(_compact, "publish", publish_and_change)
    with pytest.raises(RowsNotConserved, match=message):
        compact(str(lake), now=DAY_2)
    assert list(read_commits(open_lake(str(lake)).store)) == []
    assert difference(read_lake(lake), truth) == ""


def test_files_of_other_batches_are_nobodys_business(lake: Path) -> None:
    day = lake / "compacted" / "event_date=2024-05-01"
    day.mkdir(parents=True)
    for name in ("0000000002-0001.parquet", ".0000000001-0001.parquet", "00000000010-0001.parquet"):
        (day / name).write_bytes(b"x")
    assert compact(str(lake), now=DAY_2).batch == "0000000001"


def test_rewriting_touches_nothing_that_a_reader_can_see(lake: Path) -> None:
    opened = open_lake(str(lake))
    plan = read_or_create_plan(opened)
    assert plan is not None
    before = {name: data for name, data in all_files(lake).items() if not name.startswith("staging/")}
    rewrite(opened, plan, attempt="a")
    after = {name: data for name, data in all_files(lake).items() if not name.startswith("staging/")}
    assert after == before
    assert {name.split("/")[1] for name in staged(lake)} == {plan.batch}, "and leaves nothing else in staging"


# --- Verification -----------------------------------------------------------------------------------------------------


@pytest.fixture
def attempt(lake: Path) -> tuple[Lake, Plan, Winner]:
    opened = open_lake(str(lake))
    plan = read_or_create_plan(opened)
    assert plan is not None
    return opened, plan, rewrite(opened, plan, attempt="a")


def test_an_attempt_that_is_right_passes(attempt: tuple[Lake, Plan, Winner]) -> None:
    verify(*attempt)


def lose_a_row(table: pa.Table) -> pa.Table:
    return table.slice(1)


def double_a_row(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(0, 1)])


def move_a_row(table: pa.Table, days: int, place: int) -> pa.Table:
    times = table.column("request_time").to_pylist()
    times[place] += dt.timedelta(days=days)
    return table.set_column(2, "request_time", pa.array(times, pa.timestamp("ms")))


def change_a_type(table: pa.Table) -> pa.Table:
    return table.set_column(9, "http_status", pc.cast(table.column("http_status"), pa.int64()))


@pytest.mark.parametrize(
    "damage",
    [
        lose_a_row,
        double_a_row,
        lambda table: move_a_row(table, 1, -1),
        lambda table: move_a_row(table, -1, 0),
        lambda table: move_a_row(table, 1, 3),
        change_a_type,
        lambda table: table.drop_columns("batch_id"),
        lambda table: table.slice(0, 0),
    ],
    ids=["lost", "doubled", "next day", "day before", "in the middle", "type", "column", "empty"],
)
@pytest.mark.parametrize("honest", [True, False], ids=["as its record says", "unlike its record"])
def test_an_attempt_that_is_wrong_is_refused(
    attempt: tuple[Lake, Plan, Winner], damage: Callable[[pa.Table], pa.Table], honest: bool
) -> None:
    opened, plan, winner = attempt
    output = winner.outputs[0]
    path = opened.store.path(staged_key(plan.batch, winner.attempt, output.key))
    with pq.ParquetFile(path) as file:
        damaged = damage(file.read())
    pq.write_table(damaged, path, store_schema=False)
    if honest:
        winner = replace(winner, outputs=(replace(output, rows=damaged.num_rows), *winner.outputs[1:]))
    with pytest.raises(RowsNotConserved) as caught:
        verify(opened, plan, winner)
    assert "\n" not in str(caught.value)


def test_an_attempt_that_is_not_there_or_not_whole_is_refused(attempt: tuple[Lake, Plan, Winner]) -> None:
    opened, plan, winner = attempt
    path = Path(opened.store.path(staged_key(plan.batch, winner.attempt, winner.outputs[0].key)))
    os.truncate(path, path.stat().st_size - 9)
    with pytest.raises(RowsNotConserved):
        verify(opened, plan, winner)
    path.unlink()
    with pytest.raises(RowsNotConserved):
        verify(opened, plan, winner)
    with pytest.raises(RowsNotConserved):
        verify(opened, plan, replace(winner, outputs=winner.outputs[1:]))
    with pytest.raises(RowsNotConserved):
        verify(opened, plan, replace(winner, outputs=winner.outputs[1:], folded={"2024-05-02": 1}))


@pytest.mark.parametrize(
    "kept",
    [
        "SELECT * FROM input LIMIT 67",
        "SELECT * FROM input UNION ALL (SELECT * FROM input LIMIT 1)",
        "SELECT * REPLACE ('2024-05-09' AS event_date) FROM input",
        "SELECT * FROM input WHERE false",
    ],
)
def test_a_rewrite_that_goes_wrong_is_never_seen(
    lake: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(_rewrite, "KEPT_SQL", kept)
        with pytest.raises(RowsNotConserved):
            compact(str(lake), now=DAY_2)
    opened = open_lake(str(lake))
    assert list(read_commits(opened.store)) == []
    assert list(opened.store.list("compacted/")) == []
    with pytest.raises(ObjectNotFound):
        read_winner(opened.store, "0000000001")
    assert difference(read_lake(lake), truth) == ""
    compact(str(lake), now=DAY_2)
    assert difference(read_lake(lake), truth) == ""


# --- An elected file that is lost ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("published", [0, 1])
def test_an_elected_file_that_is_lost_is_named_and_the_way_out_works(
    lake: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, published: int
) -> None:
    with monkeypatch.context() as patch:

        def stop(*_: Any) -> None:
            raise KeyboardInterrupt

        patch.setattr(_compact, "publish", stop)
        with pytest.raises(KeyboardInterrupt):
            compact(str(lake), now=DAY_1)
    opened = open_lake(str(lake))
    winner = read_winner(opened.store, "0000000001")
    staged = [f"staging/0000000001/{winner.attempt}/{out.key.removeprefix('compacted/')}" for out in winner.outputs]
    assert len(staged) == 2
    for key, output in zip(staged[:published], winner.outputs, strict=False):
        opened.store.copy(key, output.key)
    (lake / staged[-1]).unlink()
    for _ in range(2):
        with pytest.raises(ObjectNotFound) as caught:
            compact(str(lake), now=DAY_2)
        assert caught.value.subject == f"{lake}/{staged[-1]}"
        assert "nothing of the batch is committed" in caught.value.reason
        assert "meta/winner/0000000001.json" in caught.value.hint
        assert "compacted/*/0000000001-*" in caught.value.hint
        assert difference(read_lake(lake), truth) == ""
    (lake / "meta/winner/0000000001.json").unlink()
    for path in lake.glob("compacted/*/0000000001-*"):
        path.unlink()
    assert compact(str(lake), now=DAY_2).batch == "0000000001"
    assert difference(read_lake(lake), truth) == ""
    assert audit(str(lake)).ok
