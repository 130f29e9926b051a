"""Whatever ends a compaction, and however many run at once, every reader sees each row once."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from compact_cases import lake as lake
from compact_cases import truth as truth
from small_lakes import (
    DAY_1,
    DAY_2,
    DAY_3,
    Crashed,
    CrashingStore,
    Truth,
    add_logs,
    difference,
    local_truth,
    log_text,
    read_lake,
    read_rows,
    write_logs,
)

from etl.audit import audit
from etl.compact import (
    Compacted,
    _compact,
    compact,
)
from etl.ingest import _ingest, ingest
from etl.lake import Lake, ObjectStore, open_lake, read_commits

GRACE = dt.timedelta(days=7)


# --- A process that ends anywhere -------------------------------------------------------------------------------------


def copies(lake: Path) -> Iterator[Path]:
    for number in range(10_000):
        yield Path(shutil.copytree(lake, lake.parent / f"copy-{number}"))


def crash_compact(
    lake: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    at: int,
    after: bool,
    now: dt.datetime,
    grace: dt.timedelta = GRACE,
    between: Callable[[], None] = lambda: None,
) -> list[str]:
    """A compaction that ends at a change of the store; the changes it made."""
    store = CrashingStore(open_lake(str(lake)).store, at=at, after=after, between=between)
    with monkeypatch.context() as patch:
        patch.setattr(_compact, "open_lake", lambda _: Lake(store))
        if at < 0:
            compact(str(lake), now=now, grace=grace)
        else:
            with pytest.raises(Crashed):
                compact(str(lake), now=now, grace=grace)
    return store.changes


@pytest.mark.parametrize("grace", [GRACE, dt.timedelta(0)], ids=["with grace", "without"])
def test_a_process_may_end_at_any_change_and_every_reader_sees_each_row_once(
    lake: Path, monkeypatch: pytest.MonkeyPatch, grace: dt.timedelta
) -> None:
    compact(str(lake), now=DAY_1)
    truth = add_logs(lake, d=log_text(20, seed="d"), e=log_text(20, seed="e"))
    each = copies(lake)

    def assert_truth(copy: Path) -> None:
        assert difference(read_lake(copy), truth) == ""

    dry = next(each)
    look = partial(assert_truth, dry)
    changes = crash_compact(dry, monkeypatch, at=-1, after=False, now=DAY_2, grace=grace, between=look)
    verbs = [change.split()[0] for change in changes]
    assert verbs[:9] == ["create", "move_in", "move_in", "create", "copy", "copy", "create", *verbs[7:9]]
    assert ("delete" in verbs) == (grace == dt.timedelta(0))
    # The end before a change is the end after the one before it.
    for at, after in [(0, False), *((at, True) for at in range(len(changes)))]:
        copy = next(each)
        crash_compact(copy, monkeypatch, at=at, after=after, now=DAY_2, grace=grace)
        assert_truth(copy)
        look = partial(assert_truth, copy)
        crash_compact(copy, monkeypatch, at=-1, after=False, now=DAY_3, grace=grace, between=look)
        found = audit(str(copy))
        assert found.ok, found.problems
        assert open_lake(str(copy)).snapshot().raw == ()
        assert [commit.batch for commit in read_commits(open_lake(str(copy)).store)] == ["0000000001", "0000000002"]
        shutil.rmtree(copy)


def test_a_process_may_end_again_and_again(lake: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in (0, 1, 0, 2, 1, 0, 1, 0):
        with monkeypatch.context() as patch:
            store = CrashingStore(open_lake(str(lake)).store, at=at, after=True)
            patch.setattr(_compact, "open_lake", lambda _, store=store: Lake(store))
            with contextlib.suppress(Crashed):
                compact(str(lake), now=DAY_2)
        assert difference(read_lake(lake), truth) == ""
    compact(str(lake), now=DAY_3)
    assert difference(read_lake(lake), truth) == ""
    assert audit(str(lake)).ok


def test_duplicates_are_counted_once_however_often_a_process_ends(
    lake: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the commit a reader sees what was delivered twice, after it each row once; nothing between."""
    snapshot = open_lake(str(lake)).snapshot()
    for number, file in enumerate(snapshot.raw):
        shutil.copy(file.path, _make(lake, f"raw/ingest_date=2024-05-03/again{number}.parquet"))
    twice = truth + truth
    each = copies(lake)
    changes = crash_compact(next(each), monkeypatch, at=-1, after=False, now=DAY_2)
    for at in range(len(changes)):
        copy = next(each)
        crash_compact(copy, monkeypatch, at=at, after=True, now=DAY_2)
        assert read_lake(copy) in (twice, truth)
        compact(str(copy), now=DAY_3)
        assert difference(read_lake(copy), truth) == ""
        (found,) = read_commits(open_lake(str(copy)).store)
        assert sum(found.folded.values()) == sum(truth.values())
        shutil.rmtree(copy)


def _make(root: Path, key: str) -> Path:
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


# --- Several at once --------------------------------------------------------------------------------------------------


