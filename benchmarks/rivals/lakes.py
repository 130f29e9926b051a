"""Rounds on one lake: an object arrives, compactors start, some are killed or stopped; those go on when others are done."""

from __future__ import annotations

import heapq
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ctypes import Array, c_int
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from multiprocessing.context import ForkServerContext, ForkServerProcess
from random import Random
from typing import Any, Final

from benchmarks.rivals.compactors import (
    BY_ROW,
    COMMITTED,
    ELECTED,
    FAILED,
    FINISHED,
    MICROSECONDS,
    NOTES,
    PLANNED,
    STOPPED,
    WHOLE,
    Fault,
    Order,
    draw_fault,
    run_compactor,
)
from benchmarks.rivals.processes import ASKED, aws_environment, fork_context
from benchmarks.rivals.readers import look, read_on
from benchmarks.rivals.rows import put_object, read_files, read_sql, read_table
from benchmarks.rivals.tally import Tally
from etl.audit import audit
from etl.compact import compact
from etl.errors import LakeError
from etl.lake import Lake, create_lake
from etl.lake._layout import COMPACTED, RAW, STAGING

_PROCESS_SECONDS: Final = 60
_ANSWER_SECONDS: Final = 2
"""How long a process that nothing holds up may take; it is only waited for so long where something is wrong."""
_GRACES: Final = (timedelta(0), timedelta(days=7))
"""Without grace, deletions meet readers and rivals too."""
_SLEEPS: Final = (0, 1, 1, 2)


@dataclass
class _Compactor:
    process: ForkServerProcess
    notes: Array[c_int]
    fault: Fault
    started: float
    since: int
    """The last batch when it started."""
    wakes: int
    """The round in which it goes on if it was stopped."""
    woken: bool = False

    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.process.exitcode is not None

    def send(self, number: int) -> bool:
        """Whether there still was something to signal."""
        pid = self.process.pid
        if self.is_over() or pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False


@dataclass
class _Crowd:
    """The compactors of a lake."""

    context: ForkServerContext
    lake: Lake
    rng: Random
    tally: Tally
    certain: Any
    possible: Any
    """How many raw objects are there, and how many may be: numbers that readers share."""
    usual_seconds: float = 0.3
    everybody: list[_Compactor] = field(default_factory=list)
    asleep: list[_Compactor] = field(default_factory=list)
    agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    """What is to be done in this round, and when."""
    order: Iterator[int] = field(default_factory=itertools.count)

    def run_round(self, number: int, compactors: int) -> None:
        """Start some beside those that go on now, one object or two come in; wait until all have ended or stand still."""
        began = time.monotonic()
        for _ in range(self.rng.choice((1, 2))):
            self._later(began + self._some_time(), self.put)
        for place in range(compactors):
            self._later(began + (self._some_time() if place else 0.0), partial(self._start, number))
        running = self._wake(number)
        before = len(self.everybody)
        while self.agenda:
            due, _, act = heapq.heappop(self.agenda)
            time.sleep(max(0.0, due - time.monotonic()))
            act()
        for each in (*running, *self.everybody[before:]):
            self._await(each)
        for each in self._wake(number, at_end=True):
            self._await(each)

    def put(self) -> None:
        """Have one more raw object come in."""
        self.possible.value += 1
        put_object(self.lake.store, self.certain.value)
        self.certain.value += 1

    def _some_time(self) -> float:
        return self.rng.random() * self.usual_seconds

    def _later(self, due: float, act: Callable[[], None]) -> None:
        heapq.heappush(self.agenda, (due, next(self.order), act))

    def wake_all(self) -> None:
        """Let whoever still stands go on to the end."""
        for each in self._wake(None):
            self._await(each)

    def kill_all(self) -> None:
        """Whatever happened, leave nobody: one that is stopped would not even hear that it should end."""
        for each in self.everybody:
            each.process.kill()
            each.process.join()

    def _start(self, number: int) -> None:
        fault = draw_fault(self.rng, usual_seconds=self.usual_seconds)
        target = self.rng.choice((WHOLE, BY_ROW))
        order = Order(self.lake.uri, aws_environment(), self.rng.choice(_GRACES), target, fault)
        notes = self.context.RawArray("i", NOTES)
        process = self.context.Process(target=run_compactor, args=(order, notes), daemon=True)
        since = int(self.lake.keeper.read().batch or 0)
        process.start()
        wakes = number + self.rng.choice(_SLEEPS)
        started = _Compactor(process, notes, fault, time.monotonic(), since, wakes)
        self.everybody.append(started)
        self.tally.started += 1
        if fault.signal and not fault.write:
            self._later(started.started + fault.seconds, partial(self._signal, started))

    def _signal(self, one: _Compactor) -> None:
        """What is to befall it from outside, unless it was faster."""
        if one.send(one.fault.signal) and one.fault.signal == signal.SIGSTOP:
            one.notes[STOPPED] = 1

    def _await(self, one: _Compactor) -> None:
        """Until it has ended or stands still."""
        deadline = time.monotonic() + _PROCESS_SECONDS
        while not one.is_over() and not one.notes[STOPPED]:
            one.process.join(0.01 if one.fault.signal == signal.SIGSTOP else 1.0)
            if one.woken:  # one that stops itself says so before it does, and may not have stood yet when it was woken
                one.send(signal.SIGCONT)
            if time.monotonic() > deadline:
                one.send(ASKED)
                one.process.join(_ANSWER_SECONDS)
                raise TimeoutError(f"a compactor does not end: {one.fault}")
        if one.is_over():
            self._count(one)
        else:
            self.tally.stopped += 1
            self.asleep.append(one)

    def _wake(self, number: int | None, *, at_end: bool = False) -> list[_Compactor]:
        due = [one for one in self.asleep if number is None or one.wakes < number + at_end]
        batch = int(self.lake.keeper.read().batch or 0) if due else 0
        for one in due:
            self.asleep.remove(one)
            self.tally.overtaken += batch > one.since and not one.notes[COMMITTED]
            one.notes[STOPPED] = 0
            one.fault, one.woken = Fault(), True
            one.send(signal.SIGCONT)
        return due

    def _count(self, one: _Compactor) -> None:
        code = one.process.exitcode
        self.tally.killed += code in (-signal.SIGKILL, -signal.SIGALRM)
        self.tally.finished += code == FINISHED
        self.tally.failed += code == FAILED
        self.tally.broken += code not in (FINISHED, FAILED, -signal.SIGKILL, -signal.SIGALRM)
        if one.notes[MICROSECONDS]:
            self.usual_seconds = 0.8 * self.usual_seconds + 0.2e-6 * one.notes[MICROSECONDS]

    def count_taken_over(self) -> int:
        """Batches that one compactor committed and another had planned or elected."""
        made = {
            record: {one.notes[record]: one for one in self.everybody if one.notes[record]}
            for record in (PLANNED, ELECTED, COMMITTED)
        }
        return sum(
            any(made[record].get(batch, one) is not one for record in (PLANNED, ELECTED))
            for batch, one in made[COMMITTED].items()
        )


