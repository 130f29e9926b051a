"""A back-fill whose every step may be its last, and may have a compaction before it: explored as `test_compact_stepwise` is.

There is a batch with one log object of the archive, a raw object with another, and two log objects that are back-filled in one
batch. They hold two event days, a line that S3 delivered in both, one that is in the committed batch already under another name,
and one that cannot be read.
"""

from __future__ import annotations

import datetime as dt
import itertools
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from compact_worlds import AT_ONCE, KEPT
from small_lakes import DAY_3, MUCH_LATER, Crashed, line, text
from stepwise import FAULTS, FaultyStep, MemoryLake, Objects, Run, StepGlue, StepStore, new_catalog, open_lake
from stepwise_engine import RememberedRewrite
from stepwise_history import broken_invariants, state_of, what_readers_see
from stepwise_readers import Reader, Rows, read_as_athena, read_directly, read_in_every_way

from etl import parse
from etl.audit import _audit, audit
from etl.backfill import _backfill, backfill
from etl.compact import _compact, _outputs, _rewrite, compact
from etl.errors import LakeError, LakeUnusable
from etl.lake import FILE_STATE, GLUE_STATE, raw_key, raw_name
from etl.sinks import write_parquet
from etl.sources import LogSource, version_of

LOGS = {
    "old": text(line(request_id="O1"), line("2024-05-01T10:00:00", request_id="O2")),
    "raw": text(line("2024-05-01T11:00:00", request_id="W1")),
    "one": text(line(request_id="N1"), b"no log line", line("2024-04-30T11:00:00", request_id="N2")),
    "two": text(line(request_id="N1"), line("2024-05-01T12:00:00", request_id="N4")),
    "stream": text(line("2024-05-01T13:00:00", request_id="S1")),
}
BASE: Rows = Counter([("old", 1), ("old", 2), ("raw", 1), ("stream", 1)])
ARCHIVE: Rows = Counter([("one", 1), ("one", 3), ("two", 2)])
FIRST, LAST = "0000000001", "0000000003"


@dataclass
class World:
    """The lake before the back-fill, and the archive."""

    keeper: str
    objects: Objects
    shelf: Path
    archive: list[LogSource]
    known: dict[Any, frozenset[Any]] = field(default_factory=dict)

    def lake(self) -> MemoryLake:
        return MemoryLake(dict(self.objects), self.shelf, MUCH_LATER)

    def backfill(self, lake: MemoryLake, step: Any = None, *, attempt: str = "one") -> None:
        done = backfill(["archive"], lake=self._opened(lake, step, attempt), now=lake.now)
        assert done.failed == ()

    def compact(self, lake: MemoryLake, step: Any = None, *, attempt: str = "one", grace: dt.timedelta = KEPT) -> None:
        assert compact(self._opened(lake, step, attempt), now=lake.now, grace=grace).left_out == ()

    def _opened(self, lake: MemoryLake, step: Any, attempt: str) -> Any:
        named = {"step": step} if step else {}
        _of_this_thread.attempt, _of_this_thread.archive = attempt, self.archive
        return open_lake(StepStore(lake, **named), StepGlue(lake, **named), state=self.keeper)

    @property
    def readers(self) -> dict[str, Reader]:
        readers: dict[str, Reader] = {"direct": partial(read_directly, state=self.keeper)}
        if self.keeper == GLUE_STATE:
            readers["athena"] = partial(read_as_athena, raw_first=False)
        return readers

    def reads(self, lake: MemoryLake) -> frozenset[Any]:
        seen = what_readers_see(lake.states)
        name = tuple(frozenset(objects.items()) for objects in seen)
        if name not in self.known:
            self.known[name] = frozenset(
                (kind, None if read.rows is None else frozenset(read.rows.items()), read.trouble)
                for kind, reader in self.readers.items()
                for read in read_in_every_way(seen, reader)
            )
        return self.known[name]


_of_this_thread = threading.local()


@pytest.fixture(scope="module", params=[FILE_STATE, GLUE_STATE])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, RememberedRewrite]:
    folder = tmp_path_factory.mktemp("world")
    shelf = folder / "shelf"
    shelf.mkdir()
    archive = []
    objects = new_catalog(first_day="2024-05-01") if request.param == GLUE_STATE else {}
    for name, data in LOGS.items():
        file = folder / name
        file.write_bytes(data)
        log = LogSource(name, str(file), len(data))
        archive.append(log)
        if name in ("old", "raw", "stream"):
            rows = folder / f"{name}.parquet"
            parsed = parse(data, source_key=name)
            write_parquet([parsed], rows_file=rows, quarantine_file=folder / "none")
            # What came through Firehose does not say which log object it was.
            key = "stream-1" if name == "stream" else raw_name(name, version_of(log))
            objects[raw_key(key, "2024-05-03" if name == "raw" else "2024-05-02")] = rows.read_bytes()
    world = World(request.param, {}, shelf, archive)
    remembered = RememberedRewrite(_rewrite._rewrite)
    later = {key: objects.pop(key) for key in list(objects) if "2024-05-03" in key}
    lake = MemoryLake(objects, shelf, DAY_3)
    with pytest.MonkeyPatch.context() as patch:
        _patch(patch, remembered)
        world.compact(lake)
    world.objects |= {key: data for key, data in lake.objects.items() if not key.startswith("staging/")} | later
    assert state_of(world.objects).batch == FIRST
    return world, remembered


@pytest.fixture
def world(made: tuple[World, RememberedRewrite], monkeypatch: pytest.MonkeyPatch) -> World:
    _patch(monkeypatch, made[1])
    return made[0]


