"""From a folder of log objects to a lake: lines a second, one worker against two, and memory at growing archive sizes.

    python -m benchmarks.run_ingest [--lines N] [--rounds N] [--sizes N ...]

Runs the command line as a user would, each time into a new lake. Memory is that of the process and all its children: their
resident sizes added up, looked at 50 times a second, so pages that they share count once for each. Looking takes a good part of
a processor, so it is done only in the runs that are about memory.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

import psutil

from benchmarks.machine import describe_machine
from benchmarks.rounds import Spread, markdown_table
from etl.generate import LogObject, generate, write_objects

_LAST_DAY = datetime.date(2026, 3, 31)
_LOOK_SECONDS = 0.02
_LINES_PER_OBJECT = 1000


@dataclass(frozen=True)
class Ingested:
    """One run of `accesslake ingest`."""

    seconds: float
    peak_bytes: int
    objects: int
    lines: int
    lake_bytes: int


def ingest_folder(logs: Path, *, workers: int, look: Callable[[psutil.Process], int]) -> Ingested:
    """Ingest a folder into a new lake beside it, and remove the lake again.

    `look` is called with the running process until that ends; its largest result is the peak.
    """
    lake = logs.parent / "lake"
    command = [sys.executable, "-m", "etl.cli", "ingest", str(logs), "--lake", str(lake), "--workers", str(workers)]
    started = time.perf_counter()
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # asked for above
        peak = look(psutil.Process(process.pid))
        process.wait()
        seconds = time.perf_counter() - started
        said = json.loads(process.stdout.read())
    size = sum(path.stat().st_size for path in lake.rglob("*.parquet"))
    shutil.rmtree(lake)
    if process.returncode or said["lines"] != said["rows"] + said["quarantined"]:
        raise SystemExit(f"ingest failed or lost lines: {said}")
    return Ingested(seconds, peak, said["objects"], said["lines"], size)


def watch_memory(root: psutil.Process) -> int:
    """The largest sum of resident sizes seen until the process ends."""
    peak = 0
    while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
        peak = max(peak, _resident_bytes(root))
        time.sleep(_LOOK_SECONDS)
    return peak


def _look_away(_: psutil.Process) -> int:
    return 0


def _resident_bytes(root: psutil.Process) -> int:
    total = 0
    try:
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _generate(lines: int) -> Iterator[LogObject]:
    return generate(lines=lines, seed=1, end=_LAST_DAY, lines_per_object=_LINES_PER_OBJECT)


def write_many(lines: int, work: Path) -> Path:
    """A folder of log objects of at most a thousand lines."""
    folder = work / "logs"
    write_objects(_generate(lines), folder)
    return folder


def write_one(lines: int, work: Path) -> Path:
    """A folder with the same lines in one gzipped object."""
    folder = work / "logs"
    folder.mkdir()
    with gzip.open(folder / "all.log.gz", "wb", compresslevel=1) as file:
        for log in _generate(lines):
            file.write(log.body)
    return folder


def compare_workers(lines: int, rounds: int) -> str:
    """A table of one worker and two, interleaved, over one archive."""
    runs: dict[int, list[Ingested]] = {1: [], 2: []}
    rng = Random(1)
    with tempfile.TemporaryDirectory(prefix="accesslake-bench-") as work:
        logs = write_many(lines, Path(work))
        for number in range(1, rounds + 1):
            for workers in rng.sample((1, 2), 2):
                runs[workers].append(ingest_folder(logs, workers=workers, look=_look_away))
            print(f"round {number} of {rounds}", file=sys.stderr)
    rows = []
    for workers, done in runs.items():
        ratio = Spread.of([one.seconds / many.seconds for one, many in zip(runs[1], done, strict=True)])
        seconds = median(run.seconds for run in done)
        cells = [f"{seconds:.1f}", f"{lines / seconds / 1e3:,.0f}k", str(ratio)]
        rows.append([str(workers), f"{done[0].objects:,}", *cells])
    head = ("workers", "log objects", "seconds", "lines/s", "x one worker")
    return markdown_table(head, rows)


def measure_memory(sizes: list[int]) -> str:
    """A table of peak memory by archive size, in many objects and in one."""
    rows = []
    for lines in sizes:
        for write, label in ((write_many, "many"), (write_one, "one, gzipped")):
            with tempfile.TemporaryDirectory(prefix="accesslake-bench-") as work:
                logs = write(lines, Path(work))
                archive = sum(path.stat().st_size for path in logs.rglob("*") if path.is_file())
                for workers in (1, 2):
                    done = ingest_folder(logs, workers=workers, look=watch_memory)
                    sizes_mb = [f"{size / 1e6:,.0f}" for size in (archive, done.lake_bytes, done.peak_bytes)]
                    rows.append([f"{lines:,}", label, str(workers), f"{done.objects:,}", *sizes_mb])
        print(f"{lines:,} lines", file=sys.stderr)
    head = ("lines", "objects", "workers", "taken", "archive, MB", "Parquet, MB", "peak memory, MB")
    return markdown_table(head, rows)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="From a folder of log objects to a lake.")
    parser.add_argument("--lines", type=int, default=1_000_000, help="lines of the archive for the worker comparison")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 400_000, 1_600_000], help="lines, for memory")
    options = parser.parse_args()
    print(
        f"{describe_machine()}\n\n### Workers\n\n{options.lines:,} generated lines, {options.rounds} rounds.\n",
        flush=True,
    )
    print(compare_workers(options.lines, options.rounds), flush=True)
    if options.sizes:
        print("### Peak memory\n")
        print(measure_memory(options.sizes))


if __name__ == "__main__":
    main()
