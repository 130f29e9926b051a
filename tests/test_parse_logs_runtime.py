"""The parser function under AWS's own runtime client, with a strict S3 server and our Firehose: every outcome as documented."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ACCESS_KEY, SECRET_KEY, S3Server
from firehose_conversion import read_documents
from firehose_server import serve_firehose
from firehose_stand_in import EVERY, THROTTLE, TIMEOUT, Answer, FirehoseStandIn, into_folder
from runtime_api import RuntimeApi, run_handler
from small_lakes import line, log_text, rows_of, text

from etl import parse
from etl.schema import JSON_KEYS, RAW_TABLE, glue_columns

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HANDLER = "etl.lambdas.parse_logs.handler"
LIMIT = 1 << 20
DESTINATION = {
    "Prefix": "lake/raw/ingest_date=!{timestamp:yyyy-MM-dd}/",
    "ErrorOutputPrefix": "lake/errors/!{firehose:error-output-type}/",
    "BufferingHints": {"SizeInMBs": 128, "IntervalInSeconds": 900},
    "DataFormatConversionConfiguration": {
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {"ColumnToJsonKeyMappings": JSON_KEYS}}}
    },
}


@dataclass(frozen=True)
class Function:
    """The running function, its buckets, and the stream it sends to."""

    api: RuntimeApi
    s3: S3Client
    logs: str
    lake: str
    firehose: FirehoseStandIn

    def put(self, key: str, data: bytes) -> dict[str, Any]:
        """Put a log object; its record in a notification."""
        self.s3.put_object(Bucket=self.logs, Key=key, Body=data)
        return self.record(key, len(data))

    def record(self, key: str, size: int, *, bucket: str = "") -> dict[str, Any]:
        """What S3 would tell of an object, whether it is there or not."""
        try:
            tag = self.s3.head_object(Bucket=self.logs, Key=key)["ETag"].strip('"')
        except self.s3.exceptions.ClientError:
            tag = "0" * 32
        return {
            "eventVersion": "2.1",
            "eventName": "ObjectCreated:Put",
            "eventTime": dt.datetime.now(dt.UTC).isoformat(),
            "s3": {
                "bucket": {"name": bucket or self.logs},
                "object": {"key": quote_plus(key), "size": size, "eTag": tag},
            },
        }

    def take(self, bodies: dict[str, Any], *, seconds: float = 120.0) -> set[str]:
        """Messages by id through the function; the ids of those that must come again."""
        event = {"Records": [{"messageId": name, "body": json.dumps(body)} for name, body in bodies.items()]}
        result = self.api.invoke(event, seconds=seconds)
        assert result.kind == "response", result
        return {each["itemIdentifier"] for each in result.body["batchItemFailures"]}

    def metrics(self) -> dict[str, Any]:
        """What the last batch said of itself."""
        found = [json.loads(line) for line in self.api.output().splitlines() if line.startswith('{"_aws"')]
        last: dict[str, Any] = found[-1]
        return last

    def said(self) -> list[dict[str, Any]]:
        """All that was printed but the metrics: every line must be JSON."""
        lines = [json.loads(line) for line in self.api.output().splitlines()]
        return [line for line in lines if "_aws" not in line]

    def in_lake(self, prefix: str) -> list[bytes]:
        found = self.s3.list_objects_v2(Bucket=self.lake, Prefix=prefix).get("Contents", [])
        return [self.s3.get_object(Bucket=self.lake, Key=each["Key"])["Body"].read() for each in found]

    def delivered(self) -> Counter[tuple[str, int]]:
        """Source key and line number of what Firehose has, as often as it has it."""
        rows = (document for record in self.firehose.taken for document in read_documents(record))
        return Counter((row[JSON_KEYS["source_key"]], row[JSON_KEYS["line_no"]]) for row in rows)


Run = Callable[..., Any]


@pytest.fixture
def run(s3: S3Client, s3_server: S3Server, new_bucket: Callable[[], str], tmp_path: Path) -> Run:
    """Starts the function with a script for Firehose, and settings of its environment."""

    @contextmanager
    def start(script: Iterable[Answer] = (), **settings: str) -> Iterator[Function]:
        firehose = FirehoseStandIn(
            *("logs", DESTINATION, glue_columns(RAW_TABLE), into_folder(tmp_path / "delivered")),
            lambda: dt.datetime.now(dt.UTC),
            script=script,
        )
        logs, lake = new_bucket(), new_bucket()
        with serve_firehose(firehose) as endpoint:
            environment = {
                "AWS_ENDPOINT_URL_S3": s3_server.endpoint,
                "AWS_ENDPOINT_URL_FIREHOSE": endpoint,
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "ACCESSLAKE_LAKE": f"s3://{lake}/lake",
                "ACCESSLAKE_LOG_BUCKETS": f"another,{logs}",
                "ACCESSLAKE_SINK": "firehose",
                "ACCESSLAKE_STREAM": "logs",
                "ACCESSLAKE_MAX_OBJECT_BYTES": str(LIMIT),
                "PYTHONPATH": str(Path(__file__).parents[1]),
                "PYTHONWARNINGS": "error",
            }
            with run_handler(HANDLER, folder=tmp_path, environment=environment | settings) as api:
                yield Function(api, s3, logs, lake, firehose)

    return start


def lines_of(function: Function, key: str, count: int) -> set[tuple[str, int]]:
    return {(f"s3://{function.logs}/{key}", line_no) for line_no in range(1, count + 1)}


def test_every_outcome_beside_all_others(run: Run) -> None:
    """One batch: what is wrong fails alone, and what is right is done."""
    good = log_text(30, seed="good")
    with run() as function:
        expected_done: dict[str, Any] = {
            "good": {"Records": [function.put("logs/a b+ü%41.log", good)]},
            "gzip": {"Records": [function.put("logs/packed", gzip.compress(good))]},
            "lines": {"Records": [function.put("bad lines", text(b"no log line", b"\xff\x00") + log_text(2))]},
            "empty": {"Records": [function.put("empty", b"")]},
            "gone": {"Records": [function.record("gone", 10)]},
            "test": {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": function.logs},
            "removal": {"Records": [function.record("gone", 10) | {"eventName": "ObjectRemoved:Delete"}]},
        }
        damaged = bytearray(gzip.compress(good))
        damaged[-20:-10] = bytes(10)
        expected_failed: dict[str, Any] = {
            "foreign": {"Records": [function.record("x", 10, bucket="foreign")]},
            "large": {"Records": [function.record("huge", 5 << 30)]},
            "bomb": {"Records": [function.put("bomb", gzip.compress(text(line()) * 60_000))]},
            "noise": {"Records": [function.put("noise", bytes(range(256)) * 100)]},
            "damaged": {"Records": [function.put("damaged", bytes(damaged))]},
            "nonsense": {"hello": "world"},
            "pair": {"Records": [function.put("one of two", good), function.record("y", 1, bucket="foreign")]},
        }
        assert function.take(expected_done | expected_failed) == set(expected_failed)

        delivered = function.delivered()
        assert set(delivered.values()) == {1}
        wanted = set().union(
            *(lines_of(function, key, 30) for key in ("logs/a b+ü%41.log", "logs/packed", "one of two")),
            {(f"s3://{function.logs}/bad lines", line_no) for line_no in (3, 4)},
        )
        # Rows of what turned out bad later on may be there: its message failed.
        assert {row for row in delivered if row[0].rsplit("/")[-1] not in ("bomb", "damaged")} == wanted

        metrics = function.metrics()
        assert {name: metrics[name] for name in metrics if name.startswith(("Messages", "Objects"))} == {
            "Messages": 14,
            "MessagesFailed": 7,
            "Objects": 12,
            "ObjectsFailed": 0,
            "ObjectsMissing": 1,
            "ObjectsForeign": 2,
            "ObjectsTooLarge": 2,
            "ObjectsNotLogs": 2,
        }
        assert metrics["LinesQuarantined"] == 2
        assert metrics["Documents"] == delivered.total()
        (quarantine,) = function.in_lake("lake/quarantine/")
        assert pq.read_table(pa.BufferReader(quarantine))["raw_line"].to_pylist() == [b"no log line", b"\xff\x00"]
        assert not function.in_lake("lake/raw/")


def test_what_firehose_refuses_is_sent_again_until_it_is_taken(run: Run) -> None:
    # The first call is broken off after it was taken: its rows come twice, and none is lost.
    script = [Answer((), TIMEOUT), THROTTLE, Answer({0}), Answer({1, 2})]
    data = log_text(2000, seed="x")
    with run(script) as function:
        assert function.take({"m": {"Records": [function.put("a", data)]}}) == set()
        assert set(function.delivered()) == lines_of(function, "a", 2000)
        assert function.metrics()["RecordsRetried"] > 0
        assert not function.firehose.violations


def test_rows_that_firehose_refuses_fail_their_messages_until_they_are_taken(run: Run) -> None:
    with run([Answer(EVERY, "AccessDeniedException")]) as function:
        messages = {name: {"Records": [function.put(name, log_text(3, seed=name))]} for name in ("m1", "m2")}
        messages["m3"] = {"Records": [function.put("m3", b"bad\n")]}
        assert function.take(messages) == {"m1", "m2"}
        assert function.metrics()["ObjectsFailed"] == 2
        assert any("AccessDeniedException" in line["reason"] for line in function.said())
        assert function.take(messages) == set()
        assert set(function.delivered()) == lines_of(function, "m1", 3) | lines_of(function, "m2", 3)
        assert len(function.in_lake("lake/quarantine/")) == 1


def test_without_time_messages_come_again_and_nothing_is_sent(run: Run) -> None:
    with run() as function:
        assert function.take({"m": {"Records": [function.put("a", log_text(3))]}}, seconds=20) == {"m"}
        assert not function.firehose.calls


def test_the_direct_sink_writes_the_rows_themselves(run: Run) -> None:
    data = log_text(30, seed="direct", bad_every=10)
    with run(ACCESSLAKE_SINK="parquet") as function:
        message = {"m": {"Records": [function.put("a", data)]}}
        for _ in range(2):  # a message that comes again changes nothing
            assert function.take(message) == set()
            (rows,) = function.in_lake("lake/raw/")
            (quarantine,) = function.in_lake("lake/quarantine/")
        parsed = parse(data, source_key=f"s3://{function.logs}/a")
        assert rows_of(pq.read_table(pa.BufferReader(rows))) == rows_of(parsed.table)
        assert pq.read_table(pa.BufferReader(quarantine)).equals(parsed.quarantine)
        assert not function.firehose.calls


def test_a_hostile_name_cannot_leave_its_line_of_the_log(run: Run) -> None:
    with run() as function:
        key = 'x\n{"_aws": {}}\x1b[31m'
        record = function.record("x", 10, bucket="foreign")
        record["s3"]["object"]["key"] = quote_plus(key)
        assert function.take({"m": {"Records": [record]}}) == {"m"}
        assert all("\x1b" not in line for line in function.api.output().splitlines())
        assert any(key.splitlines()[0] in line["reason"] for line in function.said())
        assert function.metrics()["ObjectsForeign"] == 1


def test_a_setting_that_is_missing_is_named(run: Run) -> None:
    with run(ACCESSLAKE_STREAM="") as function:
        result = function.api.invoke({"Records": []})
    assert result.kind == "error"
    assert "ACCESSLAKE_STREAM: is not set" in result.body["errorMessage"]
