"""Compactors that are killed, and readers, on one lake: how many rows are missing, and how many stand twice.

    python -m benchmarks.run_rivals [--rounds N] [--compactors N] [--readers N] [--lake FOLDER|s3://bucket/prefix]

A round adds one raw object and starts some compactors at once, each a process of its own; about half of them are killed at a
moment drawn at random. Half of them collect without a grace period, so that deletions meet readers too: a reader that finds a
file gone is told so and looks again, and must never be given a part for the whole. The lake is new every hundred rounds. For
`s3://` the server is found as boto3 finds it (`AWS_ENDPOINT_URL`).
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from etl.compact import compact
from etl.errors import ObjectNotFound
from etl.lake import Lake, ObjectStore, create_lake, open_lake, raw_key
from etl.schema import SCHEMA

ROWS_PER_OBJECT = 3
ROUNDS_PER_LAKE = 100
_START = datetime(2024, 5, 1, 23, 59, 59)
_PROCESS_SECONDS = 30
Rows = Counter[tuple[str, int]]


@dataclass
class Tally:
    """What was done and what was seen."""

    rounds: int = 0
    killed: int = 0
    finished: int = 0
    failed: int = 0
    """Compactors that ended with an error of their own: without grace they may find that a rival has tidied up."""
    batches: int = 0
    reads: int = 0
    told: int = 0
    """Reads that were told of a file that was gone."""
    missing: int = 0
    doubled: int = 0
    strange: int = 0
    """Rows that nobody had put there."""

    def add(self, other: Tally) -> None:
        """Take another's numbers too."""
        for name, number in asdict(other).items():
            setattr(self, name, getattr(self, name) + number)


def put_object(store: ObjectStore, number: int) -> None:
    """The raw object of this number: rows on both sides of a midnight, and of a day that comes late."""
    moments = [_START + timedelta(seconds=line) - timedelta(days=number % 2) for line in range(ROWS_PER_OBJECT)]
    rows = [
        dict.fromkeys(SCHEMA.names)
        | {
            "bucket_name": "b",
            "operation": "REST.GET.OBJECT",
            "parse_status": "clean",
            "request_id": f"{number}-{line}",
        }
        | {"request_time": moment, "event_date": f"{moment:%Y-%m-%d}", "source_key": f"log-{number}", "line_no": line}
        for line, moment in enumerate(moments)
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), sink)
    store.create(raw_key(f"{number:06d}", "2024-05-02"), sink.getvalue().to_pybytes())


def read_rows(lake: Lake) -> Rows:
    """All rows of a snapshot. Raises `FileNotFoundError` or `ObjectNotFound` if a file of it is gone."""
    snapshot = lake.snapshot()
    rows: Rows = Counter()
    for file in (*snapshot.compacted, *snapshot.raw):
        with pq.ParquetFile(file.path, filesystem=snapshot.filesystem) as parquet:
            table = parquet.read(columns=["source_key", "line_no"], use_threads=False)
        rows.update(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return rows


def look(lake: Lake, tally: Tally, *, count: Callable[[], tuple[int, int]]) -> None:
    """Read once; `count` gives how many objects are there for certain and how many may be."""
    certain, _ = count()
    try:
        rows = read_rows(lake)
    except (FileNotFoundError, ObjectNotFound):
        tally.told += 1
        return
    _, possible = count()
    tally.reads += 1
    wanted = {(f"log-{number}", line) for number in range(certain) for line in range(ROWS_PER_OBJECT)}
    allowed = {(f"log-{number}", line) for number in range(possible) for line in range(ROWS_PER_OBJECT)}
    tally.missing += len(wanted - rows.keys())
    tally.strange += len(rows.keys() - allowed)
    tally.doubled += sum(times - 1 for times in rows.values())


def _read_on(uri: str, certain: Any, possible: Any, ended: Any, results: Any) -> None:
    lake, tally = open_lake(uri), Tally()
    while not ended.is_set():
        look(lake, tally, count=lambda: (certain.value, possible.value))
    results.put(tally)


def _compact(uri: str, grace: timedelta, target_bytes: int) -> None:
    try:
        compact(uri, grace=grace, target_bytes=target_bytes, now=datetime.now(UTC))
    except Exception as error:
        print(f"a compactor ends with {error}", file=sys.stderr)
        raise SystemExit(1) from None


def run_lake(uri: str, *, rounds: int, compactors: int, readers: int, seed: int, until: float = float("inf")) -> Tally:
    """That many rounds on a new lake at `uri`, fewer if the monotonic clock passes `until`."""
    rng = random.Random(seed)
    context = multiprocessing.get_context("spawn")
    lake, tally = create_lake(uri), Tally()
    certain, possible, ended = context.Value("i", 0), context.Value("i", 0), context.Event()
    results = context.Queue()
    arguments = (uri, certain, possible, ended, results)
    watching = [context.Process(target=_read_on, args=arguments, daemon=True) for _ in range(readers)]
    for each in watching:
        each.start()
    longest = 2.0
    try:
        while tally.rounds < rounds and time.monotonic() < until:
            possible.value += 1
            put_object(lake.store, tally.rounds)
            certain.value += 1
            took = _run_round(context, uri, compactors, rng, longest, tally)
            longest = 0.8 * longest + 0.2 * took
            tally.rounds += 1
        tally.killed -= tally.finished + tally.failed
    finally:
        ended.set()
        for _ in watching:
            tally.add(results.get(timeout=_PROCESS_SECONDS))
        for each in watching:
            each.join(_PROCESS_SECONDS)
    compact(uri)
    look(lake, tally, count=lambda: (certain.value, possible.value))
    tally.batches = int(lake.snapshot().batch_id or 0)
    return tally


def _run_round(
    context: SpawnContext, uri: str, compactors: int, rng: random.Random, usual: float, tally: Tally
) -> float:
    """Start the compactors, kill some; seconds until all have ended."""
    started = time.monotonic()
    deadlines = {}
    for _ in range(compactors):
        grace = rng.choice((timedelta(0), timedelta(days=7)))
        process = context.Process(target=_compact, args=(uri, grace, rng.choice((1, 1 << 28))), daemon=True)
        process.start()
        deadlines[process] = started + (rng.random() * usual * 1.2 if rng.random() < 0.5 else _PROCESS_SECONDS)
    for process, deadline in sorted(deadlines.items(), key=lambda item: item[1]):
        process.join(max(0.0, deadline - time.monotonic()))
        process.kill()
        process.join()
        tally.killed += 1
        tally.finished += process.exitcode == 0
        tally.failed += process.exitcode == 1
    return time.monotonic() - started


def main() -> None:
    """Print what was counted; end with 1 if a row was missing, doubled or strange."""
    parser = argparse.ArgumentParser(description="Kill compactors while others compact and read.")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--compactors", type=int, default=3)
    parser.add_argument("--readers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lake", default="", help="where new lakes are made; a temporary folder by default")
    options = parser.parse_args()
    total = Tally()
    with tempfile.TemporaryDirectory() as folder:
        place = options.lake.rstrip("/") or str(Path(folder))
        for number, first in enumerate(range(0, options.rounds, ROUNDS_PER_LAKE)):
            rounds = min(ROUNDS_PER_LAKE, options.rounds - first)
            crowd = {"compactors": options.compactors, "readers": options.readers}
            total.add(run_lake(f"{place}/lake-{number}", rounds=rounds, seed=options.seed + number, **crowd))
            print(total, file=sys.stderr)
    for name, count in asdict(total).items():
        print(f"{name}: {count:,}")
    raise SystemExit(1 if total.missing or total.doubled or total.strange else 0)


if __name__ == "__main__":
    main()
