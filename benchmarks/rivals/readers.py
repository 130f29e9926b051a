"""A reader in a process of its own, which reads again and again and holds what it gets against what there is."""

from __future__ import annotations

import functools
import itertools
import time
import traceback
from collections.abc import Callable, Mapping
from multiprocessing import parent_process
from random import Random
from typing import Any, Final

from benchmarks.rivals.processes import enter
from benchmarks.rivals.rows import FileGone, Way, read_files, read_sql, read_table, rows_of
from benchmarks.rivals.tally import Tally
from etl.lake import Lake, open_lake
from etl.lake._folder_store import FolderStore
from etl.lake._s3_store import S3Store

_DAWDLES: Final = 0.15
_LONGEST: Final = 0.6
_WAYS: Final = (read_files, read_files, read_table, read_files, read_files, read_sql)


def look(lake: Lake, tally: Tally, way: Way, *, count: Callable[[], tuple[int, int]]) -> None:
    """Read once; `count` gives how many objects are there for certain and how many may be."""
    certain, _ = count()
    try:
        rows, batch = way(lake)
    except FileGone:
        tally.told += 1
        return
    _, possible = count()
    tally.reads += 1
    tally.engine_reads += way is not read_files
    tally.crossed += lake.keeper.read().batch > batch
    tally.missing += (rows_of(certain) - rows).total()
    tally.strange += len(rows.keys() - rows_of(possible).keys())
    tally.doubled += sum(times - 1 for times in rows.values())


def read_on(
    uri: str, environment: Mapping[str, str], certain: Any, possible: Any, seed: int, ended: Any, results: Any
) -> None:
    """The process: looks until it is told to end, and puts its tally into `results`, or what ended it before."""
    enter(environment)
    _dawdle(Random(seed))
    lake, tally, parent = open_lake(uri), Tally(), parent_process()
    try:
        for way in itertools.cycle(_WAYS):
            if ended.is_set() or parent is None or not parent.is_alive():
                break
            look(lake, tally, way, count=lambda: (certain.value, possible.value))
    except Exception:
        results.put(traceback.format_exc())
    else:
        results.put(tally)


def _dawdle(rng: Random) -> None:
    """Now and then have this process wait before it lists: what it then finds is of another moment than what it knows."""

    def slow(act: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(act)
        def wrapper(store: object, prefix: str) -> Any:
            if rng.random() < _DAWDLES:
                time.sleep(rng.random() * _LONGEST)
            return act(store, prefix)

        return wrapper

    for store in (FolderStore, S3Store):
        setattr(store, "list", slow(store.list))  # noqa: B010
