"""Compactors that are killed, and readers, on one lake: how many rows are missing, and how many stand twice.

    python -m benchmarks.run_rivals [--rounds N] [--compactors N] [--readers N] [--seaweedfs | --lake FOLDER|s3://bucket/prefix]

In a round a raw object or two come in and some compactors start, each a process of its own. Most of them are killed, or stopped
until others have done their work, at a moment drawn at random over the whole run or within one of its writes. Half of them
collect without a grace period, so that deletions meet rivals and readers too: a reader that finds a file gone is told so and
looks again, and must never be given a part for the whole. Every lake has a few rounds only, for a compaction opens what went
before. For `s3://` the server is found as boto3 finds it (`AWS_ENDPOINT_URL`); `--seaweedfs` starts one on loopback.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import boto3

from benchmarks.machine import describe_machine
from benchmarks.rivals.lakes import run_lake
from benchmarks.rivals.tally import Tally, tally_table

ROUNDS_PER_LAKE = 25


def run_lakes(
    place: str, *, rounds: int, compactors: int, readers: int, seed: int, until: float = float("inf")
) -> Tally:
    """That many rounds, on new lakes below `place`; a lake in which something is wrong is named on stderr.

    Fewer if the monotonic clock passes `until`.
    """
    total = Tally()
    for number, first in enumerate(range(0, rounds, ROUNDS_PER_LAKE)):
        if time.monotonic() > until:
            break
        uri = f"{place}/lake-{number}"
        count = min(ROUNDS_PER_LAKE, rounds - first)
        done = run_lake(uri, rounds=count, compactors=compactors, readers=readers, seed=seed + number, until=until)
        if done.wrong:
            print(f"{uri} after {total.rounds} rounds: {done}", file=sys.stderr)
        total.add(done)
        print(f"{total.rounds} rounds, {total.seconds:.0f} s, wrong: {total.wrong}", file=sys.stderr)
    return total


@contextmanager
def _seaweedfs(folder: Path) -> Iterator[str]:
    """A bucket of a server of its own, set up as for the tests."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    import conftest
    from servers import running

    with running(
        "S3 server",
        lambda attempt: conftest._start(folder / str(attempt)),
        answers=conftest._answers,
        stop=conftest._stop,
        output=lambda server: server.log.read_text(errors="replace")[-2000:],
        seconds=conftest.START_SECONDS,
    ) as server:
        os.environ |= {
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_ACCESS_KEY_ID": conftest.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": conftest.SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "1",
        }
        boto3.client("s3").create_bucket(Bucket="rivals")
        yield "s3://rivals"


def main() -> None:
    """Print what was counted; end with 1 if a row was missing, doubled or strange, or anything else went wrong."""
    parser = argparse.ArgumentParser(description="Kill compactors while others compact and read.")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--compactors", type=int, default=3)
    parser.add_argument("--readers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--lake", default="", help="where new lakes are made; a temporary folder by default")
    where.add_argument("--seaweedfs", action="store_true", help="on a SeaweedFS that is started for it")
    options = parser.parse_args()
    crowd = {name: getattr(options, name) for name in ("rounds", "compactors", "readers", "seed")}
    with ExitStack() as stack:
        place = options.lake.rstrip("/") or stack.enter_context(tempfile.TemporaryDirectory())
        name = "S3" if place.startswith("s3://") else "folder"
        if options.seaweedfs:
            name, place = "SeaweedFS", stack.enter_context(_seaweedfs(Path(place)))
        total = run_lakes(place, **crowd)
    print(f"{describe_machine()}\n\n{tally_table({name: total})}")
    raise SystemExit(1 if total.wrong else 0)


if __name__ == "__main__":
    main()
