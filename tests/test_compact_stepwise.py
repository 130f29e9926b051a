"""The compaction's own code, explored step by step: single faults, two runs, readers, and protocols with a step taken away.

Every call of the store is a step (`stepwise`); the lake is small (`compact_worlds`), and files keep its state.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import asdict, replace
from typing import Any
from unittest.mock import patch

import pytest
from compact_worlds import (
    AT_ONCE,
    FIRST,
    GRACES,
    KEPT,
    LATER_KEY,
    ONCE,
    SECOND,
    TWICE,
    World,
    explore_faults,
    explore_rivals,
    explore_zombies,
    make_world,
    patch_compaction,
)
from stepwise import FAULTS, FaultyStep
from stepwise_engine import RememberedRewrite
from stepwise_history import what_readers_see
from stepwise_readers import read_directly, read_in_every_way

from etl.compact import _compact, _rewrite, collect, commit, elect, publish
from etl.lake import FILE_STATE, DataFile, Lake, Plan, Snapshot, Winner
from etl.lake._layout import staged_key, winner_key


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(FILE_STATE, tmp_path_factory.mktemp("world"), RememberedRewrite(_rewrite._rewrite))


@pytest.fixture
def world(made: World, monkeypatch: pytest.MonkeyPatch) -> World:
    patch_compaction(monkeypatch, made.remembered)
    return replace(made, known={})


@GRACES
def test_any_single_fault_and_a_retry_are_seen_by_no_reader(world: World, grace: dt.timedelta) -> None:
    found = explore_faults(world, grace=grace)
    assert found.violations == []
    assert found.schedules == found.steps * len(FAULTS)
    assert found.steps > 25
    # A commit whose answer was lost is found to be done.
    assert found.run_errors == {"Crashed": found.steps * 2, "LakeUnusable": found.steps * 2 - 1}
    assert bool(found.gone) == (grace == AT_ONCE)


def test_the_engine_itself_gives_what_is_remembered_of_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same steps, same objects, byte for byte: the exploration leaves nothing out by not asking DuckDB again."""
    real, recalled = (world.lake(), world.lake())
    steps = FaultyStep(), FaultyStep()
    world.run(world.lake())
    before = world.remembered.recalled
    world.run(recalled, steps[1])
    assert world.remembered.recalled == before + 1
    monkeypatch.setattr(_rewrite, "_rewrite", world.remembered.real)
    world.run(real, steps[0])
    assert steps[0].steps == steps[1].steps
    assert real.states == recalled.states


@GRACES
def test_two_runs_with_two_switches_anywhere_are_seen_by_no_reader(world: World, grace: dt.timedelta) -> None:
    """Every pair of steps; without grace every second of each. Both end well, although the other may have tidied up."""
    found = explore_rivals(world, grace=grace, strides=(1, 1) if grace else (2, 2))
    assert found.violations[:5] == []
    assert found.schedules > (1000 if grace else 250)
    assert bool(found.gone) == (grace == AT_ONCE)


@GRACES
def test_something_arrives_while_two_runs_take_turns(world: World, grace: dt.timedelta) -> None:
    """Every third step of each: the arrival matters before the plan and is left for the next batch after it."""
    found = explore_rivals(world, grace=grace, arrives=LATER_KEY, strides=(3, 3))
    assert found.violations[:5] == []
    assert found.schedules > 100


@GRACES
def test_a_run_that_slept_while_others_went_on_does_no_harm(world: World, grace: dt.timedelta) -> None:
    found = explore_zombies(world, grace=grace)
    assert found.violations[:5] == []
    assert found.schedules > 25


# --- One reader beside one run ----------------------------------------------------------------------------------------


@GRACES
def test_a_reader_who_goes_on_at_any_step_of_a_run_sees_one_batch_or_the_other(
    world: World, grace: dt.timedelta
) -> None:
    """All interleavings of its calls, pages of listings included; who lost a file is told so and never given fewer rows."""
    lake = world.lake()
    world.run(lake, grace=grace)
    ways = list(read_in_every_way(what_readers_see(lake.states), read_directly))
    seen = {(read.batch, None if read.rows is None else frozenset(read.rows.items())) for read in ways}
    before, after = frozenset((ONCE + TWICE).items()), frozenset(ONCE.items())
    assert seen - {(FIRST, None), (SECOND, None)} == {(FIRST, before), (SECOND, after)}
    assert ((FIRST, None) in seen) == (grace == AT_ONCE)
    assert (SECOND, None) not in seen, "what a committed batch names is never deleted"
    assert len(ways) > len(seen)


# --- Protocols that are wrong -----------------------------------------------------------------------------------------


def elect_the_last(lake: Lake, attempt: Winner) -> Winner:
    _overwrite(lake, winner_key(attempt.batch), attempt)
    return attempt


