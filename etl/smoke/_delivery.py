"""Rows through the stack's own delivery stream: what packing, conversion and its failures really do."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from etl.parse import parse
from etl.schema import JSON_KEYS
from etl.sinks import to_documents
from etl.smoke._account import POLL_SECONDS, Account
from etl.smoke._finding import Finding, judged

_LINE: Final = (
    b"accesslake-smoke accesslake-smoke [02/May/2024:10:00:00 +0000] 192.0.2.1 - SMOKE REST.GET.OBJECT smoke "
    b'"GET /smoke HTTP/1.1" 200 - 7 7 3 2 "-" "accesslake smoke" - hostid= SigV4 ECDHE AuthHeader smoke TLSv1.2 - - -'
)
TIME: Final = "2024-05-02 10:00:00"
WITH_NEWLINES, WITHOUT, WITH_A_BAD_ONE, CONTROL = (1, 2, 3), (11, 12, 13), (21, 22, 23), (31,)
_BAD: Final = 22
_SPARE_SECONDS: Final = 300.0
"""Beyond the buffer's own time."""
_MOST_OBJECTS: Final = 20_000


@dataclass
class Delivery:
    """What came of the records that were sent."""

    since: float
    rows: dict[int, str] = field(default_factory=dict)
    """Line number to the raw object that holds it."""
    files: dict[str, pq.ParquetFile] = field(default_factory=dict)
    """Raw objects that hold rows of this run."""
    only_ours: set[str] = field(default_factory=set)
    """Objects, of raw/ and errors/, that hold nothing else."""
    shared: set[str] = field(default_factory=set)
    """Objects that hold ours beside others'."""
    errors: list[Mapping[str, Any]] = field(default_factory=list)
    """Entries of error objects with a record of this run."""
    seen: set[str] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether all arrived that had nothing bad beside it."""
        return {*WITH_NEWLINES, *WITHOUT, *CONTROL} <= self.rows.keys()

    def add(self, key: str, *, ours: int, all_: int) -> None:
        """Note an object that holds so many of ours among all."""
        (self.only_ours if ours == all_ else self.shared).add(key)


def smoke_table(source_key: str) -> pa.Table:
    """Rows that say they are of this run, with line numbers from 1."""
    return parse((_LINE + b"\n") * max(CONTROL), source_key=source_key).table


def send_and_wait(account: Account) -> Delivery:
    """Send four records in one call, and look for what becomes of them until nothing more can come.

    One record has a newline after each of its three documents, one has none, one has a bad document in its middle; the last
    is a lone document, to tell a slow stream from one that loses rows.
    """
    documents = [text.encode() for text in to_documents(smoke_table(account.source_key)).to_pylist()]
    bad = json.loads(documents[_BAD - 1]) | {JSON_KEYS["bytes_sent_size"]: "seven"}
    documents[_BAD - 1] = json.dumps(bad, separators=(",", ":")).encode() + b"\n"
    records = [
        b"".join(documents[number - 1] for number in WITH_NEWLINES),
        b"".join(documents[number - 1].rstrip(b"\n") for number in WITHOUT),
        b"".join(documents[number - 1] for number in WITH_A_BAD_ONE),
        b"".join(documents[number - 1] for number in CONTROL),
    ]
    delivery = Delivery(account.clock())
    wait = _buffer_seconds(account) + _SPARE_SECONDS
    answer = account.firehose.put_record_batch(
        DeliveryStreamName=account.stream, Records=[{"Data": record} for record in records]
    )
    if answer["FailedPutCount"]:
        codes = {each.get("ErrorCode") for each in answer["RequestResponses"]} - {None}
        raise LookupError(f"the stream refused records: {', '.join(sorted(codes))}")

    def all_there() -> bool | None:
        _look(account, delivery)
        return True if delivery.complete and delivery.errors else None

    account.wait_for(all_there, seconds=wait)
    # Files of one buffer do not all appear at once.
    account.wait_for(lambda: _look(account, delivery), seconds=3 * POLL_SECONDS)
    return delivery


def packing_findings(delivery: Delivery) -> Iterable[Finding]:
    """Whether every document of a record became a row, and what one bad document does to its neighbours."""
    if not delivery.rows.keys() & set(CONTROL):
        for name in ("documents ended by newlines", "documents with nothing between", "neighbours of a bad document"):
            yield Finding(name, "undecided", "not even a lone document arrived in time")
        return
    for name, sent in (("documents ended by newlines", WITH_NEWLINES), ("documents with nothing between", WITHOUT)):
        came = [number for number in sent if number in delivery.rows]
        yield judged(name, len(came) == len(sent), f"{len(came)} of {len(sent)} in one record became rows")
    neighbours = [number for number in WITH_A_BAD_ONE if number != _BAD]
    came = [number for number in neighbours if number in delivery.rows]
    what = {0: "the whole record failed", len(neighbours): "only the bad one failed"}.get(
        len(came), "some failed with it"
    )
    known = bool(came) or bool(delivery.errors)
    yield judged("neighbours of a bad document", known, what if known else "they are neither rows nor in errors/")


def error_findings(delivery: Delivery, source_key: str) -> Iterable[Finding]:
    """How an error object spells its members, and how much of the record it keeps."""
    name = "error object"
    if not delivery.errors:
        yield Finding(name, "undecided", "none with a record of ours appeared")
        return
    entry = delivery.errors[0]
    spelling = [each for each in ("ErrorCode", "errorCode", "lastErrorCode") if each in entry]
    held = base64.b64decode(entry["rawData"]).count(source_key.encode())
    yield judged(
        name,
        spelling in (["ErrorCode"], ["lastErrorCode"]),
        f"{len(delivery.errors)} entries; spelled {', '.join(spelling) or 'otherwise'}; rawData holds {held} documents;"
        f" members {', '.join(sorted(entry))}",
    )


def parquet_findings(delivery: Delivery) -> Iterable[Finding]:
    """What Firehose writes: the type of times, and dictionaries."""
    if not delivery.files:
        yield Finding("Parquet of Firehose", "undecided", "no raw object with rows of ours appeared")
        return
    metadata = next(iter(delivery.files.values())).metadata
    names = [metadata.schema.column(place).name for place in range(metadata.num_columns)]
    place = names.index("request_time")
    physical = metadata.schema.column(place).physical_type
    group = metadata.row_group(0)
    yield judged("times are INT96", physical == "INT96", f"{physical}, statistics {group.column(place).is_stats_set}")
    encodings = {encoding for column in range(metadata.num_columns) for encoding in group.column(column).encodings}
    yield judged(
        "dictionaries",
        any("DICTIONARY" in encoding for encoding in encodings),
        f"{', '.join(sorted(encodings))}; {group.column(place).compression}; {metadata.created_by}",
    )


def row_group_finding(account: Account) -> Finding:
    """Row groups of the largest object that the stream has written: those of this run are tiny."""
    name = "row groups of Firehose"
    pages = account.s3.get_paginator("list_objects_v2").paginate(
        Bucket=account.lake_bucket, Prefix=f"{account.lake_prefix}raw/"
    )
    written = (item for page in pages for item in page.get("Contents", []) if f"/{account.stream}-" in item["Key"])
    largest = max(islice(written, _MOST_OBJECTS), key=lambda item: item["Size"], default=None)
    if largest is None:
        return Finding(name, "left out", "there is no object of the stream yet")
    metadata = account.read_parquet(largest["Key"]).metadata
    sizes = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
    return Finding(
        name,
        "as expected",
        f"{len(sizes)} in an object of {largest['Size']:,} bytes; the largest is {max(sizes):,} bytes before compression",
    )


def _look(account: Account, delivery: Delivery) -> None:
    """Read what is new under raw/ and errors/."""
    folders = [f"raw/ingest_date={day}/" for day in account.days(delivery.since)]
    for key in [key for folder in folders for key in account.list_since(folder, delivery.since)]:
        if key not in delivery.seen and key.endswith(".parquet"):
            delivery.seen.add(key)
            file = account.read_parquet(key)
            rows = file.read(columns=["source_key", "line_no"]).to_pylist()
            ours = [row["line_no"] for row in rows if row["source_key"] == account.source_key]
            if ours:
                delivery.files[key] = file
                delivery.rows.update(dict.fromkeys(ours, key))
                delivery.add(key, ours=len(ours), all_=len(rows))
    for key in account.list_since("errors/", delivery.since):
        if key not in delivery.seen:
            delivery.seen.add(key)
            entries = [json.loads(line) for line in account.read(key).split(b"\n") if line.strip()]
            found = [each for each in entries if account.source_key.encode() in base64.b64decode(each["rawData"])]
            if found:
                delivery.errors += found
                delivery.add(key, ours=len(found), all_=len(entries))


def _buffer_seconds(account: Account) -> float:
    described = account.firehose.describe_delivery_stream(DeliveryStreamName=account.stream)
    destination = described["DeliveryStreamDescription"]["Destinations"][0]["ExtendedS3DestinationDescription"]
    return float(destination["BufferingHints"]["IntervalInSeconds"])