def run_lake(uri: str, *, rounds: int, compactors: int, readers: int, seed: int, until: float = float("inf")) -> Tally:
    """That many rounds on a new lake at `uri`, fewer if the monotonic clock passes `until`.

    Raises `RuntimeError` if a reader ends with an error that is not about a file that is gone.
    """
    began = time.monotonic()
    context = fork_context()
    lake, tally = create_lake(uri), Tally()
    certain, possible = context.Value("i", 0), context.Value("i", 0)
    crowd = _Crowd(context, lake, Random(seed), tally, certain, possible)
    with _readers(context, range(seed, seed + readers), (uri, aws_environment(), certain, possible), tally):
        try:
            while tally.rounds < rounds and time.monotonic() < until:
                crowd.run_round(tally.rounds, compactors)
                tally.rounds += 1
            crowd.wake_all()
        finally:
            crowd.kill_all()
    _settle(lake, certain.value, tally)
    tally.objects = certain.value
    tally.taken_over = crowd.count_taken_over()
    tally.batches = int(lake.snapshot().batch_id or 0)
    tally.seconds = time.monotonic() - began
    return tally


@contextmanager
def _readers(context: ForkServerContext, seeds: range, arguments: tuple[Any, ...], tally: Tally) -> Iterator[None]:
    """Readers as long as this lasts; their tallies are added at its end."""
    ended, results = context.Event(), context.Queue()
    watching = [context.Process(target=read_on, args=(*arguments, seed, ended, results), daemon=True) for seed in seeds]
    for each in watching:
        each.start()
    try:
        yield
    finally:
        ended.set()
        seen = [results.get(timeout=_PROCESS_SECONDS) for _ in watching]
        for each in watching:
            each.join(_PROCESS_SECONDS)
    for found in seen:
        if not isinstance(found, Tally):
            raise RuntimeError(f"a reader ends with\n{found}")
        tally.add(found)


def _settle(lake: Lake, objects: int, tally: Tally) -> None:
    """Let one more compactor finish what is left, and look at everything the lake then holds."""
    try:
        while compact(lake.uri, grace=timedelta(0)).batch:
            pass
    except LakeError as error:
        tally.unsettled += 1
        print(f"the lake cannot be compacted any more: {error}", file=sys.stderr)
    for way in (read_files, read_table, read_sql):
        look(lake, tally, way, count=lambda: (objects, objects))
    named = {output.key for found in lake.commits() for output in found.outputs}
    found = {stored.key for stored in lake.store.list(COMPACTED)}
    left = [stored.key for prefix in (RAW, f"{STAGING}0") for stored in lake.store.list(prefix)]
    tally.unsettled += len(named ^ found) + len(left) + len(audit(lake.uri).problems)
