"""The parser function, called as Lambda calls it, with S3 beside it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
from line_shapes import plain_lines
from moto import mock_aws
from test_arrivals import s3_record, sqs_event

from etl.errors import BadParameter
from etl.lambdas import parse_logs
from etl.parse import parse
from etl.schema import JSON_KEYS, SCHEMA

LINES = b"\n".join(plain_lines(300, seed=3)) + b"\n"
NOISE = bytes(range(256)) * 100


@dataclass
class Context:
    """What Lambda hands to a handler."""

    function_name: str = "accesslake-parser"
    milliseconds: int = 300_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@dataclass
class Firehose:
    """Keeps every record; refuses all if it is told to."""

    records: list[bytes] = field(default_factory=list)
    refuse: bool = False

    def put_record_batch(self, **arguments: Any) -> Any:
        assert arguments["DeliveryStreamName"] == "stream"
        if self.refuse:
            return {"RequestResponses": [{"ErrorCode": "ServiceUnavailableException"} for _ in arguments["Records"]]}
        self.records += [record["Data"] for record in arguments["Records"]]
        return {"RequestResponses": [{"RecordId": "r"} for _ in arguments["Records"]]}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "ACCESSLAKE_LAKE": "s3://the-lake/prefix",
        "ACCESSLAKE_LOG_BUCKETS": "the-logs,more-logs",
        "ACCESSLAKE_STREAM": "stream",
    }.items():
        monkeypatch.setenv(name, value)
    from etl.sources import _s3

    with mock_aws():
        client = boto3.client("s3")
        for bucket in ("the-lake", "the-logs"):
            client.create_bucket(Bucket=bucket)
        _s3._client.cache_clear()
        parse_logs._store.cache_clear()
        yield client
        _s3._client.cache_clear()
        parse_logs._store.cache_clear()


@pytest.fixture
def firehose(monkeypatch: pytest.MonkeyPatch) -> Firehose:
    stand_in = Firehose()
    monkeypatch.setattr(parse_logs, "_firehose", lambda: stand_in)
    return stand_in


def put(s3: Any, key: str, body: bytes) -> dict[str, Any]:
    """Put a log object; the record that announces it."""
    etag = s3.put_object(Bucket="the-logs", Key=key, Body=body)["ETag"].strip('"')
    record = s3_record(key.replace(" ", "+"), bucket="the-logs", size=len(body))
    record["s3"]["object"]["eTag"] = etag
    return record


def stored(s3: Any, prefix: str) -> dict[str, bytes]:
    """The lake's objects under a prefix."""
    listed = s3.list_objects_v2(Bucket="the-lake", Prefix=f"prefix/{prefix}").get("Contents", [])
    return {o["Key"]: s3.get_object(Bucket="the-lake", Key=o["Key"])["Body"].read() for o in listed}


def call(event: dict[str, Any], capsys: pytest.CaptureFixture[str], context: Context | None = None) -> tuple[Any, ...]:
    """The ids of the messages that failed, the metrics, and what was logged beside them."""
    answer = parse_logs.handler(event, context or Context())
    *said, metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {item["itemIdentifier"] for item in answer["batchItemFailures"]}, metrics, said


def test_a_batch_through_firehose(
    s3: Any, firehose: Firehose, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    event = sqs_event(
        {"Records": [put(s3, "a b.log", LINES), put(s3, "c.gz", gzip.compress(LINES + b"no log line\n"))]},
        {"Records": [put(s3, "noise", NOISE)]},
        {"Event": "s3:TestEvent"},
    )
    failed, metrics, said = call(event, capsys)
    assert failed == {"m1"}
    assert [line["what"] for line in said] == ["not a log", "message failed"]
    documents = [json.loads(line) for record in firehose.records for line in record.splitlines()]
    keys = [(document[JSON_KEYS["source_key"]], document[JSON_KEYS["line_no"]]) for document in documents]
    assert sorted(keys) == [(f"s3://the-logs/{key}", n) for key in ("a b.log", "c.gz") for n in range(1, 301)]
    assert (metrics["Lines"], metrics["LinesQuarantined"], metrics["Documents"]) == (601, 1, 600)
    assert (metrics["Records"], metrics["BytesSent"]) == (len(firehose.records), sum(map(len, firehose.records)))
    (quarantined,) = stored(s3, "quarantine/").values()
    (tmp_path / "q.parquet").write_bytes(quarantined)
    assert pq.read_table(tmp_path / "q.parquet").to_pylist()[0]["raw_line"] == b"no log line"
    assert not stored(s3, "raw/")


def test_what_firehose_refuses_fails_every_message_that_has_rows_in_it(
    s3: Any, firehose: Firehose, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    firehose.refuse = True
    context = Context(milliseconds=19_000)
    event = sqs_event({"Records": [put(s3, "a", LINES)]}, {"Records": [put(s3, "gone", LINES)]})
    s3.delete_object(Bucket="the-logs", Key="gone")
    monkeypatch.setattr("etl.arrivals._take._RESERVE_SECONDS", 1.0)
    failed, metrics, said = call(event, capsys, context)
    assert failed == {"m0"}
    assert (metrics["MessagesFailed"], metrics["ObjectsFailed"], metrics["ObjectsMissing"]) == (1, 1, 1)
    assert "no time was left" in said[-1]["reason"]


def test_a_batch_straight_to_parquet_twice(
    s3: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A message that comes again replaces its rows by their equals."""
    monkeypatch.setenv("ACCESSLAKE_SINK", "parquet")
    event = sqs_event({"Records": [put(s3, "a", LINES)]}, {"Records": [put(s3, "noise", NOISE)]})
    assert call(event, capsys)[0] == {"m1"}
    before = stored(s3, "raw/")
    failed, metrics, _ = call(event, capsys)
    assert failed == {"m1"}
    assert metrics["Documents"] == 0
    assert stored(s3, "raw/") == before
    (content,) = before.values()
    (tmp_path / "rows.parquet").write_bytes(content)
    rows = pq.read_table(tmp_path / "rows.parquet", schema=SCHEMA)
    assert rows.equals(parse(LINES, source_key="s3://the-logs/a").table)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ACCESSLAKE_LAKE", "", "is not set"),
        ("ACCESSLAKE_STREAM", "", "is not set"),
        ("ACCESSLAKE_LOG_BUCKETS", "", "is not set"),
        ("ACCESSLAKE_SINK", "kinesis", "neither"),
    ],
)
def test_a_setting_that_is_wrong_is_named(
    s3: Any, firehose: Firehose, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadParameter, match=f"{name}.*{said}"):
        parse_logs.handler(sqs_event(), Context())


def test_a_log_line_cannot_forge_a_line_of_the_log(
    s3: Any, firehose: Firehose, capsys: pytest.CaptureFixture[str]
) -> None:
    key = 'a\n{"level": "INFO"}?X-Amz-Signature=0123456789abcdef'
    failed, _, said = call(sqs_event({"Records": [put(s3, key, NOISE)]}), capsys)
    assert failed == set() or len(said) == 2
    assert all(line["level"] == "ERROR" for line in said)
    assert all("0123456789abcdef" not in line["reason"] for line in said)