def elect_oneself(lake: Lake, attempt: Winner) -> Winner:
    elect(lake, attempt)
    return attempt


def plan_over(store: Any, key: str, record: Plan) -> bool:
    store.overwrite(key, json.dumps(asdict(record)).encode())
    return True


def publish_over(lake: Lake, winner: Winner) -> None:
    for output in winner.outputs:
        data = lake.store.read(staged_key(winner.batch, winner.attempt, output.key))
        lake.store.overwrite(output.key, data)  # type: ignore[attr-defined]


def publish_some(lake: Lake, winner: Winner) -> None:
    publish(lake, replace(winner, outputs=winner.outputs[1:]))


def publish_later(lake: Lake, winner: Winner) -> None:
    pass


def commit_and_publish(lake: Lake, plan: Plan, winner: Winner, *, now: dt.datetime | None) -> None:
    commit(lake, plan, winner, now=now)
    publish(lake, winner)


def collect_at_once(lake: Lake, *, now: dt.datetime, grace: dt.timedelta) -> int:
    return collect(lake, now=now, grace=AT_ONCE)


def collect_and_commit(lake: Lake, plan: Plan, winner: Winner, *, now: dt.datetime | None) -> None:
    for item in plan.inputs:
        lake.store.delete(item.key)
    commit(lake, plan, winner, now=now)


def fold_nothing(lake: Lake, batch: str, connection: Any, *_: object) -> dict[str, int]:
    connection.execute("CREATE TEMP TABLE folded (raw_object VARCHAR, file_row BIGINT)")
    return {}


def commits_before_raw(lake: Lake) -> Snapshot:
    commits = list(lake.commits())
    with patch.object(Lake, "commits", lambda _: iter(commits)):
        return _snapshot(lake)


def list_folders(lake: Lake) -> Snapshot:
    found = _snapshot(lake)
    files = tuple(DataFile(stored.key, "", stored.size) for stored in lake.store.list("compacted/"))
    return replace(found, compacted=files)


def _overwrite(lake: Lake, key: str, record: Winner) -> None:
    lake.store.overwrite(key, json.dumps(asdict(record)).encode())  # type: ignore[attr-defined]


_snapshot = Lake.snapshot
Patches = tuple[tuple[object, str, object], ...]
WRONG: dict[str, tuple[Patches, str, dt.timedelta, str]] = {
    "elect without create-once": (((_compact, "elect", elect_the_last),), "rivals", KEPT, "winner|run fails|not what"),
    "the loser keeps its attempt": (((_compact, "elect", elect_oneself),), "rivals", KEPT, "run fails|not what"),
    "plan without create-once": (
        ((_compact, "create_record", plan_over),),
        "arrival",
        KEPT,
        "created and then changed",
    ),
    "publish over what is there": (
        ((_compact, "elect", elect_oneself), (_compact, "publish", publish_over)),
        *("rivals", KEPT, "compacted/.* was created and then changed"),
    ),
    "publish not all": (
        ((_compact, "publish", publish_some), (_compact, "check_published", publish_later)),
        *("faults", KEPT, "lost a file"),
    ),
    "commit before publish": (
        (
            (_compact, "publish", publish_later),
            (_compact, "check_published", publish_later),
            (_compact, "commit", commit_and_publish),
        ),
        *("faults", KEPT, "lost a file within the grace"),
    ),
    "collect without grace": (((_compact, "collect", collect_at_once),), "faults", KEPT, "too early|lost a file"),
    "collect before commit": (((_compact, "commit", collect_and_commit),), "faults", AT_ONCE, "too early"),
    "fold nothing": (((_rewrite, "_fold", fold_nothing),), "faults", KEPT, r"added \{\(.log"),
    "commits read before raw/ is listed": (
        ((Lake, "snapshot", commits_before_raw),),
        "faults",
        AT_ONCE,
        r"missing \{\(.log",
    ),
    "folders listed, not commits": (((Lake, "snapshot", list_folders),), "faults", KEPT, r"added \{\(.log"),
}
"""What is put in place of what, the exploration that must find it, the grace it has, and what it must say."""


@pytest.mark.parametrize("name", WRONG)
def test_without_a_step_that_protects_the_exploration_finds_what_goes_wrong(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    patches, kind, grace, expected = WRONG[name]
    for place, attribute, wrong in patches:
        monkeypatch.setattr(place, attribute, wrong)
    monkeypatch.setattr(_rewrite, "_rewrite", RememberedRewrite(world.remembered.real))
    if kind == "faults":
        found = explore_faults(world, grace=grace, until_wrong=True)
    else:
        arrives = LATER_KEY if kind == "arrival" else ""
        found = explore_rivals(world, grace=grace, arrives=arrives, strides=(2, 2), until_wrong=True)
    assert re.search(expected, "\n".join(found.violations)), (found.schedules, found.violations[:3])
