"""Compactors that are killed and stopped beside readers, as processes: some rounds of `benchmarks/run_rivals.py`.

What is done to them is the same in every run, the moments are not: they fall where the machine happens to be.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.rivals.tally import Tally
from benchmarks.run_rivals import run_lakes

CROWD = {"compactors": 2, "readers": 1}


def test_no_row_is_missing_or_doubled_in_a_folder_while_compactors_are_killed(tmp_path: Path) -> None:
    check(run_lakes(str(tmp_path), rounds=60, seed=1, until=longest(), **CROWD))


def test_no_row_is_missing_or_doubled_in_a_bucket_while_compactors_are_killed(new_bucket: Callable[[], str]) -> None:
    check(run_lakes(f"s3://{new_bucket()}", rounds=40, seed=2, until=longest(), **CROWD))


def longest() -> float:
    """When to start no more rounds, by the monotonic clock: a slow machine does fewer."""
    return time.monotonic() + 120


def check(done: Tally) -> None:
    """Nothing was wrong, and enough was done for something to be."""
    assert done.wrong == 0, done
    assert done.rounds >= 10, done
    assert done.started == done.killed + done.finished == CROWD["compactors"] * done.rounds, done
    assert done.killed >= done.rounds // 4, done
    assert done.stopped > 0, done
    assert done.overtaken > 0, done
    assert done.batches >= done.rounds // 2, done
    assert done.taken_over >= done.rounds // 10, done
    assert done.reads >= done.rounds, done
    assert done.crossed > 0, done
    assert done.engine_reads > 0, done
