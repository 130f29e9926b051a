"""Lines to typed rows and to Parquet: this product beside the recipe's method and other libraries, on one thread.

python -m benchmarks.run_parse [--lines N] [--object-mb N] [--rounds N] [--seed N] [--only NAME ...]
"""

from __future__ import annotations

import os

os.environ["POLARS_MAX_THREADS"] = "1"  # Polars reads it when it is imported.

import argparse
import io
from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.exactness import describe_exactness
from benchmarks.lines import Sample, generate_sample
from benchmarks.machine import describe_machine
from benchmarks.methods import duckdb_read, one_regex, polars_split, pyarrow_csv, recipe
from benchmarks.methods._plain_lines import chunks_of
from benchmarks.rounds import Rounds, markdown_table, run_rounds
from etl.parse import parse, parse_exact, parse_fields
from etl.schema import WIRE_FIELDS

Read = Callable[[bytes], object]
ReadTable = Callable[[bytes], pa.Table]

RECIPE = "recipe: three regexes, a dict a line"
RECIPE_TABLE = "recipe, to typed Arrow"
OURS = "accesslake"
ALL_COLUMNS = "accesslake, with the added columns"
JSON = "recipe, to JSON lines instead"

FIELDS: dict[str, ReadTable] = {
    RECIPE_TABLE: recipe.to_table,
    "one tuned regex": one_regex.read,
    "DuckDB regexp_extract": duckdb_read.extract,
    "DuckDB read_csv": duckdb_read.read_csv,
    "pyarrow.csv": pyarrow_csv.plain,
    "pyarrow.csv, proved": pyarrow_csv.checked,
    "Polars split, proved": polars_split.split,
    OURS: parse_fields,
}
"""Lines to the 27 typed columns."""

_NOT_TO_PARQUET = ("DuckDB regexp_extract", "one tuned regex")
_HEAD = ("lines/s", "MB/s", "x recipe, by the clock", "x recipe, by CPU time", "exact?")


def parse_all(data: bytes) -> pa.Table:
    """Lines to all 34 columns."""
    return parse(data, source_key="-").table


def to_parquet(read: ReadTable, data: bytes) -> int:
    """Lines to one zstd Parquet file in memory, written in the same way whoever read them."""
    file = io.BytesIO()
    pq.write_table(read(data), file, compression="zstd")
    return file.tell()


def read_each(read: Read, objects: Sequence[bytes]) -> None:
    """Read one object after the other and keep nothing."""
    for data in objects:
        read(data)


def judge_exactness(sample: Sample, fields: dict[str, ReadTable], objects: Sequence[bytes]) -> dict[str, str]:
    """What to say of each method's rows, compared with the exact reader's."""
    want = parse_exact(sample.data, source_key="-").table
    unmatched = sum(recipe.to_dicts(data).unmatched for data in objects)
    said = {
        RECIPE: f"no, {unmatched:,} lines not matched",
        ALL_COLUMNS: describe_exactness(parse_all(sample.data), want),
    }
    want = want.select([field.name for field in WIRE_FIELDS])
    for name, read in fields.items():
        said[name] = describe_exactness(pa.concat_tables([read(data) for data in objects]), want)
    return said


def build_table(measured: Rounds, sample: Sample, runs: dict[str, str], baseline: str, exact: dict[str, str]) -> str:
    """A table of some runs (label to run) beside their baseline."""
    rows = []
    for label, run in runs.items():
        seconds = measured.median_wall(run)
        speeds = [f"{sample.lines / seconds / 1e3:,.0f}k", f"{len(sample.data) / seconds / 1e6:,.0f}"]
        ratios = [str(measured.ratio(run, baseline)), str(measured.ratio(run, baseline, cpu=True))]
        rows.append([label, *speeds, *ratios, exact.get(label, "")])
    return markdown_table(("method", *_HEAD), rows)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Lines to typed rows, beside other ways to do it.")
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--object-mb", type=float, default=0, help="cut the lines into objects of so many MB; 0: one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="only methods whose name holds one of these")
    options = parser.parse_args()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    sample = generate_sample(lines=options.lines, seed=options.seed)
    objects = list(chunks_of(sample.data, int(options.object_mb * 1e6) or len(sample.data)))
    fields = {name: read for name, read in FIELDS.items() if not options.only or any(o in name for o in options.only)}
    print(
        f"{describe_machine()}\n\n{sample.describe()} {len(objects)} objects, each read to a table that is then dropped;"
        f" one thread; {options.rounds} interleaved rounds.\n",
        flush=True,
    )
    to_rows: dict[str, Read] = {RECIPE: recipe.to_dicts, **fields, ALL_COLUMNS: parse_all}
    writers = {name: read for name, read in fields.items() if name not in _NOT_TO_PARQUET}
    writers = {RECIPE_TABLE: recipe.to_table, **writers, ALL_COLUMNS: parse_all}
    to_files: dict[str, Read] = {f"{name} -> Parquet": partial(to_parquet, read) for name, read in writers.items()}
    to_files[JSON] = recipe.to_json_lines
    runs: dict[str, Callable[[], object]] = {
        name: partial(read_each, read, objects) for name, read in (to_rows | to_files).items()
    }
    measured = run_rounds(runs, rounds=options.rounds, seed=options.seed)
    exact = judge_exactness(sample, fields, objects)

    print("### Lines to the 27 typed columns\n")
    print(build_table(measured, sample, {name: name for name in to_rows}, RECIPE, exact))
    print("### Lines to zstd Parquet, in memory\n")
    files = {JSON: JSON} | {name: f"{name} -> Parquet" for name in writers}
    print(build_table(measured, sample, files, f"{RECIPE_TABLE} -> Parquet", exact))


if __name__ == "__main__":
    main()
