"""All checks, one after the other, and what they leave behind."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError

from etl.errors import AccessLakeError, first_line
from etl.lake import raw_key
from etl.schema import RAW_TABLE
from etl.smoke._account import Account, open_account
from etl.smoke._delivery import (
    TIME,
    Delivery,
    error_findings,
    packing_findings,
    parquet_findings,
    row_group_finding,
    send_and_wait,
)
from etl.smoke._finding import WELL, Finding, judged
from etl.smoke._own_file import OURS, own_file
from etl.smoke._unload import unload_findings

_QUERY_SECONDS: Final = 120.0
_LOG_OBJECTS: Final = 20_000
_TROUBLE: Final = (
    ClientError,
    BotoCoreError,
    AccessLakeError,
    LookupError,
    ValueError,
    TypeError,
    pa.ArrowException,
    OSError,
)
"""What a check may meet: it is then a finding, and the next one runs."""


@dataclass(frozen=True)
class Smoke:
    """What was found, and what the checks could not take away again."""

    findings: tuple[Finding, ...]
    left: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Nothing is other than expected, and nothing stayed open."""
        return all(finding.outcome in WELL for finding in self.findings)


def smoke(stack: str) -> Smoke:
    """Run the checks against the deployed stack of that name; they take as long as its buffer, and some minutes.

    A few rows go through the stack's own stream, under a log object that does not exist. Raises `BadParameter` if there is no
    such stack.
    """
    return run_smoke(open_account(stack))


def run_smoke(account: Account) -> Smoke:
    """The checks against any account, real or not; what one of them cannot do is a finding."""
    findings: list[Finding] = []
    delivery: Delivery | None = None
    left: list[str] = []

    def check(name: str, step: Callable[[], Iterable[Finding]]) -> None:
        try:
            findings.extend(step())
        except _TROUBLE as error:
            findings.append(Finding(name, "failed", first_line(error)))

    if account.stream is None:
        findings.append(Finding("delivery", "left out", "the stack writes Parquet itself, without Firehose"))
    else:
        try:
            delivery = send_and_wait(account)
        except _TROUBLE as error:
            findings.append(Finding("delivery", "failed", first_line(error)))
            left.append(_rows_left(account))
    if delivery is not None:
        arrived = delivery
        check("packing", lambda: packing_findings(arrived))
        check("error object", lambda: error_findings(arrived, account.source_key))
        check("Parquet of Firehose", lambda: parquet_findings(arrived))
        check("INT96 beside INT64", lambda: _query_both(account, arrived, left))
        check("row groups of Firehose", lambda: [row_group_finding(account)])
    findings.append(
        Finding("a new column's way to Firehose", "left out", "it would change the stack's table; see docs/deploy.md")
    )
    ours_alone = sorted(delivery.only_ours & delivery.files.keys()) if delivery else []
    check("UNLOAD", lambda: unload_findings(account, ours_alone, left))
    check("size of log objects", lambda: _log_sizes(account))
    if delivery is not None:
        left += _clean_up(account, delivery)
    return Smoke(tuple(findings), tuple(left))


def _query_both(account: Account, delivery: Delivery, left: list[str]) -> Iterator[Finding]:
    """Athena over files of both kinds in one column."""
    name = "INT96 beside INT64"
    if not delivery.rows:
        yield Finding(name, "undecided", "Firehose wrote no row to compare with")
        return
    days = account.days(delivery.since)
    key = f"{account.lake_prefix}{raw_key(f'smoke-{account.run}', days[-1])}"
    account.s3.put_object(Bucket=account.lake_bucket, Key=key, Body=own_file(account.source_key))
    try:
        rows = account.select(
            f"SELECT line_no, date_format(request_time, '%Y-%m-%d %H:%i:%s') FROM {RAW_TABLE.name}"
            f" WHERE ingest_date IN ({', '.join(repr(day) for day in days)}) AND source_key = '{account.source_key}'",
            seconds=_QUERY_SECONDS,
        )
    finally:
        left += account.delete([key])
    wrong = [number for number, time in rows if time != TIME]
    numbers = {number for number, _ in rows}
    wanted = {str(number) for number in (*delivery.rows, OURS)}
    yield judged(
        name,
        wanted <= numbers and not wrong,
        f"{len(numbers & wanted)} of {len(wanted)} rows, {len(wrong)} with another time",
    )


def _log_sizes(account: Account) -> Iterator[Finding]:
    """How large delivered log objects are: the front end is paid by the object."""
    pages = account.s3.get_paginator("list_objects_v2").paginate(
        Bucket=account.outputs["LogBucketName"], Prefix=account.outputs["LogPrefix"]
    )
    listed = (item["Size"] for page in pages for item in page.get("Contents", []))
    sizes = sorted(islice(listed, _LOG_OBJECTS))
    if not sizes:
        yield Finding("size of log objects", "left out", "no log object is there yet")
        return
    tenth = max(1, len(sizes) // 10)
    yield Finding(
        "size of log objects",
        "as expected",
        f"{len(sizes):,} objects: a tenth below {sizes[tenth - 1]:,} bytes, median {statistics.median(sizes):,.0f},"
        f" a tenth above {sizes[-tenth]:,}, largest {sizes[-1]:,}",
    )


def _clean_up(account: Account, delivery: Delivery) -> Iterator[str]:
    """Delete objects that hold nothing but ours. Compaction takes no raw object before its day is sealed, a day later."""
    yield from account.delete(sorted(delivery.only_ours))
    yield from (f"rows or records of ours beside others' in {key}" for key in sorted(delivery.shared))
    if not delivery.complete:
        yield _rows_left(account)


def _rows_left(account: Account) -> str:
    return f"up to ten rows in raw/ with source_key = '{account.source_key}', still on their way"
