"""Compactors that are killed beside readers, as processes: a few rounds of what `benchmarks/run_rivals.py` does at length."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.run_rivals import run_lake


def test_no_row_is_missing_or_doubled_while_compactors_are_killed(tmp_path: Path) -> None:
    done = run_lake(str(tmp_path / "lake"), rounds=10, compactors=2, readers=1, seed=1, until=time.monotonic() + 20)
    assert (done.missing, done.doubled, done.strange) == (0, 0, 0), done
    assert done.rounds > 0
    assert done.reads > done.rounds
