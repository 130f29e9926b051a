"""What `test_compact_stepwise` explores, where Glue keeps the state: each of its calls is a step too.

Readers are those of the files and those of the view, who resolve it, and then list the files of its two arms.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from compact_worlds import (
    AT_ONCE,
    FIRST,
    GRACES,
    KEPT,
    LATER,
    LATER_KEY,
    ONCE,
    SECOND,
    STRAGGLER_KEY,
    TODAY,
    TWICE,
    World,
    explore_faults,
    explore_rivals,
    explore_zombies,
    make_world,
    patch_compaction,
)
from stepwise import FAULTS
from stepwise_engine import RememberedRewrite
from stepwise_history import state_of, what_readers_see
from stepwise_readers import read_as_athena, read_directly, read_in_every_way

from etl.catalog import GlueKeeper, access_logs_input, read_state
from etl.catalog._glue import update_table
from etl.compact import Eligible, _compact, _rewrite, choose_objects, collect, commit, elect, publish
from etl.lake import GLUE_STATE, Commit, Lake, Plan, Snapshot, State, Winner, commit_of, create_record, read_commits
from etl.lake._layout import commit_key

HALF_A_DAY = dt.timedelta(hours=12)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(GLUE_STATE, tmp_path_factory.mktemp("world"), RememberedRewrite(_rewrite._rewrite))


@pytest.fixture
def world(made: World, monkeypatch: pytest.MonkeyPatch) -> World:
    patch_compaction(monkeypatch, made.remembered)
    return replace(made, known={})


# --- What holds -------------------------------------------------------------------------------------------------------


def test_a_run_moves_the_state_by_one_batch_and_the_sealed_days(world: World) -> None:
    lake = world.lake()
    assert state_of(lake.objects) == State(FIRST, "2024-05-03")
    done = world.run(lake)
    assert state_of(lake.objects) == State(SECOND, "2024-05-04")
    assert (done.batch, done.rows_in, done.duplicates, done.stragglers) == (SECOND, 6, 2, ())
    assert world.run(lake).batch is None, "today is not sealed"
    assert state_of(lake.objects) == State(SECOND, "2024-05-04")


@GRACES
def test_any_single_fault_and_a_retry_are_seen_by_no_reader(world: World, grace: dt.timedelta) -> None:
    found = explore_faults(world, grace=grace)
    assert found.violations[:5] == []
    assert found.schedules == found.steps * len(FAULTS)
    assert found.steps > 40
    assert found.run_errors["Crashed"] == found.steps * 2
    # An answer of Glue that was lost is looked up, and a journal that was refused is written while collecting.
    assert found.steps < found.run_errors["LakeUnusable"] < found.steps * 2
    assert bool(found.gone) == (grace == AT_ONCE)


@pytest.mark.parametrize(("grace", "strides"), [(KEPT, (1, 2)), (AT_ONCE, (3, 3))], ids=["with grace", "without"])
def test_two_runs_with_two_switches_are_seen_by_no_reader(
    world: World, grace: dt.timedelta, strides: tuple[int, int]
) -> None:
    """Each step of each run, before every second one of the other; without grace every third."""
    found = explore_rivals(world, grace=grace, strides=strides)
    assert found.violations[:5] == []
    assert found.schedules > (800 if grace else 180)


@pytest.mark.parametrize("key", [LATER_KEY, STRAGGLER_KEY], ids=["of a day of its own", "of a sealed day"])
def test_something_arrives_while_two_runs_take_turns(world: World, key: str) -> None:
    """Every fifth step of each. Of a sealed day it may be missing from the view until the next run, and is never there twice."""
    found = explore_rivals(world, grace=KEPT, arrives=key, strides=(5, 5))
    assert found.violations[:5] == []
    assert found.schedules > 80


@GRACES
def test_a_run_that_slept_while_others_went_on_does_no_harm(world: World, grace: dt.timedelta) -> None:
    found = explore_zombies(world, grace=grace)
    assert found.violations[:5] == []
    assert found.schedules > 40


@pytest.mark.parametrize("raw_first", [True, False])
def test_a_query_that_goes_on_at_any_step_of_a_run_sees_one_batch_or_the_other(world: World, raw_first: bool) -> None:
    lake = world.lake()
    world.run(lake)
    reader = lambda look: read_as_athena(look, raw_first=raw_first)  # noqa: E731
    ways = list(read_in_every_way(what_readers_see(lake.states), reader))
    assert {(read.batch, frozenset((read.rows or Counter()).items())) for read in ways} == {
        (FIRST, frozenset((ONCE + TWICE + TODAY).items())),
        (SECOND, frozenset((ONCE + TODAY).items())),
    }
    assert len(ways) > 10


def test_what_came_into_a_sealed_day_is_hidden_from_queries_until_the_next_run_and_from_nobody_else(
    world: World,
) -> None:
    lake = world.lake()
    world.run(lake)
    lake.put(STRAGGLER_KEY, world.later)

    def rows() -> dict[str, Any]:
        found = {kind: next(read_in_every_way(lake.states[-1:], reader)) for kind, reader in world.readers.items()}
        return {kind: read.rows for kind, read in found.items()}

    assert rows() == {"direct": ONCE + TODAY + LATER, "athena": ONCE + TODAY, "athena, raw first": ONCE + TODAY}
    done = world.run(lake)
    assert done.stragglers == (STRAGGLER_KEY,)
    assert state_of(lake.objects) == State("0000000003", "2024-05-04"), "it moves no day"
    assert all(seen == ONCE + TODAY + LATER for seen in rows().values())
    assert world.run(lake).stragglers == ()


def test_a_batch_without_its_record_is_read_from_plan_and_winner_and_gets_one_before_it_is_collected(
    world: World,
) -> None:
    lake = world.lake()
    world.run(lake)
    record = lake.objects.pop(commit_key(SECOND))
    lake.put("raw/ingest_date=2024-05-02/unrelated.txt", b"")
    assert (
        next(read_in_every_way(lake.states[-1:], lambda look: read_directly(look, state=GLUE_STATE))).rows
        == ONCE + TODAY
    )
    lake.now += dt.timedelta(days=8)
    sealed = world.run(lake, grace=KEPT)
    assert sealed.batch == "0000000003", "the object of today is sealed by now"
    assert sealed.collected == 0, "its grace starts with its record"
    assert lake.objects[commit_key(SECOND)] != record
    lake.now += dt.timedelta(days=7)
    assert world.run(lake, grace=KEPT).collected == 3


# --- Protocols that are wrong -----------------------------------------------------------------------------------------


def swap_whatever_is_there(client: Any, database: str, table: dict[str, Any], *, version: str) -> bool:
    latest = client.get_table(DatabaseName=database, Name=table["Name"])["Table"]["VersionId"]
    return _update(client, database, table, version=latest)


def advance_from_anywhere(keeper: GlueKeeper, to: State, *, event_days: Collection[str]) -> None:
    """A swap that believes the state which the run began with."""
    live = keeper._live("access_logs")
    view = access_logs_input(to, database=keeper.database, lake_uri=keeper.store.uri)
    keeper._reach_back(event_days)
    swap_whatever_is_there(keeper.client, keeper.database, {**live, **view}, version="")


def advance_in_two_steps(keeper: GlueKeeper, to: State, *, event_days: Collection[str]) -> None:
    now = keeper.read()
    if now.batch < to.batch:
        for state in (State(now.batch, to.raw_since), to):
            live = keeper._live("access_logs")
            view = access_logs_input(state, database=keeper.database, lake_uri=keeper.store.uri)
            _update(keeper.client, keeper.database, {**live, **view}, version=live["VersionId"])


def advance_the_batch_alone(keeper: GlueKeeper, to: State, *, event_days: Collection[str]) -> None:
    _advance(keeper, replace(to, raw_since=keeper.read().raw_since), event_days=event_days)


def reach_nowhere(keeper: GlueKeeper, event_days: Collection[str]) -> None:
    pass


def reach_afterwards(keeper: GlueKeeper, to: State, *, event_days: Collection[str]) -> None:
    live = keeper._live("access_logs")
    now = read_state(live)
    if now.batch < to.batch:
        view = access_logs_input(to, database=keeper.database, lake_uri=keeper.store.uri)
        _update(keeper.client, keeper.database, {**live, **view}, version=live["VersionId"])
    _reach_back(keeper, event_days)


def record_first(lake: Lake, plan: Plan, winner: Winner, *, now: dt.datetime | None) -> None:
    moment = _compact._moment(now).isoformat()
    create_record(lake.store, commit_key(plan.batch), commit_of(plan, winner, committed_at=moment))
    commit(lake, plan, winner, now=now)


def publish_later(lake: Lake, winner: Winner) -> None:
    pass


def commit_and_publish(lake: Lake, plan: Plan, winner: Winner, *, now: dt.datetime | None) -> None:
    commit(lake, plan, winner, now=now)
    publish(lake, winner)


def publish_some(lake: Lake, winner: Winner) -> None:
    publish(lake, replace(winner, outputs=winner.outputs[1:]))


def elect_oneself(lake: Lake, attempt: Winner) -> Winner:
    elect(lake, attempt)
    return attempt


def plan_over(store: Any, key: str, record: Any) -> bool:
    if not key.startswith("meta/plan/"):
        return create_record(store, key, record)
    store.overwrite(key, _json(record))
    return True


def _json(record: Any) -> bytes:
    class Taken:
        data = b""

        def create(self, key: str, data: bytes) -> bool:
            self.data = data
            return True

    taken: Any = Taken()
    create_record(taken, "", record)
    return bytes(taken.data)


def hide_until_now(objects: Any, *, now: dt.datetime, **given: Any) -> Eligible:
    """A boundary by the clock, of days that are not rewritten."""
    chosen = choose_objects(objects, now=now, **given)
    return replace(chosen, raw_since=(now + dt.timedelta(days=1)).date().isoformat())


def leave_stragglers(objects: Any, **given: Any) -> Eligible:
    chosen = choose_objects(objects, **given)
    kept = tuple(stored for stored in chosen.objects if stored.key not in chosen.stragglers)
    return Eligible(kept, chosen.raw_since)


def collect_at_once(lake: Lake, *, now: dt.datetime, grace: dt.timedelta) -> int:
    return collect(lake, now=now, grace=AT_ONCE)


def records_alone(keeper: GlueKeeper) -> Iterator[Commit]:
    yield from read_commits(keeper.store)


def commits_before_raw(lake: Lake) -> Snapshot:
    commits = list(lake.commits())
    with patch.object(Lake, "commits", lambda _: iter(commits)):
        return _snapshot(lake)


_snapshot = Lake.snapshot
_advance, _reach_back, _update = GlueKeeper.advance, GlueKeeper._reach_back, update_table
Patches = tuple[tuple[object, str, object], ...]
WRONG: dict[str, tuple[str, Patches, str, dt.timedelta, str]] = {
    "plan without create-once": (
        *("I1", ((_compact, "create_record", plan_over),)),
        *("arrival", KEPT, "created and then changed"),
    ),
    "a loser publishes its own attempt": (
        *("I2, I3", ((_compact, "elect", elect_oneself), (_compact, "check_published", publish_later))),
        *("rivals", KEPT, "run fails|not what"),
    ),
    "publish not all": (
        *("I3", ((_compact, "publish", publish_some), (_compact, "check_published", publish_later))),
        *("faults", KEPT, r"missing \{\(.log"),
    ),
    "commit before publish": (
        "I3, I6",
        (
            (_compact, "publish", publish_later),
            (_compact, "check_published", publish_later),
            (_compact, "commit", commit_and_publish),
        ),
        *("faults", KEPT, r"athena.*missing \{\(.log"),
    ),
    "a swap without the version that was read": (
        *("I4", ((GlueKeeper, "advance", advance_from_anywhere),)),
        *("zombies", KEPT, "the state went back"),
    ),
    "the days move before the batch": (
        *("I4, I5", ((GlueKeeper, "advance", advance_in_two_steps),)),
        *("faults", KEPT, "is hidden and in no batch"),
    ),
    "the batch moves and the days do not": (
        *("I6", ((GlueKeeper, "advance", advance_the_batch_alone),)),
        *("faults", KEPT, r"athena.*added \{\(.log"),
    ),
    "the boundary is the clock's": (
        *("I5", ((_compact, "choose_objects", hide_until_now),)),
        *("faults", KEPT, r"athena.*missing \{\(.log-5"),
    ),
    "stragglers are left": (
        *("I5", ((_compact, "choose_objects", leave_stragglers),)),
        *("stragglers", KEPT, "ends with batch"),
    ),
    "the table never reaches back": (
        *("I6", ((GlueKeeper, "_reach_back", reach_nowhere),)),
        *("faults", KEPT, r"athena.*missing \{\(.log-3"),
    ),
    "the table reaches back after the commit": (
        *("I6", ((GlueKeeper, "advance", reach_afterwards),)),
        *("faults", KEPT, r"athena.*missing \{\(.log-3"),
    ),
    "collect without grace": (
        *("I7", ((_compact, "collect", collect_at_once),)),
        *("faults", KEPT, r"athena.*missing \{\(.log"),
    ),
    "commits read before raw/ is listed": (
        *("I6", ((Lake, "snapshot", commits_before_raw),)),
        *("faults", AT_ONCE, r"direct.*missing \{\(.log"),
    ),
    "the record is written before the commit": (
        *("I7", ((_compact, "commit", record_first), (GlueKeeper, "commits", records_alone))),
        *("faults", HALF_A_DAY, "before it was committed"),
    ),
}
"""The invariant, what is put in place of what, the exploration that must find it, the grace it has, and what it must say."""


@pytest.mark.parametrize("name", WRONG)
def test_without_a_step_that_protects_the_exploration_finds_what_goes_wrong(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _, patches, kind, grace, expected = WRONG[name]
    for place, attribute, wrong in patches:
        monkeypatch.setattr(place, attribute, wrong)
    if kind == "faults":
        found = explore_faults(world, grace=grace, until_wrong=True)
    elif kind == "zombies":
        found = explore_zombies(world, grace=grace, until_wrong=True)
    else:
        arrives = {"arrival": LATER_KEY, "stragglers": STRAGGLER_KEY}.get(kind, "")
        found = explore_rivals(world, grace=grace, arrives=arrives, strides=(3, 3), until_wrong=True)
    assert re.search(expected, "\n".join(found.violations)), (found.schedules, found.violations[:3])


def test_every_invariant_has_a_protocol_that_breaks_it() -> None:
    named = {each for entry in WRONG.values() for each in entry[0].split(", ")}
    assert named == {f"I{number}" for number in range(1, 8)}
