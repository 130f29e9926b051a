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

from benchmarks.lines import LAST_DAY, Sample, generate_sample
from benchmarks.machine import describe_machine
from benchmarks.methods import recipe
from benchmarks.rounds import Spread, markdown_table, run_rounds
from etl.cost import billed_record_bytes
from etl.cost._prices import FIREHOSE_CONVERSION, FIREHOSE_INGESTION
from etl.generate import generate
from etl.parse import parse_stream
from etl.sinks import Packer, Record, to_documents

USD_A_GB = FIREHOSE_INGESTION.usd + FIREHOSE_CONVERSION.usd
AWS_STEP_BYTES, AWS_GB = 5_120, 2**30
"""Units of AWS's own examples: records are rounded up to "5 KB (5,120 bytes)", and 1,048,576 KB are a GB
(https://aws.amazon.com/firehose/pricing/). `accesslake cost` goes by 5,000 and 10^9, which is never less than the bill."""
LOG_BUCKET = "s3://amzn-s3-demo-logs/"

PLAIN_NAME = "s3://amzn-s3-demo-logs/logs/2026-03-31-00-00-00-"
"""A log object as S3 names it unless it is asked for something else; 16 characters make it unique."""
DATED_NAME = "s3://amzn-s3-demo-logs/logs/123456789012/us-east-1/amzn-s3-demo-media/2026/03/31/2026-03-31-00-00-00-"
"""One under a prefix by event time, as `accesslake attach` asks for it."""

UNUSED = ("object_key",)
"""What Firehose's sink leaves out."""

LOAD_HANDLER = "import etl.lambdas.parse_logs"
LOAD_CLIENTS = "import boto3; boto3.client('s3'); boto3.client('firehose')"
LOAD_BOTO3 = "import boto3"


NamedObject = tuple[str, bytes]
"""The name of a log object (its source_key) and its lines."""


@dataclass(frozen=True)
class Bill:
    """Records of some lines, their bytes, and what is billed for them: in steps of 5,000 bytes, and in AWS's."""

    documents: int
    document_bytes: int
    records: int
    billed_bytes: int
    billed_by_aws_units: int

    @property
    def usd_per_million(self) -> float:
        """Ingestion and conversion of a million documents like these, where a GB is 10^9 bytes."""
        return self.billed_bytes / self.documents * 1e6 / 1e9 * USD_A_GB

    @property
    def usd_by_aws_units(self) -> float:
        """The same in the units of AWS's own examples."""
        return self.billed_by_aws_units / self.documents * 1e6 / AWS_GB * USD_A_GB

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


def name_each(objects: Sequence[bytes], name: str) -> list[NamedObject]:
    """The objects, each with a name of its own."""
    return [(f"{name}{number:016X}", data) for number, data in enumerate(objects)]


def generate_objects(*, lines: int, lines_per_object: int, seed: int) -> list[NamedObject]:
    """Generated log objects under the names that the generator gives them: both kinds that S3 has, as its buckets are set."""
    found = generate(lines=lines, seed=seed, end=LAST_DAY, lines_per_object=lines_per_object)
    return [(f"{LOG_BUCKET}{log.key}", log.body) for log in found]


def to_records(objects: Sequence[NamedObject], *, batch: int) -> Iterator[Record]:
    """Log objects to packed records as the parser function makes them: a record holds no lines of two batches."""
    for begin in range(0, len(objects), batch):
        packer = Packer()
        for name, data in objects[begin : begin + batch]:
            for part in parse_stream([data], source_key=name, unused=UNUSED):
                yield from packer.add(to_documents(part.table), name)
        yield from packer.flush()


def count_records(objects: Sequence[NamedObject], *, batch: int) -> int:
    """Make the records, and keep none."""
    return sum(record.documents for record in to_records(objects, batch=batch))


def bill_packed(objects: Sequence[NamedObject], *, batch: int) -> Bill:
    """What is billed for packed records."""
    records = [(record.documents, len(record.data)) for record in to_records(objects, batch=batch)]
    return bill_records([size for _, size in records], documents=sum(documents for documents, _ in records))


def bill_records(sizes: Sequence[int], *, documents: int) -> Bill:
    """What is billed for records of these sizes."""
    return Bill(
        documents,
        sum(sizes),
        len(sizes),
        sum(map(billed_record_bytes, sizes)),
        sum(-(-size // AWS_STEP_BYTES) * AWS_STEP_BYTES for size in sizes),
    )


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
            f"{bill.usd_by_aws_units:.4f}",
            bill.describe(),
        ]
        for name, bill in bills.items()
    ]
    dollars = ("USD a million", "by AWS's units")
    header = ("documents", "number", "bytes each", "x raw bytes", "records", "billed / sent", *dollars, "")
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

    dated = name_each(objects, DATED_NAME)
    runs: dict[str, Callable[[], object]] = {
        "recipe, to JSON lines": partial(read_each, recipe.to_json_lines, objects),
        "accesslake, to packed records": partial(count_records, dated, batch=options.batch),
    }
    measured = run_rounds(runs, rounds=options.rounds, seed=options.seed)

    print("### What Firehose bills\n")
    ours = [text.encode() for data in objects for text in _documents(data)]
    theirs = [document for data in objects for document in recipe.to_json_lines(data).splitlines(keepends=True)]
    generated = generate_objects(lines=options.lines, lines_per_object=options.lines_per_object, seed=options.seed)
    bills = {
        "accesslake, packed; the generator's names": bill_packed(generated, batch=options.batch),
        "accesslake, packed; S3's plain names": bill_packed(name_each(objects, PLAIN_NAME), batch=options.batch),
        "accesslake, packed; names by event time": bill_packed(dated, batch=options.batch),
        "accesslake, one a record": bill_records(list(map(len, ours)), documents=len(ours)),
        "recipe, one a record": bill_records(list(map(len, theirs)), documents=len(theirs)),
    }
    print(bills_table(sample, bills), flush=True)

    print("### Lines to records\n")
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
