"""The Firehose of the tests refuses what AWS refuses, waits as AWS waits, and converts no more than AWS says it does."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from firehose_stand_in import (
    EVERY,
    THROTTLE,
    TIMEOUT,
    Answer,
    FirehoseStandIn,
    client_error,
    evaluate_prefix,
    into_folder,
)

START = dt.datetime(2026, 7, 1, 23, 50, tzinfo=dt.UTC)
COLUMNS = (
    {"Name": "who", "Type": "string", "Comment": ""},
    {"Name": "status", "Type": "int", "Comment": ""},
    {"Name": "size", "Type": "bigint", "Comment": ""},
    {"Name": "time", "Type": "timestamp", "Comment": ""},
)
DESTINATION = {
    "Prefix": "lake/raw/ingest_date=!{timestamp:yyyy-MM-dd}/",
    "ErrorOutputPrefix": "lake/errors/!{firehose:error-output-type}/!{timestamp:yyyy-MM-dd}/",
    "BufferingHints": {"SizeInMBs": 64, "IntervalInSeconds": 900},
    "CompressionFormat": "UNCOMPRESSED",
    "DataFormatConversionConfiguration": {
        "Enabled": True,
        "InputFormatConfiguration": {
            "Deserializer": {"OpenXJsonSerDe": {"ColumnToJsonKeyMappings": {"who": "w", "time": "t"}}}
        },
        "SchemaConfiguration": {"DatabaseName": "db", "TableName": "tb", "Region": "eu-west-1", "VersionId": "LATEST"},
    },
}
GOOD = b'{"w":"a"}'


class Stream:
    """A stand-in with its clock and what it delivered."""

    def __init__(self, *, destination: Mapping[str, Any] = DESTINATION, **settings: Any) -> None:
        self.now = START
        self.delivered: dict[str, bytes] = {}
        self.stand_in = FirehoseStandIn(
            "logs", destination, COLUMNS, self.delivered.__setitem__, lambda: self.now, **settings
        )

    def put(self, *records: bytes, stream: str = "logs") -> dict[str, Any]:
        return self.stand_in.put_record_batch(DeliveryStreamName=stream, Records=[{"Data": each} for each in records])

    def convert(self, *records: bytes) -> tuple[list[tuple[Any, ...]], list[dict[str, Any]]]:
        """The rows and the error objects of these records."""
        self.put(*records)
        self.stand_in.flush()
        rows: list[tuple[Any, ...]] = []
        errors: list[dict[str, Any]] = []
        for key, data in self.delivered.items():
            if key.startswith("lake/raw/"):
                rows += [tuple(row.values()) for row in read(data).to_pylist()]
            else:
                errors += map(json.loads, data.splitlines())
        return rows, errors


def read(data: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(data), coerce_int96_timestamp_unit="ms")


# --- Conversion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "rows"),
    [
        (b'{"w":"a","status":1,"size":2,"t":"2026-07-01 02:03:04"}', [("a", 1, 2, dt.datetime(2026, 7, 1, 2, 3, 4))]),
        (b'{"w":"a"}{"w":"b"}', [("a", None, None, None), ("b", None, None, None)]),
        (b'{"w":"a"}\n{"w":null}\n', [("a", None, None, None), (None, None, None, None)]),
        (b'{"W":"a","STATUS":"7","Size":"-8"}', [("a", 7, -8, None)]),
        (b'{"who":"not by the name of the column","other":1}', [(None, None, None, None)]),
        (b'{"w":{"A":[1,"B"]}}', [('{"a":[1,"B"]}', None, None, None)]),
        (b'{"w":7}', [("7", None, None, None)]),
        (b'{"w":"","t":"2026-7-1 2:3:4.5"}', [("", None, None, dt.datetime(2026, 7, 1, 2, 3, 4, 500_000))]),
        (b'{"t":"2026-07-01T02:03:04.25Z"}', [(None, None, None, dt.datetime(2026, 7, 1, 2, 3, 4, 250_000))]),
        (b'{"t":1782871384}', [(None, None, None, dt.datetime(2026, 7, 1, 2, 3, 4))]),
        (b'{"t":"1782871384000"}', [(None, None, None, dt.datetime(2026, 7, 1, 2, 3, 4))]),
        (b'{"t":"9999-12-31 23:59:59"}', [(None, None, None, dt.datetime(9999, 12, 31, 23, 59, 59))]),
        (b"{}", [(None, None, None, None)]),
    ],
)
def test_documents_become_rows(record: bytes, rows: list[tuple[Any, ...]]) -> None:
    assert Stream().convert(record) == (rows, [])


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (b"", "MalformedData"),
        (b" \n", "MalformedData"),
        (b"7", "MalformedData"),
        (b'[{"w":"a"}]', "MalformedData"),
        (b'{"status":"x"}', "MalformedData"),
        (b'{"status":1.5}', "MalformedData"),
        (b'{"status":true}', "MalformedData"),
        (b'{"status":2147483648}', "MalformedData"),
        (b'{"size":9223372036854775808}', "MalformedData"),
        (b'{"t":"2026-07-01T02:03:04+00:00"}', "MalformedData"),
        (b'{"t":"2026-02-30 00:00:00"}', "MalformedData"),
        (b'{"w":"a"} trailing', "ParseError"),
        (b'{"w":"a"}{"w":', "ParseError"),
        (b'{"w":"a\nb"}', "ParseError"),
        (b'{"w":NaN}', "ParseError"),
        (b'{"w":"a","W":"b"}', "ParseError"),
        (b'{"w":"\xff"}', "ParseError"),
    ],
)
def test_what_cannot_be_converted_is_an_error_object_and_its_neighbours_are_rows(record: bytes, code: str) -> None:
    rows, errors = Stream().convert(GOOD, record, GOOD)
    assert rows == [("a", None, None, None)] * 2
    assert [error["ErrorCode"] for error in errors] == [f"DataFormatConversion.{code}"]
    assert base64.b64decode(errors[0]["rawData"]) == record


def test_times_are_int96() -> None:
    stream = Stream()
    stream.convert(b'{"t":"2026-07-01 02:03:04"}')
    schema = pq.read_metadata(io.BytesIO(next(iter(stream.delivered.values())))).schema
    assert [schema.column(number).physical_type for number in range(4)] == ["BYTE_ARRAY", "INT32", "INT64", "INT96"]


@pytest.mark.parametrize("prefix", ["Error", "lastError"])
def test_error_objects_have_the_fields_that_aws_names(prefix: str) -> None:
    stream = Stream(error_fields=(f"{prefix}Code", f"{prefix}Message"))
    stream.put(b"x")
    stream.now += dt.timedelta(seconds=900)
    _, (error,) = stream.convert(GOOD)
    assert set(error) == {
        *("attemptsMade", "arrivalTimestamp", f"{prefix}Code", f"{prefix}Message", "attemptEndingTimestamp"),
        *("rawData", "sequenceNumber", "subSequenceNumber", "dataCatalogTable"),
    }
    assert error["attemptEndingTimestamp"] - error["arrivalTimestamp"] == 900_000
    assert error["arrivalTimestamp"] == START.timestamp() * 1000
    assert error["dataCatalogTable"]["tableName"] == "tb"


# --- Buffering --------------------------------------------------------------------------------------------------------


def test_records_wait_until_the_oldest_is_old_enough() -> None:
    stream = Stream()
    stream.put(GOOD)
    stream.now += dt.timedelta(seconds=899)
    stream.put(GOOD)
    stream.stand_in.tick()
    assert not stream.delivered
    stream.now += dt.timedelta(seconds=1)
    stream.stand_in.tick()
    (data,) = stream.delivered.values()
    assert read(data).num_rows == 2


def test_records_wait_until_the_buffer_is_full() -> None:
    stream = Stream(bytes_per_mb=1000)
    record = b'{"w":"%s"}' % (b"x" * 15_991)
    assert len(record) == 15_999
    stream.put(*[record] * 4)
    assert not stream.delivered
    stream.put(b"{}  ")
    stream.put(GOOD)
    (data,) = stream.delivered.values()
    assert read(data).num_rows == 5


def test_the_folder_is_that_of_the_oldest_records_arrival(tmp_path: Path) -> None:
    """A record of the next day lies in the folder of the day before, with the one that waited for it."""
    stream = Stream()
    stream.stand_in.put = into_folder(tmp_path)
    stream.put(GOOD, b"x")
    stream.now += dt.timedelta(minutes=12)
    stream.put(GOOD)
    stream.stand_in.flush()
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    patterns = [
        "lake/errors/format-conversion-failed/2026-07-01/logs-1-2026-07-01-23-50-00-[0-9a-f-]{36}",
        r"lake/raw/ingest_date=2026-07-01/logs-1-2026-07-01-23-50-00-[0-9a-f-]{36}\.parquet",
    ]
    assert [bool(re.fullmatch(*pair)) for pair in zip(patterns, names, strict=True)] == [True, True]


@pytest.mark.parametrize(
    ("prefix", "folder"),
    [
        ("a/!{timestamp:yyyy-MM-dd}/!{timestamp:HHmmss}/", "a/2026-07-01/235000/"),
        ("!{timestamp:'day='dd}/", "day=01/"),
        ("a/", "a/2026/07/01/23/"),
        ("a", "a2026/07/01/23/"),
        ("e/!{firehose:error-output-type}/!{timestamp:yyyy}/", "e/format-conversion-failed/2026/"),
    ],
)
def test_prefixes(prefix: str, folder: str) -> None:
    assert evaluate_prefix(prefix, START.astimezone(dt.timezone(dt.timedelta(hours=5)))) == folder


@pytest.mark.parametrize(
    "change",
    [
        {"BufferingHints": {"SizeInMBs": 63, "IntervalInSeconds": 900}},
        {"BufferingHints": {"SizeInMBs": 129, "IntervalInSeconds": 900}},
        {"BufferingHints": {"SizeInMBs": 128, "IntervalInSeconds": 901}},
        {"CompressionFormat": "GZIP"},
        {"ErrorOutputPrefix": ""},
        {"ErrorOutputPrefix": "errors/!{timestamp:yyyy}/"},
        {"Prefix": "raw/!{firehose:error-output-type}/"},
    ],
)
def test_a_destination_that_aws_refuses_is_refused(change: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError):
        Stream(destination={**DESTINATION, **change})


# --- Answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "code"),
    [
        ([GOOD] * 501, "ValidationException"),
        ([b"x" * 1_024_001], "ValidationException"),
        ([b"x" * 1_024_000] * 4 + [b"x" * 98_305], "InvalidArgumentException"),
        ([], "ValidationException"),
    ],
)
def test_a_call_against_the_limits_is_refused_whole(records: list[bytes], code: str) -> None:
    stream = Stream()
    with pytest.raises(ClientError) as caught:
        stream.put(*records)
    assert caught.value.response["Error"]["Code"] == code
    assert len(stream.stand_in.violations) == 1
    assert not stream.stand_in.taken


@pytest.mark.parametrize("records", [[GOOD] * 500, [b"x" * 1_024_000] * 4 + [b"x" * 98_304]])
def test_a_call_at_the_limits_is_taken(records: list[bytes]) -> None:
    stream = Stream()
    assert stream.put(*records)["FailedPutCount"] == 0
    assert stream.stand_in.taken == records


def test_another_stream_does_not_exist() -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        Stream().put(GOOD, stream="other")


def test_refused_records_have_an_error_each_in_their_place() -> None:
    stream = Stream(script=[Answer({0, 2})])
    answer = stream.put(b"a", b"b", b"c")
    assert answer["FailedPutCount"] == 2
    assert ["RecordId" in entry for entry in answer["RequestResponses"]] == [False, True, False]
    assert {entry.get("ErrorCode") for entry in answer["RequestResponses"]} == {"InternalFailure", None}
    assert stream.stand_in.taken == [b"b"]
    assert stream.put(b"d")["FailedPutCount"] == 0


@pytest.mark.parametrize(
    ("answer", "error", "taken"),
    [
        (THROTTLE, ClientError, []),
        (Answer((), TIMEOUT), ReadTimeoutError, [b"a", b"b"]),
        (Answer(EVERY, TIMEOUT), ReadTimeoutError, []),
        (Answer({0}, TIMEOUT), ReadTimeoutError, [b"b"]),
        (Answer({1}, "InternalFailure"), ClientError, [b"a"]),
    ],
)
def test_an_error_says_nothing_of_what_was_taken(answer: Answer, error: type[Exception], taken: list[bytes]) -> None:
    stream = Stream(script=[answer])
    with pytest.raises(error):
        stream.put(b"a", b"b")
    assert stream.stand_in.taken == taken


def test_throttling_is_an_error_of_the_service() -> None:
    response = client_error("ServiceUnavailableException", "Slow down.").response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 503
