"""A small lake before its second batch, with either keeper of its state, and the ways to explore what may happen to it.

There is a committed batch whose raw object is old enough to collect, and two raw objects that hold two event days, a row that
comes late, a line delivered twice within the batch, and one delivered again after its batch. Where Glue keeps the state there is
a raw object of today too, which no batch may take, and the late row is of a day before all that were committed.
"""

from __future__ import annotations

import datetime as dt
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from small_lakes import DAY_3, MUCH_LATER, Crashed, put_raw, raw_row
from stepwise import FAULTS, FaultyStep, MemoryLake, Objects, Run, StepGlue, StepStore, new_catalog, open_lake
from stepwise_engine import RememberedRewrite
from stepwise_history import broken_invariants, what_readers_see
from stepwise_readers import Read, Reader, read_as_athena, read_directly, read_in_every_way

from etl.compact import Compacted, _compact, _outputs, _rewrite, compact
from etl.errors import LakeError, LakeUnusable
from etl.lake import GLUE_STATE

KEPT = dt.timedelta(days=7)
AT_ONCE = dt.timedelta(0)
FIRST, SECOND, THIRD = ("0000000001", "0000000002", "0000000003")
GRACES = pytest.mark.parametrize("grace", [KEPT, AT_ONCE], ids=["with grace", "without"])
TWICE = Counter({("log-1", 2): 1, ("log-2", 2): 1})
"""Rows that raw/ holds once more than it should, until the second batch folds them."""
ONCE = Counter([("log-1", 1), ("log-1", 2), ("log-2", 1), ("log-2", 2), ("log-2", 3), ("log-3", 1)])
LATER = Counter([("log-4", 1), ("log-4", 2)])
TODAY = Counter([("log-5", 1)])
LATER_KEY = "raw/ingest_date=2024-05-04/d.parquet"
STRAGGLER_KEY = "raw/ingest_date=2024-05-03/d.parquet"
TODAY_KEY = f"raw/ingest_date={MUCH_LATER:%Y-%m-%d}/e.parquet"
WHOLE, BY_ROW = 1 << 20, 1
"""Target sizes: a file a day, a file a row."""


Told = tuple[str, str, frozenset[Any] | None, str]
"""What kind of reader, the batch it saw, its rows or None, and what was wrong."""


# --- The small lake and its runs --------------------------------------------------------------------------------------


@dataclass
class World:
    """The lake as it is before the second batch, and what the explorations share."""

    keeper: str
    objects: Objects
    later: bytes
    folder: Path
    remembered: RememberedRewrite
    known: dict[Any, frozenset[Told]] = field(default_factory=dict)

    @property
    def unsealed(self) -> Counter[tuple[str, int]]:
        """Rows of raw objects that no batch may take yet."""
        return TODAY if self.keeper == GLUE_STATE else Counter()

    @property
    def readers(self) -> dict[str, Reader]:
        """All kinds of readers that such a lake has."""
        readers: dict[str, Reader] = {"direct": partial(read_directly, state=self.keeper)}
        if self.keeper == GLUE_STATE:
            readers["athena"] = partial(read_as_athena, raw_first=False)
            readers["athena, raw first"] = partial(read_as_athena, raw_first=True)
        return readers

    def lake(self) -> MemoryLake:
        return MemoryLake(dict(self.objects), self.folder, MUCH_LATER)

    def reads(self, lake: MemoryLake) -> frozenset[Told]:
        """What readers can be told in any way of going through the lake's states."""
        seen = what_readers_see(lake.states)
        name = tuple(frozenset(objects.items()) for objects in seen)
        if name not in self.known:
            self.known[name] = frozenset(
                _told(kind, read) for kind, reader in self.readers.items() for read in read_in_every_way(seen, reader)
            )
        return self.known[name]

    def run(
        self,
        lake: MemoryLake,
        step: Any = None,
        *,
        attempt: str = "one",
        grace: dt.timedelta = KEPT,
        target: int = WHOLE,
    ) -> Compacted:
        """A compaction by the lake's clock, whose attempt has this name."""
        named = {"step": step} if step else {}
        _of_this_thread.attempt, _of_this_thread.lake = attempt, lake
        opened: Any = open_lake(StepStore(lake, **named), StepGlue(lake, **named), state=self.keeper)
        return compact(opened, grace=grace, target_bytes=target)


_of_this_thread = threading.local()


def _told(kind: str, read: Read) -> Told:
    return kind, read.batch, None if read.rows is None else frozenset(read.rows.items()), read.trouble


