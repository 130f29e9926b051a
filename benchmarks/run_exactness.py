"""A million generated lines: lines in = rows + quarantined, and the fast path equals the exact reader on every row.

python -m benchmarks.run_exactness [--lines N] [--seed N]
"""

from __future__ import annotations

import argparse
import datetime
import sys

import pyarrow.compute as pc

import etl
from etl.generate import generate
from etl.parse import parse_exact

_LAST_DAY = datetime.date(2026, 3, 31)


def main() -> None:
    """Read every object twice, compare, and print what there was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    lines = rows = quarantined = objects = different = 0
    statuses: dict[str, int] = {}
    for log in generate(lines=options.lines, seed=options.seed, end=_LAST_DAY):
        fast = etl.parse(log.body, source_key=log.key)
        exact = parse_exact(log.body, source_key=log.key)
        different += not (fast.table.equals(exact.table) and fast.quarantine.equals(exact.quarantine))
        objects += 1
        lines += log.body.count(b"\n")
        rows += fast.table.num_rows
        quarantined += fast.quarantine.num_rows
        for item in pc.value_counts(fast.table["parse_status"]).to_pylist():
            statuses[item["values"]] = statuses.get(item["values"], 0) + item["counts"]
        print(f"\r{lines:,} lines", end="", file=sys.stderr)
    print(file=sys.stderr)
    print(f"{objects:,} objects, {lines:,} lines = {rows:,} rows + {quarantined:,} quarantined; {statuses}")
    print(f"objects of which a row differs between the fast path and the exact reader: {different}")
    sys.exit(different > 0 or lines != rows + quarantined)


if __name__ == "__main__":
    main()
