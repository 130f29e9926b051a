"""The audit raises no false alarm while others compact, collect, ingest and replay: at each of its calls of the store."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from compact_worlds import AT_ONCE, GRACES, World, make_world, patch_compaction
from replay_lakes import older_lake
from small_lakes import DAY_2, DAY_3, log_text, write_logs
from stepwise import FaultyStep, MemoryLake, Run, StepGlue, StepStore, open_lake
from stepwise_engine import RememberedRewrite

from etl.audit import Audit, _audit, audit
from etl.compact import _rewrite
from etl.ingest import ingest
from etl.lake import FILE_STATE, GLUE_STATE, Lake, ObjectStore, StoredObject
from etl.lake import open_lake as open_file_lake
from etl.replay import replay

# --- Beside a compaction ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[FILE_STATE, GLUE_STATE])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(request.param, tmp_path_factory.mktemp("world"), RememberedRewrite(_rewrite._rewrite))


@pytest.fixture
def world(made: World, monkeypatch: pytest.MonkeyPatch) -> World:
    patch_compaction(monkeypatch, made.remembered)
    monkeypatch.setattr(_audit, "open_lake", lambda lake: lake)
    return replace(made, known={})


@dataclass
class Interruption:
    """Before one of the steps, somebody else does something."""

    at: int
    act: Callable[[], object]
    taken: int = 0

    def __call__(self, name: str, act: Callable[[], Any]) -> Any:
        self.taken += 1
        if self.taken == self.at + 1:
            self.act()
        return act()


def audit_world(world: World, lake: MemoryLake, step: Callable[[str, Callable[[], Any]], Any]) -> Audit:
    opened: Any = open_lake(StepStore(lake, step), StepGlue(lake, step), state=world.keeper)
    return audit(opened, now=lake.now)


def alarm(found: Audit) -> tuple[str, ...]:
    """All that the audit finds fault with."""
    days = tuple(f"{day.ingest_date} is not ok" for day in found.days if not day.ok)
    return (*found.problems, *found.stragglers, *days, *(() if found.ok else ("not ok",)))


@GRACES
def test_a_run_at_any_step_of_the_audit_is_no_loss(world: World, grace: dt.timedelta) -> None:
    """All of it, or as far as some of its own steps, others each time; without grace it deletes what it compacted."""
    alone, run_alone = FaultyStep(), FaultyStep()
    assert alarm(audit_world(world, world.lake(), alone)) == ()
    world.run(world.lake(), run_alone, grace=grace)
    wrong, schedules = [], 0
    for at, step in enumerate(alone.steps):
        for taken in (None, *range(1 + at % 11, len(run_alone.steps), 11)):
            lake = world.lake()
            run = Run(partial(world.run, lake, grace=grace))
            found = audit_world(world, lake, Interruption(at, partial(run.take, taken)))
            wrong += [f"{taken} steps before {step}: {each}" for each in alarm(found)]
            run.take(None)
            assert run.error is None
            schedules += 1
    assert wrong[:5] == []
    assert schedules > 60


def test_a_lost_file_is_an_alarm_beside_a_run_too(world: World) -> None:
    lake = world.lake()
    key = next(key for key in lake.objects if key.startswith("compacted/"))

    def run_and_lose() -> None:
        world.run(lake, grace=AT_ONCE)
        lake.drop(key)

    found = audit_world(world, lake, Interruption(0, run_and_lose))
    assert any(key in problem and "missing" in problem for problem in found.problems)


# --- Beside an ingest and a replay ------------------------------------------------------------------------------------


@dataclass
class InterruptedStore:
    """A store before whose n-th call somebody else does something."""

    inner: ObjectStore
    at: int
    act: Callable[[], object]
    calls: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        self._call(f"list {prefix}")
        return self.inner.list(prefix)

    def read(self, key: str) -> bytes:
        self._call(f"read {key}")
        return self.inner.read(key)

    def path(self, key: str) -> str:
        self._call(f"open {key}")
        return self.inner.path(key)

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if len(self.calls) == self.at:
            self.act()


def ingest_more(lake: Path) -> None:
    logs = write_logs(lake.parent / "more", {"e.log": log_text(20, seed="e", bad_every=3)})
    ingest([str(logs)], lake=str(lake), now=DAY_2)


def replay_all(lake: Path) -> None:
    assert replay(str(lake), now=DAY_2).lines_rows == 9


@pytest.mark.parametrize("act", [ingest_more, replay_all])
def test_an_ingest_and_a_replay_at_any_step_of_the_audit_are_no_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], None]
) -> None:
    made = older_lake(tmp_path / "made")
    alone = InterruptedStore(open_file_lake(str(made)).store, 0, lambda: None)
    monkeypatch.setattr(_audit, "open_lake", lambda opened: opened)
    opened: Any = Lake(alone)
    assert alarm(audit(opened, now=DAY_3)) == ()
    assert len(alone.calls) > 15
    for at in range(1, len(alone.calls) + 1):
        lake = tmp_path / f"{at}" / "lake"
        shutil.copytree(made, lake)
        beside: Any = Lake(InterruptedStore(open_file_lake(str(lake)).store, at, partial(act, lake)))
        assert alarm(audit(beside, now=DAY_3)) == (), alone.calls[at - 1]
        afterwards: Any = open_file_lake(str(lake))
        assert alarm(audit(afterwards, now=DAY_3)) == ()