def patch_compaction(monkeypatch: pytest.MonkeyPatch, rewrite: Callable[..., Any]) -> None:
    """Runs on lakes that are open, by their clock, with named attempts and small files."""
    monkeypatch.setattr(_compact, "open_lake", lambda lake: lake)
    monkeypatch.setattr(_compact, "_moment", lambda now: _of_this_thread.lake.now)
    named = SimpleNamespace(uuid4=lambda: SimpleNamespace(hex=_of_this_thread.attempt))
    monkeypatch.setattr(_compact, "uuid", named)
    monkeypatch.setattr(_rewrite, "_rewrite", rewrite)
    monkeypatch.setattr(_outputs, "ROWS_PER_GROUP", 1)


def make_world(keeper: str, folder: Path, remembered: RememberedRewrite) -> World:
    """The lake, made by the code that is explored."""

    def raw(name: str, *rows: dict[str, Any]) -> bytes:
        return put_raw(folder / "made", name, rows).read_bytes()

    again = raw_row("log-1", 2, "2024-05-02T10:00:00", request_id="R12")
    twice = raw_row("log-2", 2, "2024-05-02T12:00:00", request_id="R22")
    late = raw_row("log-3", 1, "2024-04-20T23:00:00" if keeper == GLUE_STATE else "2024-05-01T23:00:00")
    objects = new_catalog(first_day="2024-05-01") if keeper == GLUE_STATE else {}
    first = raw("a", raw_row("log-1", 1, "2024-05-01T10:00:00", request_id="R11"), again)
    objects["raw/ingest_date=2024-05-02/a.parquet"] = first
    later = raw("d", raw_row("log-4", 1, "2024-05-03T12:00:00"), raw_row("log-4", 2, "2024-05-04T12:00:00"))
    shelf = folder / "shelf"
    shelf.mkdir(exist_ok=True)
    world = World(keeper, {}, later, shelf, remembered)
    lake = MemoryLake(objects, shelf, DAY_3)
    with pytest.MonkeyPatch.context() as patch:
        patch_compaction(patch, remembered.real)
        world.run(lake)
    world.objects |= {key: data for key, data in lake.objects.items() if not key.startswith("staging/")}
    days = raw_row("log-2", 1, "2024-05-02T11:00:00"), twice, raw_row("log-2", 3, "2024-05-03T11:00:00")
    world.objects["raw/ingest_date=2024-05-03/b.parquet"] = raw("b", *days)
    world.objects["raw/ingest_date=2024-05-03/c.parquet"] = raw("c", late, twice, again)
    if keeper == GLUE_STATE:
        world.objects[TODAY_KEY] = raw("e", raw_row("log-5", 1, f"{MUCH_LATER:%Y-%m-%dT%H:%M:%S}"))
    return world


# --- What is found ----------------------------------------------------------------------------------------------------


@dataclass
class Found:
    """An exploration: how much of it there was, what was wrong, and how often a reader or a run was told of trouble."""

    schedules: int = 0
    steps: int = 0
    violations: list[str] = field(default_factory=list)
    gone: int = 0
    run_errors: Counter[str] = field(default_factory=Counter)

    def judge(
        self, world: World, lake: MemoryLake, *, grace: dt.timedelta, label: str, stragglers: Collection[str] = ()
    ) -> None:
        """Hold every read of a history, and the history itself, against the truth."""
        self.schedules += 1
        broken = broken_invariants(lake, grace=grace, stragglers=stragglers)
        self.violations += [f"{label}: {each}" for each in broken]
        for kind, batch, frozen, trouble in world.reads(lake):
            if kind != "direct" and not grace:
                continue  # a query that began before the commit lists raw/ when it is empty: only the grace period protects it
            if frozen is None:
                self.gone += 1
                if trouble != "gone":
                    self.violations.append(f"{label}: {kind}: a reader is refused: {trouble}")
                elif grace:
                    self.violations.append(f"{label}: {kind}: a reader lost a file within the grace period")
                continue
            rows = Counter(dict(frozen))
            expected = ONCE + world.unsealed + (TWICE if batch < SECOND else Counter())
            later = Counter({row: count for row, count in rows.items() if row in LATER})
            if rows - later != expected or later not in (LATER, Counter()):
                missing, added = expected - rows, rows - expected - LATER
                told = f"missing {dict(missing)}, added {dict(added)} {later}"
                self.violations.append(f"{label}: {kind}: batch {batch}: {told}")

    def judge_end(self, world: World, lake: MemoryLake, *, label: str, arrived: bool = False) -> None:
        """Hold what everybody sees at last against the truth: all of it compacted, once, in one batch or two."""
        batches = (SECOND, THIRD) if arrived else (SECOND,)
        wanted = ONCE + world.unsealed + (LATER if arrived else Counter())
        for kind, reader in world.readers.items():
            (end,) = read_in_every_way(lake.states[-1:], reader)
            if end.batch not in batches or end.rows != wanted:
                self.violations.append(f"{label}: {kind}: ends with batch {end.batch} and {end.rows} {end.trouble}")
        for key in lake.objects:
            if key.startswith("meta/plan/") and key.replace("plan", "commit") not in lake.objects:
                self.violations.append(f"{label}: {key} has no commit in the end")

    def run_last(self, world: World, lake: MemoryLake, label: str, **options: Any) -> None:
        """The run that has to end well, a day later."""
        lake.now += dt.timedelta(days=1)
        try:
            done = world.run(lake, **options)
        except (LakeError, KeyError) as error:
            self.violations.append(f"{label}: the next run fails: {error}")
        else:
            if done.left_out:
                self.violations.append(f"{label}: the next run leaves out {done.left_out}")

    def end_of_run(self, error: BaseException | None, label: str, *, grace: dt.timedelta) -> None:
        """Note how a run ended that nothing was done to."""
        if error is not None:
            self.run_errors[type(error).__name__] += 1
            self.violations.append(f"{label}: a run fails: {error!r}")


