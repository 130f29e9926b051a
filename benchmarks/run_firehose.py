"""What Firehose bills for real lines, packed and one a record; how fast lines become records; how long the handler takes to load.

    python -m benchmarks.run_firehose [--lines N] [--lines-per-object N] [--rounds N] [--starts N] [--seed N]

Bytes and dollars are exact arithmetic on what the packer gives; speeds are ratios within interleaved rounds. Loading is
measured in processes of their own, one of each kind a round, modules compiled and the disk warm; the first of each is dropped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import pyarrow as pa

from benchmarks.lines import Sample, generate_sample
from benchmarks.machine import describe_machine
from benchmarks.methods import recipe
from benchmarks.rounds import Spread, markdown_table, run_rounds
from etl.cost import billed_record_bytes
from etl.cost._prices import FIREHOSE_CONVERSION, FIREHOSE_INGESTION
from etl.parse import parse_stream
from etl.sinks import Packer, Record, to_documents

USD_A_GB = FIREHOSE_INGESTION.usd + FIREHOSE_CONVERSION.usd

PLAIN_NAME = "s3://amzn-s3-demo-logs/logs/2026-03-31-00-00-00-"
"""A log object as S3 names it unless it is asked for something else; 16 characters make it unique."""
DATED_NAME = "s3://amzn-s3-demo-logs/logs/123456789012/us-east-1/amzn-s3-demo-media/2026/03/31/2026-03-31-00-00-00-"
"""One under a prefix by event time, as `accesslake attach` asks for it."""

UNUSED = ("object_key",)
"""What Firehose's sink leaves out."""

LOAD_HANDLER = "import etl.lambdas.parse_logs"
LOAD_CLIENTS = "import boto3; boto3.client('s3'); boto3.client('firehose')"
LOAD_BOTO3 = "import boto3"


@dataclass(frozen=True)
class Bill:
    """Records of some lines, their bytes, and what is billed for them."""

    documents: int
    document_bytes: int
    records: int
    billed_bytes: int

    @property
    def usd_per_million(self) -> float:
        """Ingestion and conversion of a million documents like these."""
        return self.billed_bytes / self.documents * 1e6 / 1e9 * USD_A_GB

    def describe(self) -> str:
        """The arithmetic in a line."""
        return (
            f"{self.billed_bytes:,} B / {self.documents:,} x 1e6 = {self.billed_bytes / self.documents / 1e3:.3f} GB"
            f" x ${USD_A_GB:.3f}"
        )


def cut_objects(sample: Sample, lines_per_object: int) -> list[bytes]:
    """The sample's lines as log objects of so many lines."""
    lines = sample.data.splitlines(keepends=True)
    return [b"".join(lines[at : at + lines_per_object]) for at in range(0, len(lines), lines_per_object)]


def to_records(objects: Sequence[bytes], *, batch: int, name: str = DATED_NAME) -> Iterator[Record]:
    """Log objects to packed records as the parser function makes them: a record holds no lines of two batches."""
    for begin in range(0, len(objects), batch):
        packer = Packer()
        for number, data in enumerate(objects[begin : begin + batch], begin):
            for part in parse_stream([data], source_key=f"{name}{number:016X}", unused=UNUSED):
                yield from packer.add(to_documents(part.table), str(number))
        yield from packer.flush()


def count_records(objects: Sequence[bytes], *, batch: int) -> int:
    """Make the records, and keep none."""
    return sum(record.documents for record in to_records(objects, batch=batch))


def bill_packed(objects: Sequence[bytes], *, batch: int, name: str = DATED_NAME) -> Bill:
    """What is billed for packed records."""
    documents = size = records = billed = 0
    for record in to_records(objects, batch=batch, name=name):
        documents += record.documents
        size += len(record.data)
        records += 1
        billed += billed_record_bytes(len(record.data))
    return Bill(documents, size, records, billed)


def bill_single(documents: Sequence[bytes]) -> Bill:
    """What is billed for one document a record."""
    sizes = [len(document) for document in documents]
    return Bill(len(sizes), sum(sizes), len(sizes), sum(map(billed_record_bytes, sizes)))


def read_each(read: Callable[[bytes], object], objects: Sequence[bytes]) -> None:
    """Read one object after the other and keep nothing."""
    for data in objects:
        read(data)


