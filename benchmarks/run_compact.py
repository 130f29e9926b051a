"""A day of small raw files to large sorted ones: speed and memory beside plain sorted rewrites, and what queries read after it.

    python -m benchmarks.run_compact [--lines N ...] [--files N] [--rounds N] [--layouts]

The raw files are such as Firehose writes. The rewriting step is measured with its folding and its verification, not the rest of
the protocol, which takes no time; DuckDB and Polars read, sort by the same columns and write the same files, and do neither.
Every run is a process of its own, and its memory the kernel's account of its largest resident size.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import duckdb
import pyarrow.parquet as pq

from benchmarks.layouts import compare_layouts
from benchmarks.machine import describe_machine
from benchmarks.methods.recipe import to_json_lines
from benchmarks.raw_day import DAY, RawDay, write_raw_day
from benchmarks.rounds import Spread, markdown_table
from benchmarks.scanned import Question, ask
from etl.compact import read_or_create_plan, rewrite, verify
from etl.generate import generate
from etl.lake import create_lake, open_lake
from etl.lake._layout import staged_key

OURS, DUCKDB, POLARS = "accesslake", "DuckDB", "Polars"
_BY = ("bucket_name", "operation", "request_time")
_GROUP = 100_000
_RECIPE_LINES = 50_000
_MOST_ASKED = 1000
"""Raw files that the queries are held against: of more, their footers alone take minutes."""
_NEAR_RANDOM = ("host_id", "request_id", "version_id")


# --- One run, in a process of its own -----------------------------------------------------------------------------------


def rewrite_with_accesslake(lake: Path, output: Path) -> None:
    """The rewriting step as compaction does it; its files go to `output`."""
    opened = open_lake(str(lake))
    plan = read_or_create_plan(opened)
    assert plan is not None
    attempt = rewrite(opened, plan, attempt=uuid.uuid4().hex)
    verify(opened, plan, attempt)
    for number, written in enumerate(attempt.outputs):
        staged = staged_key(plan.batch, attempt.attempt, written.key)
        shutil.move(opened.store.path(staged), output / f"{number}.parquet")


def rewrite_with_duckdb(lake: Path, output: Path) -> None:
    """DuckDB as it comes."""
    source = f"read_parquet('{lake}/raw/*/*.parquet', hive_partitioning=false)"
    columns = "* REPLACE (request_time::TIMESTAMP_MS AS request_time)"
    options = f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3, ROW_GROUP_SIZE {_GROUP}"
    with duckdb.connect(config={"temp_directory": str(output / "spill")}) as connection:
        connection.execute("SET enable_progress_bar = false")
        select = f"SELECT {columns} FROM {source} ORDER BY {', '.join(_BY)}"
        connection.execute(f"COPY ({select}) TO '{output}/0.parquet' ({options})")


def rewrite_with_polars(lake: Path, output: Path) -> None:
    """Polars' streaming engine."""
    import polars

    frame = polars.scan_parquet(f"{lake}/raw/*/*.parquet", hive_partitioning=False)
    frame = frame.with_columns(polars.col("request_time").cast(polars.Datetime("ms"))).sort(_BY, nulls_last=True)
    frame.sink_parquet(output / "0.parquet", compression="zstd", compression_level=3, row_group_size=_GROUP)


_METHODS: dict[str, Callable[[Path, Path], None]] = {
    OURS: rewrite_with_accesslake,
    DUCKDB: rewrite_with_duckdb,
    POLARS: rewrite_with_polars,
}


def run_here(method: str, lake: Path, output: Path) -> None:
    """Run a method and print what it took, for the process that started this one."""
    started = time.perf_counter()
    _METHODS[method](lake, output)
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(json.dumps({"seconds": seconds, "cpu": time.process_time(), "peak": peak * 1024}))