# --- One run and one fault --------------------------------------------------------------------------------------------


def explore_faults(world: World, *, grace: dt.timedelta, until_wrong: bool = False) -> Found:
    """Each fault at each step, a run after it a day later, and every reader of the two."""
    whole = FaultyStep()
    world.run(world.lake(), whole, grace=grace)
    found = Found(steps=len(whole.steps))
    for at, fault in itertools.product(range(len(whole.steps)), FAULTS):
        label = f"{fault} {whole.steps[at]}"
        lake = world.lake()
        try:
            world.run(lake, FaultyStep(at, fault), grace=grace)
        except (Crashed, LakeUnusable) as error:
            found.run_errors["Crashed" if isinstance(error, Crashed) else "LakeUnusable"] += 1
        found.run_last(world, lake, label, attempt="two", grace=grace)
        found.judge(world, lake, grace=grace, label=label)
        found.judge_end(world, lake, label=label)
        if until_wrong and found.violations:
            break
    return found


# --- Two runs ---------------------------------------------------------------------------------------------------------


def explore_rivals(
    world: World,
    *,
    grace: dt.timedelta,
    arrives: str = "",
    strides: tuple[int, int] = (1, 1),
    until_wrong: bool = False,
) -> Found:
    """Two runs of different target sizes: one waits after any number of steps, the other after any number of its own.

    Then the first goes on to its end, then the second. If an object `arrives`, it does so at the first switch. Of the two numbers
    only every so many are taken: with (1, 2) the even ones beside even ones, the odd beside odd.
    """
    found = Found()
    for first in itertools.count(0, strides[0]):
        first_ended = False
        for second in itertools.count(first % strides[1], strides[1]):
            label = f"{first} steps, {second} of the rival"
            lake = world.lake()
            ours = _start(world, lake, attempt="ours", grace=grace, target=WHOLE)
            rival = _start(world, lake, attempt="rival", grace=grace, target=BY_ROW)
            ours.take(first)
            first_ended = ours.done
            if arrives:
                lake.put(arrives, world.later)
            rival.take(second)
            second_ended = rival.done
            ours.take(None)
            rival.take(None)
            found.steps = max(found.steps, ours.taken, rival.taken)
            for each in (ours, rival):
                found.end_of_run(each.error, label, grace=grace)
            found.run_last(world, lake, label, attempt="last", grace=grace)
            late = (arrives,) if arrives == STRAGGLER_KEY else ()
            found.judge(world, lake, grace=grace, label=label, stragglers=late)
            found.judge_end(world, lake, label=label, arrived=bool(arrives))
            if until_wrong and found.violations:
                return found
            if second_ended:
                break
        if first_ended:
            return found
    raise AssertionError("unreachable")


def explore_zombies(world: World, *, grace: dt.timedelta, until_wrong: bool = False) -> Found:
    """A run sleeps before any of its steps, two others commit a batch each, and it wakes up."""
    found = Found()
    for steps in itertools.count():
        label = f"a sleeper of {steps} steps"
        lake = world.lake()
        sleeper = _start(world, lake, attempt="sleeper", grace=grace, target=BY_ROW)
        sleeper.take(steps)
        ended = sleeper.done
        world.run(lake, attempt="second", grace=grace)
        lake.put(LATER_KEY, world.later)
        lake.now += dt.timedelta(hours=6)
        world.run(lake, attempt="third", grace=grace)
        sleeper.take(None)
        found.end_of_run(sleeper.error, label, grace=grace)
        found.steps = max(found.steps, sleeper.taken)
        found.run_last(world, lake, label, attempt="last", grace=grace)
        found.judge(world, lake, grace=grace, label=label)
        found.judge_end(world, lake, label=label, arrived=True)
        if ended or (until_wrong and found.violations):
            return found
    raise AssertionError("unreachable")


def _start(world: World, lake: MemoryLake, **options: Any) -> Run:
    return Run(lambda step: world.run(lake, step, **options))