class Turns:
    """Lets one of several threads go on to its next call of the store at a time, in an order that a seed decides."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._may_go = [threading.Semaphore(0), threading.Semaphore(0)]
        self._stands = threading.Semaphore(0)
        self._running = [True, True]
        self.errors: list[BaseException] = []

    def wait(self, me: int) -> None:
        self._stands.release()
        assert self._may_go[me].acquire(timeout=60)

    def run(self, act: Callable[[int], object], look: Callable[[], None]) -> None:
        def whole(me: int) -> None:
            try:
                self.wait(me)
                act(me)
            except BaseException as error:
                self.errors.append(error)
            finally:
                self._running[me] = False
                self._stands.release()

        threads = [threading.Thread(target=whole, args=(me,), daemon=True) for me in (0, 1)]
        for thread in threads:
            thread.start()
            assert self._stands.acquire(timeout=60)
        while any(self._running):
            look()
            next_one = self._random.choice([me for me in (0, 1) if self._running[me]])
            self._may_go[next_one].release()
            assert self._stands.acquire(timeout=60)
        for thread in threads:
            thread.join(60)


class TurnStore:
    """A store whose every call waits for its turn."""

    def __init__(self, inner: Any, turns: Turns, me: int) -> None:
        self._inner, self._turns, self._me = inner, turns, me

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name in ("create", "move_in", "copy", "delete", "read", "list"):
            self._turns.wait(self._me)
        return value


@pytest.mark.parametrize("seed", range(16))
def test_two_compactions_at_once_give_one_result(
    lake: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    turns = Turns(seed)
    mine = threading.local()
    inner = open_lake(str(lake)).store
    monkeypatch.setattr(_compact, "open_lake", lambda _: Lake(TurnStore(inner, turns, mine.me)))
    done: dict[int, Compacted] = {}

    def act(me: int) -> None:
        mine.me = me
        done[me] = compact(str(lake), now=DAY_2)

    turns.run(act, lambda: _assert_sees(lake, truth))
    assert turns.errors == []
    _assert_sees(lake, truth)
    assert audit(str(lake)).ok
    (found,) = read_commits(inner)
    for each in done.values():
        assert each.batch in (found.batch, None)
        if each.batch:
            assert (each.rows_out, each.files) == (68, len(found.outputs))
    monkeypatch.undo()
    assert compact(str(lake), now=DAY_2).batch is None


def _assert_sees(lake: Path, truth: Truth) -> None:
    assert difference(read_lake(lake), truth) == ""


@pytest.mark.parametrize("seed", range(6))
def test_logs_that_arrive_during_a_compaction_are_seen_at_once_and_compacted_later(
    lake: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    turns = Turns(seed)
    mine = threading.local()
    inner = open_lake(str(lake)).store
    late = write_logs(lake.parent / "late", {f"{number}.log": log_text(5, seed=str(number)) for number in range(4)})
    later = truth + local_truth(late)
    monkeypatch.setattr(_compact, "open_lake", lambda _: Lake(TurnStore(inner, turns, mine.me)))
    monkeypatch.setattr(_ingest, "create_lake", lambda _: Lake(TurnStore(inner, turns, mine.me)))

    def act(me: int) -> None:
        mine.me = me
        if me:
            compact(str(lake), now=DAY_2)
        else:
            ingest([str(late)], lake=str(lake), now=DAY_2)

    turns.run(act, lambda: _assert_between(read_lake(lake), truth, later))
    assert turns.errors == []
    monkeypatch.undo()
    _assert_sees(lake, later)
    compact(str(lake), now=DAY_3)
    _assert_sees(lake, later)
    assert open_lake(str(lake)).snapshot().raw == ()


def _assert_between(seen: Truth, least: Truth, most: Truth) -> None:
    assert least <= seen <= most


# --- A commit while a reader looks ------------------------------------------------------------------------------------


@dataclass
class BusyStore:
    """A store in which something happens before the n-th look of its user."""

    inner: ObjectStore
    at: int
    happens: Callable[[], object]
    looks: int = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("list", "read"):
            if self.looks == self.at:
                self.happens()
            self.looks += 1
        return getattr(self.inner, name)


@pytest.mark.parametrize("grace", [GRACE, dt.timedelta(0)], ids=["with grace", "without"])
def test_a_snapshot_is_of_one_moment_although_a_batch_is_committed_while_it_is_taken(
    lake: Path, grace: dt.timedelta
) -> None:
    """Without grace a reader may miss a file; it is then told, and never shown a part for the whole."""
    compact(str(lake), now=DAY_1)
    truth = add_logs(lake, d=log_text(20, seed="d"))
    each = copies(lake)
    looks, at = 1, 0
    missed = []
    while at < looks:
        copy = next(each)
        store = BusyStore(open_lake(str(copy)).store, at, partial(compact, str(copy), now=DAY_2, grace=grace))
        snapshot = Lake(store).snapshot()
        looks = store.looks
        try:
            assert difference(read_rows(snapshot), truth) == ""
        except FileNotFoundError:
            missed.append(at)
        at += 1
    assert at > 4
    assert missed == ([] if grace else list(range(2, at))), "what was committed by the second look is known"