def run_apart(method: str, lake: Path, output: Path) -> dict[str, Any]:
    """What a run in a process of its own took; `output` then holds its files, and nothing else in the lake is changed."""
    output.mkdir()
    command = [sys.executable, "-m", "benchmarks.run_compact", "--run", method, str(lake), str(output)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    shutil.rmtree(lake / "staging", ignore_errors=True)
    if done.returncode:
        return {"failed": done.returncode}
    files = sorted(output.glob("*.parquet"))
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found | {"rows": sum(pq.read_metadata(file).num_rows for file in files)}


# --- The tables ---------------------------------------------------------------------------------------------------------


def compare_speed(lake: Path, day: RawDay, methods: list[str], rounds: int) -> str:
    """Rows a second and memory of every method, interleaved; leaves the last files of ours in `lake`/../ours."""
    runs: dict[str, list[dict[str, Any]]] = {method: [] for method in methods}
    sizes = {}
    rng = Random(1)
    for number in range(1, rounds + 1):
        for method in rng.sample(methods, len(methods)):
            output = lake.parent / method
            shutil.rmtree(output, ignore_errors=True)
            runs[method].append(run_apart(method, lake, output))
            sizes[method] = sum(file.stat().st_size for file in output.glob("*.parquet"))
        print(f"round {number} of {rounds}", file=sys.stderr)
    rows = []
    for method, took in runs.items():
        if any("failed" in run for run in took):
            rows.append([method, "failed", "", "", "", "", ""])
            continue
        seconds = median(run["seconds"] for run in took)
        pairs = zip(took, runs.get(DUCKDB, []), strict=False)
        ratios = [other["seconds"] / run["seconds"] for run, other in pairs if "failed" not in other]
        ratio = str(Spread.of(ratios)) if ratios else "not measured"
        peak = max(run["peak"] for run in took)
        cells = [
            f"{seconds:.1f}",
            f"{day.rows / seconds / 1e3:,.0f}k",
            f"{median(r['cpu'] for r in took):.0f}",
            ratio,
        ]
        rows.append([method, *cells, f"{peak / 1e6:,.0f}", f"{sizes[method] / 1e6:,.1f}"])
    columns = ("seconds", "rows/s", "CPU seconds", "x DuckDB", "peak memory, MB", "files, MB")
    return markdown_table(("rewrite", *columns), rows)


def show_bytes(day: RawDay, files: list[pq.FileMetaData], size: int, recipe: float) -> str:
    """Bytes a line in each form."""
    rows = sum(file.num_rows for file in files)
    columns: dict[str, int] = {}
    for file in files:
        for group, place in itertools.product(range(file.num_row_groups), range(file.num_columns)):
            chunk = file.row_group(group).column(place)
            columns[chunk.path_in_schema] = columns.get(chunk.path_in_schema, 0) + chunk.total_compressed_size
    without = size - sum(columns[name] for name in _NEAR_RANDOM)
    forms = {
        "text, as S3 delivers it": day.text_bytes / day.rows,
        "recipe: JSON, gzip": recipe,
        "raw: Parquet as Firehose writes it, SNAPPY": day.bytes / day.rows,
        "compacted": size / rows,
        **{f"of these, {name}": columns[name] / rows for name in _NEAR_RANDOM},
        "compacted, without these three": without / rows,
    }
    return markdown_table(("form", "bytes a line"), [[name, f"{value:.1f}"] for name, value in forms.items()])


def show_scanned(day: RawDay, files: list[pq.FileMetaData], questions: list[Question], recipe: float) -> str:
    """Bytes that each query must read, before compaction and after."""
    before = [pq.read_metadata(file) for file in day.files]
    whole = recipe * day.rows
    rows = []
    for question in questions:
        raw, compacted = question.count_bytes(before), question.count_bytes(files)
        cells = [f"{whole / 1e6:.1f}", f"{raw / 1e6:.2f}", f"{compacted / 1e6:.2f}"]
        rows.append([question.name, *cells, f"{raw / compacted:.1f}", f"{whole / compacted:.0f}"])
    columns = ("gzip JSON, MB", "raw, MB", "compacted, MB", "raw / compacted", "gzip JSON / compacted")
    return markdown_table(("query", *columns), rows)


def choose_questions(day: RawDay) -> list[Question]:
    """Every query that comes with the product, some also for one bucket or one hour; the object is one of the day's busy ones."""
    files = [str(file) for file in day.files]
    ((bucket, key),) = duckdb.execute(
        f"SELECT bucket_name, key_name FROM read_parquet({files!r}) WHERE key_name IS NOT NULL "
        "GROUP BY ALL ORDER BY count(*) DESC, bucket_name, key_name LIMIT 1 OFFSET 100"
    ).fetchall()
    return [
        ask("acl_dependent_requests"),
        ask("ambiguous_lines"),
        ask("bytes_out_by_bucket_and_requester"),
        ask("deletes_under_prefix"),
        ask("deletes_under_prefix", bucket=bucket),
        ask("errors_by_code"),
        ask("last_access_per_prefix"),
        ask("last_access_per_prefix", bucket=bucket),
        ask("object_history", bucket=bucket, key=key),
        ask("recipe_first_rows"),
        ask("recipe_sigv2_by_client"),
        ask("recipe_sigv2_by_client", hours="1"),
        ask("recipe_sigv2_by_user_agent"),
        ask("requests_by_day_and_operation"),
        ask("slowest_operations"),
        ask("tls_below_1_2"),
        ask("top_requesters"),
        ask("unauthenticated_access"),
    ]


def measure_recipe() -> float:
    """Bytes a line of the recipe's JSON lines, gzipped by the object as its Firehose does."""
    json_bytes = lines = 0
    for log in generate(lines=_RECIPE_LINES, seed=1, end=DAY, days=1):
        json_lines = to_json_lines(log.body)
        json_bytes += len(gzip.compress(json_lines, 6))
        lines += json_lines.count(b"\n")
    return json_bytes / lines


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="A day of small raw files to large sorted ones.")
    parser.add_argument("--lines", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=_METHODS, default=list(_METHODS))
    parser.add_argument("--layouts", action="store_true", help="compare layouts of the output instead")
    parser.add_argument("--run", nargs=3, metavar=("METHOD", "LAKE", "OUTPUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        method, lake_folder, output = options.run
        run_here(method, Path(lake_folder), Path(output))
        return
    methods = [method for method in _METHODS if method in options.only]
    if POLARS in methods and importlib.util.find_spec("polars") is None:
        methods.remove(POLARS)
        print("Polars is not installed: `make bench` installs it. Going on without.", file=sys.stderr)
    print(f"{describe_machine()}\n", flush=True)
    recipe = measure_recipe()
    for lines in options.lines:
        with tempfile.TemporaryDirectory(prefix="accesslake-bench-") as work:
            lake = Path(work) / "lake"
            create_lake(str(lake))
            day = write_raw_day(lake, lines=lines, files=options.files)
            questions = choose_questions(day) if len(day.files) <= _MOST_ASKED else []
            print(f"## {day.rows:,} rows of one day in {len(day.files)} files, {day.bytes / 1e6:,.0f} MB\n", flush=True)
            if options.layouts:
                print(compare_layouts(day, questions))
                continue
            print(compare_speed(lake, day, methods, options.rounds), flush=True)
            ours = sorted((Path(work) / OURS).glob("*.parquet"))
            files = [pq.read_metadata(file) for file in ours]
            print(show_bytes(day, files, sum(file.stat().st_size for file in ours), recipe))
            if questions:
                print(show_scanned(day, files, questions, recipe))


if __name__ == "__main__":
    main()
