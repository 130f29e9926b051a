"""The SigV2 detector over Parquet: its time as a share of parsing the same lines, the bytes it reads, and its memory.

    python -m benchmarks.run_detect [--lines N] [--rounds N]

The lines are the product's own generated ones, of which some 1.7 % are signed with SigV2. They are looked at in three
shapes: as one raw object with SigV2 in every row group, the same without any, and as compacted files, in which a bucket's
rows are together. Three amounts of work are timed: which requests are signed with SigV2, and which may be (log object and
line of each: what makes a finding one), all that a finding shows of them (keys and URIs are most of a file), and the findings
themselves, masked. Time is taken in interleaved rounds, of processor time as well as by the clock; bytes are those read of the
file, as a share of its size; memory is the peak of a fresh process that does nothing else.
"""

from __future__ import annotations

import argparse
import datetime
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq

from benchmarks.lines import generate_sample
from benchmarks.machine import describe_machine
from benchmarks.rounds import Rounds, markdown_table, run_rounds
from etl.compact import compact
from etl.detect import SHOWN, build_sigv2_findings, detect_file
from etl.generate import generate, write_objects
from etl.ingest import ingest
from etl.lake import open_lake
from etl.parse import parse_stream
from etl.sinks import write_parquet

_LAST_DAY = datetime.date(2026, 3, 31)
_PARSING = "parsing"
_WHICH = ("source_key", "line_no")
_LOOK = """
import sys
from etl.detect import build_sigv2_findings, detect_file
for path in sys.argv[1:]:
    build_sigv2_findings(detect_file(path))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


class CountedFile(io.FileIO):
    """A file that counts the bytes read of it."""

    taken = 0

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, and count."""
        count = super().readinto(buffer) or 0
        self.taken += count
        return count

    def read(self, size: int | None = -1) -> bytes:
        """Read, and count."""
        data = super().read(-1 if size is None else size) or b""
        self.taken += len(data)
        return data


def write_raw(data: bytes, path: Path) -> list[Path]:
    """The lines as one raw object, as the direct sink writes it."""
    parts = parse_stream([data], source_key="s3://logs/a")
    write_parquet(parts, rows_file=path, quarantine_file=path.with_suffix(".quarantine"))
    return [path]


def write_compacted(lines: int, folder: Path) -> list[Path]:
    """As many lines, ingested as log objects and compacted."""
    write_objects(generate(lines=lines, seed=1, end=_LAST_DAY), folder / "logs")
    ingest([str(folder / "logs")], lake=str(folder / "lake"))
    compact(str(folder / "lake"))
    return [Path(file.path) for file in open_lake(str(folder / "lake")).snapshot().compacted]


def find_which(paths: list[Path]) -> int:
    """How many requests are signed with SigV2, each known by its place."""
    return sum(detect_file(str(path), shown=_WHICH).hits.num_rows for path in paths)


def find_all_shown(paths: list[Path]) -> None:
    """Those requests, with all that a finding shows of them."""
    for path in paths:
        detect_file(str(path))


def build_all(paths: list[Path]) -> None:
    """The findings, masked and ready to be written."""
    for path in paths:
        build_sigv2_findings(detect_file(str(path)))


def parse_lines(data: bytes) -> None:
    """Lines to typed rows, dropped as they come."""
    for _ in parse_stream([data], source_key="s3://logs/a"):
        pass


def share_read(paths: list[Path], shown: Collection[str]) -> float:
    """Bytes read of all files, as a share of their sizes."""
    taken = 0
    for path in paths:
        with CountedFile(str(path)) as file:
            detect_file(file, shown=shown)
            taken += file.taken
    return taken / sum(path.stat().st_size for path in paths)


def peak_memory(paths: list[Path]) -> float:
    """MB of a fresh process that looks at the files one after the other, with the allocator that the command line chooses."""
    command = [sys.executable, "-c", _LOOK, *map(str, paths)]
    allocator = {"ARROW_DEFAULT_MEMORY_POOL": "jemalloc"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | allocator)
    return int(done.stdout) / 1024


def share_of_parsing(rounds: Rounds, method: str, *, cpu: bool) -> str:
    """Percent of the time of parsing, within each round: median and extremes."""
    shares = [
        (one.cpu / other.cpu if cpu else one.wall / other.wall) * 100
        for one, other in zip(rounds.took[method], rounds.took[_PARSING], strict=True)
    ]
    return f"{median(shares):.2f} [{min(shares):.2f}..{max(shares):.2f}]"


def report(lines: int, rounds: int, work: Path) -> str:
    """The table."""
    sample = generate_sample(lines=lines, seed=1)
    shapes = {
        "raw, no SigV2": write_raw(sample.data.replace(b" SigV2 ", b" SigV4 "), work / "none.parquet"),
        "raw": write_raw(sample.data, work / "some.parquet"),
        "compacted": write_compacted(lines, work),
    }
    methods: dict[str, Callable[[], object]] = {_PARSING: lambda: parse_lines(sample.data)}
    for name, paths in shapes.items():
        methods[f"{name}, which"] = lambda paths=paths: find_which(paths)  # type: ignore[misc]
        methods[f"{name}, shown"] = lambda paths=paths: find_all_shown(paths)  # type: ignore[misc]
        methods[f"{name}, findings"] = lambda paths=paths: build_all(paths)  # type: ignore[misc]
    took = run_rounds(methods, rounds=rounds, seed=1)
    rows = []
    for name, paths in shapes.items():
        metadata = [pq.read_metadata(path) for path in paths]
        rows.append(
            [
                name,
                f"{sum(each.num_rows for each in metadata):,}",
                f"{sum(each.num_row_groups for each in metadata)}",
                f"{find_which(paths):,}",
                share_of_parsing(took, f"{name}, which", cpu=False),
                *(share_of_parsing(took, f"{name}, {work}", cpu=True) for work in ("which", "shown", "findings")),
                f"{share_read(paths, _WHICH) * 100:.1f}",
                f"{share_read(paths, SHOWN) * 100:.1f}",
                f"{peak_memory(paths):.0f}",
            ]
        )
    head = (
        *("shape", "rows", "row groups", "SigV2", "which: % of parsing", "which: % of its CPU", "all shown: % of CPU"),
        *("findings: % of CPU", "which: % of bytes", "all shown: % of bytes", "peak, MB"),
    )
    return f"{sample.describe()} {rounds} rounds.\n\n{markdown_table(head, rows)}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="The SigV2 detector over Parquet.")
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="accesslake-bench-") as work:
        print(f"{describe_machine()}\n\n{report(options.lines, options.rounds, Path(work))}")


if __name__ == "__main__":
    main()
