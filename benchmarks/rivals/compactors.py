"""A compactor in a process of its own, and what befalls it."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from ctypes import Array, c_int
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any, Final

import pyarrow as pa

from benchmarks.rivals.processes import enter
from etl.compact import _outputs, compact
from etl.errors import LakeError
from etl.lake._folder_store import FolderStore
from etl.lake._layout import COMMITS, PLANS, WINNERS, name_of
from etl.lake._s3_store import S3Store

PLANNED, ELECTED, COMMITTED, WRITES, STOPPED, MICROSECONDS = range(6)
"""Places in a compactor's notes: the number of the batch whose record it created, how many writes it began, whether it stands
still, how long it took."""
NOTES: Final = 6
FINISHED, FAILED, BROKEN = range(3)
"""How a compactor exits that is left alone."""

_RECORDS: Final = {PLANS: PLANNED, WINNERS: ELECTED, COMMITS: COMMITTED}
_USUAL_WRITES: Final = 12
_LONGEST_WRITE: Final = 0.004
WHOLE, BY_ROW = 1 << 28, 1
"""Target sizes: a file a day, a file a row. Attempts of different shape must never be mixed."""


@dataclass(frozen=True)
class Fault:
    """A signal (0: none) that meets a compactor some seconds after its start, or after it has begun its nth write."""

    signal: int = 0
    seconds: float = 0.0
    write: int = 0


@dataclass(frozen=True)
class Order:
    """How one compactor is to run."""

    uri: str
    environment: Mapping[str, str]
    grace: timedelta
    target_bytes: int
    fault: Fault


def draw_fault(rng: Random, *, usual_seconds: float) -> Fault:
    """Two in five are left alone. Time is mostly spent on rewriting, so half of the others are met at a write instead."""
    which = rng.random()
    if which < 0.4:
        return Fault()
    wanted = signal.SIGKILL if which < 0.8 else signal.SIGSTOP
    if rng.random() < 0.5:
        return Fault(wanted, seconds=rng.random() * usual_seconds * 1.1)
    return Fault(wanted, seconds=rng.random() * _LONGEST_WRITE, write=rng.randint(1, _USUAL_WRITES))


def run_compactor(order: Order, notes: Array[c_int]) -> None:
    """The process."""
    enter(order.environment)
    _watch_writes(order.fault, notes)
    if order.target_bytes == BY_ROW:
        _write_by_row()
    try:
        began = time.monotonic()
        compact(order.uri, grace=order.grace, target_bytes=order.target_bytes)
        if order.fault.signal != signal.SIGSTOP:
            notes[MICROSECONDS] = int((time.monotonic() - began) * 1e6)
    except LakeError as error:
        print(f"a compactor gives up: {error}", file=sys.stderr)
        raise SystemExit(FAILED) from None
    except Exception:
        traceback.print_exc()
        raise SystemExit(BROKEN) from None


def _watch_writes(fault: Fault, notes: Array[c_int]) -> None:
    """Count what this process writes, note which records are its own, and have the fault happen where it is due.

    In a bucket some of it is written side by side.
    """
    # The system ends the process when the alarm goes, in whatever it is then: nothing of Python runs any more.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    counting = threading.Lock()

    def watched(write: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(write)
        def wrapper(store: object, key: str, *rest: object) -> Any:
            with counting:
                notes[WRITES] += 1
                is_due = notes[WRITES] == fault.write
            if is_due:
                _meet(fault, notes)
            done = write(store, key, *rest)
            record = _RECORDS.get(key.rpartition("/")[0] + "/")
            if done and record is not None:
                notes[record] = int(name_of(key))
            return done

        return wrapper

    for store in (FolderStore, S3Store):
        for name in ("create", "move_in", "copy", "delete"):
            setattr(store, name, watched(getattr(store, name)))


def _meet(fault: Fault, notes: Array[c_int]) -> None:
    if fault.signal == signal.SIGSTOP:
        notes[STOPPED] = 1
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    signal.setitimer(signal.ITIMER_REAL, max(fault.seconds, 1e-6))


def _write_by_row() -> None:
    """A row group a row, so that the target size decides how many files so few rows make."""
    add = _outputs.Outputs.add

    def add_by_row(outputs: _outputs.Outputs, batch: pa.RecordBatch) -> None:
        for number in range(batch.num_rows):
            add(outputs, batch.slice(number, 1))

    setattr(_outputs, "ROWS_PER_GROUP", 1)  # noqa: B010
    setattr(_outputs.Outputs, "add", add_by_row)  # noqa: B010