def time_starts(codes: dict[str, str], *, rounds: int, seed: int) -> dict[str, list[float]]:
    """Seconds that a new interpreter needs for each code, above an empty one's, in interleaved rounds."""
    environment = os.environ | {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
    }
    rng = Random(seed)
    took: dict[str, list[float]] = {name: [] for name in codes}
    for number in range(rounds + 1):
        seconds = {}
        order = ["", *codes]
        rng.shuffle(order)
        for name in order:
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", codes.get(name, "")], env=environment, check=True)
            seconds[name] = time.perf_counter() - started
        if number:
            for name in codes:
                took[name].append(max(seconds[name] - seconds[""], 1e-3))
    return took


def bills_table(sample: Sample, bills: dict[str, Bill]) -> str:
    """The bills as a table."""
    raw = len(sample.data) / sample.lines
    rows = [
        [
            name,
            f"{bill.documents:,}",
            f"{bill.document_bytes / bill.documents:,.0f}",
            f"{bill.document_bytes / bill.documents / raw:.2f}",
            f"{bill.records:,}",
            f"{bill.billed_bytes / bill.document_bytes:.3f}",
            f"{bill.usd_per_million:.4f}",
            bill.describe(),
        ]
        for name, bill in bills.items()
    ]
    header = ("documents", "number", "bytes each", "x raw bytes", "records", "billed / sent", "USD a million", "")
    return markdown_table(header, rows)


def starts_table(took: dict[str, list[float]], baseline: str) -> str:
    """Loading times as a table."""
    rows = [
        [
            name,
            f"{Spread.of(seconds).median * 1e3:,.0f}",
            str(Spread.of([mine / theirs for mine, theirs in zip(seconds, took[baseline], strict=True)])),
        ]
        for name, seconds in took.items()
    ]
    return markdown_table(("a new interpreter", "ms above an empty one", f"x {baseline}"), rows)


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description="Firehose: bytes, dollars, speed, cold start.")
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--lines-per-object", type=int, default=1_000)
    parser.add_argument("--batch", type=int, default=10, help="log objects of an invocation")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    sample = generate_sample(lines=options.lines, seed=options.seed)
    objects = cut_objects(sample, options.lines_per_object)
    print(
        f"{describe_machine()}\n\n{sample.describe()} {len(objects):,} log objects, {options.batch} an invocation;"
        f" one thread; {options.rounds} interleaved rounds.\n",
        flush=True,
    )

    print("### What Firehose bills\n")
    ours = [text.encode() for data in objects for text in _documents(data)]
    theirs = [document for data in objects for document in recipe.to_json_lines(data).splitlines(keepends=True)]
    bills = {
        "accesslake, packed; S3's plain names": bill_packed(objects, batch=options.batch, name=PLAIN_NAME),
        "accesslake, packed; names by event time": bill_packed(objects, batch=options.batch),
        "accesslake, one a record": bill_single(ours),
        "recipe, one a record": bill_single(theirs),
    }
    print(bills_table(sample, bills), flush=True)

    print("### Lines to records\n")
    runs: dict[str, Callable[[], object]] = {
        "recipe, to JSON lines": partial(read_each, recipe.to_json_lines, objects),
        "accesslake, to packed records": partial(count_records, objects, batch=options.batch),
    }
    measured = run_rounds(runs, rounds=options.rounds, seed=options.seed)
    baseline = next(iter(runs))
    rows = [
        [
            name,
            f"{sample.lines / measured.median_wall(name) / 1e3:,.0f}k",
            str(measured.ratio(name, baseline)),
            str(measured.ratio(name, baseline, cpu=True)),
        ]
        for name in runs
    ]
    print(markdown_table(("method", "lines/s", "x recipe, by the clock", "x recipe, by CPU time"), rows), flush=True)

    print("### Loading\n")
    codes = {"boto3 and its clients s3 and firehose": LOAD_CLIENTS, "boto3": LOAD_BOTO3, "the handler": LOAD_HANDLER}
    print(starts_table(time_starts(codes, rounds=options.starts, seed=options.seed), next(iter(codes))))


def _documents(data: bytes) -> Iterator[str]:
    for part in parse_stream([data], source_key=f"{DATED_NAME}{0:016X}"):
        yield from to_documents(part.table).to_pylist()


if __name__ == "__main__":
    main()
