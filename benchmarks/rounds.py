"""Interleaved rounds: every method once a round, in an order drawn anew, and ratios only within a round.

A shared machine's speed drifts by much more than the methods differ, but it drifts slowly: two methods that ran within the
same half minute can be compared, two medians taken minutes apart cannot.
"""

from __future__ import annotations

import gc
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from random import Random


@dataclass(frozen=True)
class Took:
    """Seconds of one run: by the clock, and of the process on all its processors."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of some ratios."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Their spread; there is at least one."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        """As the tables show it."""
        return f"{self.median:.1f} [{self.low:.1f}..{self.high:.1f}]"


@dataclass(frozen=True)
class Rounds:
    """Every method's runs, one a round, in the order of the rounds."""

    took: dict[str, list[Took]]

    def ratio(self, method: str, baseline: str, *, cpu: bool = False) -> Spread:
        """How many times as fast as the baseline, within each round."""
        pairs = zip(self.took[baseline], self.took[method], strict=True)
        return Spread.of([(slow.cpu / fast.cpu) if cpu else (slow.wall / fast.wall) for slow, fast in pairs])

    def median_wall(self, method: str) -> float:
        """Median seconds of a run."""
        return statistics.median(took.wall for took in self.took[method])


def run_rounds(methods: dict[str, Callable[[], object]], *, rounds: int, seed: int) -> Rounds:
    """Run every method twice a round, and time the second run: caches and memory are then as in a process that goes on.

    Each method has a process of its own for all rounds, as where it is used: what one leaves of the heap and of its libraries'
    threads is nothing of the next one's. Only one runs at a time. What a run returns is dropped, and garbage collected, before
    the next.
    """
    took: dict[str, list[Took]] = {name: [] for name in methods}
    rng = Random(seed)
    with ExitStack() as stack:
        processes = {name: stack.enter_context(_started(method)) for name, method in methods.items()}
        for number in range(1, rounds + 1):
            order = list(methods)
            rng.shuffle(order)
            for name in order:
                processes[name].send(None)
                took[name].append(processes[name].recv())
            print(f"round {number} of {rounds}", file=sys.stderr)
    return Rounds(took)


@contextmanager
def _started(method: Callable[[], object]) -> Iterator[Connection]:
    """A process that runs the method whenever it is asked, and answers what that took."""
    context = multiprocessing.get_context("fork")  # the lines are there already, and nothing has run yet
    ours, theirs = context.Pipe()
    process = context.Process(target=_run_when_asked, args=(method, theirs), daemon=True)
    process.start()
    theirs.close()  # so that a process that died is noticed
    try:
        yield ours
    finally:
        ours.close()
        process.terminate()
        process.join()


def _run_when_asked(method: Callable[[], object], asked: Connection) -> None:
    while True:
        asked.recv()
        method()
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        result = method()
        asked.send(Took(time.perf_counter() - wall, time.process_time() - cpu))
        del result


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column left, the others right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"
