"""What Spark adds to the work of one machine: two executors of it beside the local path, for compaction and for a back-fill.

    python -m benchmarks.run_spark [--lines N ...] [--files N] [--archive N ...] [--rounds N]

Compaction: so many lines of one day in raw files as Firehose writes them (200 by default), rewritten, verified and committed.
Back-fill: so many lines in objects of 300 lines; `ingest` with two processes and then `compact`, beside `ingest --engine spark`.
Every run is the command, in a process of its own, from its start to its end; Spark's own start, once a run, is measured beside
it. Memory is the largest sum of what all processes of a run, Python's and Java's, have resident. After each run all rows are held
against those of the others, every column of them: a difference ends the benchmark. A back-fill cuts a long list into several
batches, and a line that S3 delivered in two objects of two batches stands twice: so of back-fills the lines are compared.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import median

import duckdb
import psutil
import pyarrow.parquet as pq

from benchmarks.machine import describe_machine
from benchmarks.raw_day import DAY, write_raw_day
from benchmarks.rounds import Spread, markdown_table
from benchmarks.run_ingest import watch_memory
from etl.generate import generate
from etl.lake import create_lake, open_lake

LOCAL, SPARK = "local, 1 process", "Spark, 2 executors"
TWO, STARTED = "ingest, 2 processes, and compact", "Spark, nothing to do"
_LINES_PER_OBJECT = 300
_CLI = (sys.executable, "-m", "etl.cli")
_COMMITTED = "FROM read_parquet($1, hive_partitioning=false)"
ROWS = f"SELECT * EXCLUDE (batch_id) {_COMMITTED}"
LINES = (
    "SELECT DISTINCT hash(line) AS one, hash('once more', line) AS other "
    f"FROM (SELECT * EXCLUDE (batch_id, source_key, line_no) {_COMMITTED}) AS line"
)
_START = """
from pathlib import Path
from etl.spark._session import one_machine, spark_session
with spark_session(one_machine(workers=2, scratch=Path("."))) as spark:
    spark.range(10).count()
"""


@dataclass(frozen=True)
class Run:
    """What a run took, and what it left."""

    seconds: float
    peak: int
    """Bytes resident at once, of all its processes."""
    rows: int = 0
    digest: str = ""
    """Equal for equal rows, in whatever order and files they are."""


def run_commands(commands: Sequence[Sequence[str]], *, cwd: Path | None = None) -> Run:
    """The commands one after the other; a failure ends the benchmark."""
    peak = 0
    started = time.perf_counter()
    for command in commands:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=cwd)
        peak = max(peak, watch_memory(psutil.Process(process.pid)))
        if process.wait():
            raise SystemExit(f"failed: {' '.join(command)}")
    return Run(time.perf_counter() - started, peak)


def digest(lake: Path, same: str) -> tuple[int, str]:
    """How many rows were committed, and the sums of two hashes of each row that the SQL `same` makes of them."""
    files = [file.path for file in open_lake(str(lake)).snapshot().compacted]
    sums = "sum(hash(row)), sum(hash('again', row))"
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT {sums} FROM ({same}) AS row", [files]).fetchall()
    return sum(pq.read_metadata(file).num_rows for file in files), str(found)


def compare(
    title: str, methods: dict[str, list[list[str]]], lake: Path, *, made: Path | None, rounds: int, same: str
) -> str:
    """A table of the methods, interleaved, each on a fresh copy of `made` (or on no lake) at `lake`.

    The first is the baseline. What all of them must have committed is what the SQL `same` makes of their rows.
    """
    runs: dict[str, list[Run]] = {method: [] for method in methods}
    rng = Random(1)
    for number in range(1, rounds + 1):
        for method in rng.sample(list(methods), len(methods)):
            shutil.rmtree(lake, ignore_errors=True)
            if made is not None:
                shutil.copytree(made, lake)
            run = run_commands(methods[method])
            rows, found = digest(lake, same)
            runs[method].append(replace(run, rows=rows, digest=found))
        print(f"{title}: round {number} of {rounds}", file=sys.stderr)
    baseline = next(iter(methods))
    digests = {run.digest for took in runs.values() for run in took}
    if len(digests) != 1:
        raise SystemExit(f"{title}: the methods committed different rows: {runs}")
    table = []
    for method, took in runs.items():
        seconds = median(run.seconds for run in took)
        ratio = Spread.of([run.seconds / other.seconds for run, other in zip(took, runs[baseline], strict=True)])
        peak = max(run.peak for run in took)
        table.append(
            [
                *(method, f"{took[0].rows:,}", f"{seconds:.1f}", f"{took[0].rows / seconds / 1e3:,.1f}k", str(ratio)),
                f"{peak / 1e6:,.0f}",
            ]
        )
    return markdown_table((title, "rows", "seconds", "rows/s", f"x {baseline}", "peak memory, MB"), table)


def compare_compaction(lines: int, *, files: int, rounds: int) -> str:
    """The table of compaction."""
    with tempfile.TemporaryDirectory(prefix="accesslake-bench-") as name:
        work = Path(name)
        create_lake(str(work / "made"))
        day = write_raw_day(work / "made", lines=lines, files=files)
        compact = [*_CLI, "compact", "--lake", str(work / "lake"), "--json", "--engine"]
        methods = {LOCAL: [[*compact, "local"]], SPARK: [[*compact, "spark"]]}
        title = f"compaction of {day.rows:,} rows in {len(day.files)} files, {day.bytes / 1e6:,.0f} MB"
        return compare(title, methods, work / "lake", made=work / "made", rounds=rounds, same=ROWS)


def compare_backfill(lines: int, *, rounds: int) -> str:
    """The table of the back-fill."""
    with tempfile.TemporaryDirectory(prefix="accesslake-bench-") as name:
        work = Path(name)
        objects = size = 0
        for log in generate(lines=lines, seed=1, end=DAY, days=7, lines_per_object=_LINES_PER_OBJECT):
            path = work / "logs" / log.key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(log.body)
            objects, size = objects + 1, size + len(log.body)
        lake = str(work / "lake")
        ingest = [*_CLI, "ingest", str(work / "logs"), "--lake", lake, "--json"]
        methods = {
            TWO: [[*ingest, "--workers", "2"], [*_CLI, "compact", "--lake", lake, "--json"]],
            SPARK: [[*ingest, "--engine", "spark"]],
        }
        title = f"back-fill of {lines:,} lines in {objects:,} objects, {size / 1e6:,.0f} MB"
        return compare(title, methods, work / "lake", made=None, rounds=rounds, same=LINES)


def measure_start(rounds: int) -> str:
    """What starting Spark and asking it for nothing takes."""
    with tempfile.TemporaryDirectory(prefix="accesslake-bench-") as name:
        runs = [run_commands([[sys.executable, "-c", _START]], cwd=Path(name)) for _ in range(rounds)]
    peak = max(run.peak for run in runs)
    return markdown_table(
        (STARTED, "seconds", "peak memory, MB"), [["", f"{median(r.seconds for r in runs):.1f}", f"{peak / 1e6:,.0f}"]]
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Spark on one machine beside the local engine.")
    parser.add_argument("--lines", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--archive", type=int, nargs="*", default=[1_000_000], help="lines of the back-fill")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{describe_machine()}\n", flush=True)
    print(measure_start(options.rounds), flush=True)
    for lines in options.lines:
        print(compare_compaction(lines, files=options.files, rounds=options.rounds), flush=True)
    for lines in options.archive:
        print(compare_backfill(lines, rounds=options.rounds), flush=True)


if __name__ == "__main__":
    main()
