"""The report of a lake: seconds by the clock and of processor time, from the command's start to its end, and peak memory.

    python -m benchmarks.run_report [--lines N] [--rounds N] [--lake LAKE]

The lake is the product's own generated lines, ingested and compacted; `--lake` takes one that is there. The command runs as a
process of its own, so that loading libraries counts. The lake stays the same: a second run finds it in the system's cache.
"""

from __future__ import annotations

import argparse
import datetime
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.machine import describe_machine
from benchmarks.rounds import markdown_table
from etl.compact import compact
from etl.generate import generate, write_objects
from etl.ingest import ingest

_LAST_DAY = datetime.date(2026, 3, 31)


def make_lake(lines: int, folder: Path) -> str:
    """As many lines, ingested as log objects and compacted."""
    write_objects(generate(lines=lines, seed=1, end=_LAST_DAY), folder / "logs")
    ingest([str(folder / "logs")], lake=str(folder / "lake"))
    compact(str(folder / "lake"))
    return str(folder / "lake")


def run_once(lake: str, page: Path) -> tuple[float, float, float]:
    """Seconds by the clock, seconds of processor time of all threads, and the peak memory in MB."""
    command = [sys.executable, "-m", "etl.cli", "report", "--lake", lake, "--output", str(page), "--json"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def report(lake: str, rounds: int, page: Path) -> str:
    """The table."""
    took = zip(*(run_once(lake, page) for _ in range(rounds)), strict=True)
    names = ("by the clock, s", "processor time, s", "peak memory, MB")
    rows = [
        [name, f"{median(found):.2f}", f"{min(found):.2f}", f"{max(found):.2f}"]
        for name, found in zip(names, took, strict=True)
    ]
    table = markdown_table(("", "median", "least", "most"), rows)
    return f"{rounds} rounds; a page of {page.stat().st_size:,} bytes.\n\n{table}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="The report of a lake.")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lake")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="accesslake-bench-") as work:
        lake = options.lake or make_lake(options.lines, Path(work))
        print(f"{describe_machine()}\n\n{report(lake, options.rounds, Path(work) / 'report.html')}")


if __name__ == "__main__":
    main()