def _patch(patch: pytest.MonkeyPatch, rewrite: Callable[..., Any]) -> None:
    for module in (_compact, _backfill, _audit):
        patch.setattr(module, "open_lake", lambda lake: lake)
    patch.setattr(_backfill, "find_logs", lambda *_, **__: iter(_of_this_thread.archive))
    patch.setattr(_compact, "uuid", SimpleNamespace(uuid4=lambda: SimpleNamespace(hex=_of_this_thread.attempt)))
    patch.setattr(_rewrite, "_rewrite", rewrite)
    patch.setattr(_outputs, "ROWS_PER_GROUP", 1)


def judge(world: World, lake: MemoryLake, label: str, *, grace: dt.timedelta) -> list[str]:
    """What is wrong with a history that ended well, and with what any reader was told on its way."""
    wrong = broken_invariants(lake, grace=grace)
    for kind, frozen, trouble in world.reads(lake):
        if kind != "direct" and not grace:
            continue  # only the grace period protects a query that began before the commit
        if frozen is None:
            wrong += [f"{kind}: {trouble}"] if grace or trouble != "gone" else []
        elif Counter(dict(frozen)) not in (BASE, BASE + ARCHIVE):
            wrong.append(f"{kind}: a reader saw {sorted(frozen)}")
    for kind, reader in world.readers.items():
        (end,) = read_in_every_way(lake.states[-1:], reader)
        if end.rows != BASE + ARCHIVE:
            wrong.append(f"{kind}: ends with {end.rows} {end.trouble}")
    found = audit(world._opened(lake, None, "audit"), now=lake.now)
    counted = [sum(getattr(day, name) for day in found.days) for name in ("lines", "rows", "quarantined", "folded")]
    if not found.ok or counted != [10, 7, 1, 2]:
        wrong.append(f"the audit: {counted} {found.problems}")
    if state_of(lake.objects).batch > LAST or sum(key.startswith("quarantine/") for key in lake.objects) != 1:
        wrong.append(f"ends with batch {state_of(lake.objects).batch} and {sorted(lake.objects)}")
    return [f"{label}: {each}" for each in wrong]


def finish(world: World, lake: MemoryLake, *verbs: str, grace: dt.timedelta) -> None:
    """Runs that have to end well, each a day later."""
    for number, verb in enumerate(verbs):
        lake.now += dt.timedelta(days=1)
        if verb == "backfill":
            world.backfill(lake, attempt=f"last-{number}")
        else:
            world.compact(lake, attempt=f"last-{number}", grace=grace)


@pytest.mark.parametrize("first", ["backfill", "compact"])
def test_any_single_fault_is_seen_by_no_reader_whoever_goes_on(world: World, first: str) -> None:
    """After each fault at each step the archive is taken by a back-fill, or its plan by a compaction before that."""
    whole = FaultyStep()
    world.backfill(world.lake(), whole)
    assert len(whole.steps) > 25
    wrong: list[str] = []
    for at, fault in itertools.product(range(len(whole.steps)), FAULTS):
        lake = world.lake()
        with suppress(Crashed, LakeUnusable):
            world.backfill(lake, FaultyStep(at, fault))
        verbs = ("compact", "backfill", "compact") if first == "compact" else ("backfill", "compact")
        finish(world, lake, *verbs, grace=KEPT)
        wrong += judge(world, lake, f"{fault} {whole.steps[at]}", grace=KEPT)
    assert wrong[:5] == []


@pytest.mark.parametrize(("grace", "stride"), [(KEPT, 3), (AT_ONCE, 4)], ids=["with grace", "without"])
def test_a_back_fill_and_a_compaction_that_take_turns_are_seen_by_no_reader(
    world: World, grace: dt.timedelta, stride: int
) -> None:
    """One waits after any number of steps while the other goes so many of its own, and both ways round."""
    wrong, schedules = [], 0
    stride *= 1 if world.keeper == FILE_STATE else 2
    for swapped in (False, True):
        for first in itertools.count(0, stride):
            first_ended = False
            for second in itertools.count(first % stride, stride):
                lake = world.lake()
                verbs: list[Run] = [
                    Run(lambda step, lake=lake: world.backfill(lake, step, attempt="ours")),  # type: ignore[misc]
                    Run(lambda step, lake=lake: world.compact(lake, step, attempt="rival", grace=grace)),  # type: ignore[misc]
                ]
                one, other = reversed(verbs) if swapped else verbs
                one.take(first)
                first_ended = one.done
                other.take(second)
                second_ended = other.done
                one.take(None)
                other.take(None)
                label = f"{first} steps, {second} of the other, {swapped}"
                for each in verbs:
                    assert each.error is None or isinstance(each.error, LakeError), repr(each.error)
                    wrong += [f"{label}: a run fails: {each.error!r}"] if each.error else []
                finish(world, lake, "backfill", "compact", grace=grace)
                wrong += judge(world, lake, label, grace=grace)
                schedules += 1
                if second_ended:
                    break
            if first_ended:
                break
    assert wrong[:5] == []
    assert schedules > 40


def test_without_the_look_at_what_is_in_the_lake_the_exploration_finds_what_goes_wrong(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then each run takes the archive anew: rows are folded, and log objects counted twice."""
    monkeypatch.setattr(_backfill._Run, "_is_known", lambda *_: False)
    lake = world.lake()
    world.backfill(lake)
    finish(world, lake, "backfill", "compact", grace=KEPT)
    assert judge(world, lake, "it", grace=KEPT)
