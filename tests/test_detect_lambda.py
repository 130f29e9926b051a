"""The detector function, called as Lambda calls it, with an S3 server beside it: findings once, lines at least once."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.client import BaseClient
from conftest import ACCESS_KEY, SECRET_KEY, S3Server
from detect_rows import SECRET, make_rows
from runtime_api import run_handler
from small_lakes import Crashed
from template_values import Deployment, as_list, read_template, role_statements
from test_arrivals import s3_record, sqs_event
from test_parse_logs import Context

from etl.detect import FINDINGS_SCHEMA, detect, read_findings, write_findings
from etl.errors import BadParameter, LakeUnusable
from etl.lake import create_lake, open_lake
from etl.lambdas import detect as function
from etl.lambdas._detection_metrics import DETECTION_UNITS, without_zeros
from etl.schema import SCHEMA

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HIT = {"signature_version": "SigV2"}
UNDECIDABLE = {"parse_status": "ambiguous", "raw_line": b'o b "GET / HTTP/1.1" 200 "-" "a" - h SigV2 - "'}
Call = Callable[..., tuple[set[str], list[dict[str, Any]], dict[str, int]]]


class World:
    """A lake in a bucket, its raw files, and the messages that announce them."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self.s3, self.bucket, self.uri = s3, bucket, f"s3://{bucket}/lake"
        create_lake(self.uri)

    def put(self, name: str, *rows: dict[str, Any], source_key: str = "") -> dict[str, Any]:
        """Put a raw file; the notification of it."""
        table = pa.Table.from_pylist(make_rows(*rows, source_key=source_key or f"s3://logs/{name}"), SCHEMA)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        return self.put_bytes(f"raw/ingest_date=2024-05-02/{name}.parquet", sink.getvalue().to_pybytes())

    def put_bytes(self, key: str, data: bytes) -> dict[str, Any]:
        self.s3.put_object(Bucket=self.bucket, Key=f"lake/{key}", Body=data)
        return self.tell(key, len(data))

    def tell(self, key: str, size: int = 100) -> dict[str, Any]:
        return {"Records": [s3_record(f"lake/{key}".replace("=", "%3D"), bucket=self.bucket, size=size)]}

    def files(self) -> list[str]:
        """Keys of the files of findings."""
        return [stored.key for stored in open_lake(self.uri).store.list("findings/")]

    def findings(self) -> list[tuple[str, str, int]]:
        rows = read_findings(open_lake(self.uri)).to_pylist()
        return sorted((row["detection"], row["source_key"], row["line_no"]) for row in rows)


@pytest.fixture
def world(s3: S3Client, new_bucket: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(s3, new_bucket())
    monkeypatch.setenv("ACCESSLAKE_LAKE", made.uri)
    function._store.cache_clear()
    return made


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Ids of the messages that failed, all that was printed but metrics, and the sums of these."""

    def run(*bodies: object, milliseconds: int = 120_000) -> tuple[set[str], list[dict[str, Any]], dict[str, int]]:
        answer = function.handler(sqs_event(*bodies), Context("lake-detect", milliseconds))
        said, metrics = read_output(capsys.readouterr().out)
        return {item["itemIdentifier"] for item in answer["batchItemFailures"]}, said, metrics

    return run


def read_output(output: str) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Every line must be JSON."""
    said, metrics = [], dict[str, int]()
    for line in map(json.loads, output.splitlines()):
        if "_aws" not in line:
            said.append(line)
            continue
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert (directive["Namespace"], line["Function"]) == ("accesslake", "lake-detect")
        for each in directive["Metrics"]:
            assert each["Unit"] == DETECTION_UNITS[each["Name"]]
            metrics[each["Name"]] = metrics.get(each["Name"], 0) + line[each["Name"]]
    return said, metrics


def recipe_lines(said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that the saved queries count."""
    return [line for line in said if line.get("SignatureVersion") == "SigV2"]


def objects(said: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(line["level"], line["what"], line["object"].rsplit("/", 1)[-1]) for line in said if "object" in line]


# --- What is found ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "in ranges"])
def test_what_is_found_is_told_written_down_and_counted(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    if not whole:
        monkeypatch.setattr(function, "_READ_WHOLE", 0)
    uri = f"GET /k?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature={SECRET} HTTP/1.1"
    events = [
        world.put("a", HIT | {"request_uri": uri}, {}, UNDECIDABLE),
        world.put("b", {}, {}),
        world.put("c", HIT | {"remote_ip": "192.0.2.77"}),
    ]
    failed, said, metrics = call(*events)
    assert failed == set()
    assert [(line["RemoteIP"], line["Count"], line.get("Undecidable")) for line in said] == [
        ("192.0.2.3", 1, None),
        ("192.0.2.77", 1, None),
        (None, 1, True),
    ]
    assert SECRET not in json.dumps(said)
    rows = {"SigV2Requests": 2, "AmbiguousRows": 1, "UndecidableRows": 1}
    assert metrics == {"DetectedObjects": 3, "DetectedRows": 6} | rows
    assert world.findings() == [
        ("sigv2", "s3://logs/a", 1),
        ("sigv2", "s3://logs/c", 1),
        ("sigv2_undecidable", "s3://logs/a", 3),
    ]
    today = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    assert {key.split("/")[1] for key in world.files()} <= {f"detected_date={today}"}
    assert len(world.files()) == 2, "none for a file in which nothing is found"


def test_it_finds_what_the_command_finds_and_whoever_is_second_adds_nothing(world: World, call: Call) -> None:
    event = world.put("a", HIT, {}, UNDECIDABLE, HIT)
    call(event)
    before = world.files()
    found = detect(world.uri, detections=["sigv2", "sigv2_undecidable"])
    assert (found.new, world.files()) == (0, before)
    assert sorted(found.findings.to_pylist(), key=str) == sorted(
        read_findings(open_lake(world.uri)).to_pylist(), key=str
    )


def test_a_message_that_comes_again_tells_nothing_again(world: World, call: Call) -> None:
    event = world.put("a", HIT, HIT)
    assert len(recipe_lines(call(event, event)[1])) == 2, "one file, though two messages announce it"
    findings, files = world.findings(), world.files()
    failed, said, metrics = call(event)
    assert (failed, recipe_lines(said), metrics) == (set(), [], {"ObjectsKnown": 1})
    assert objects(said) == [("INFO", "detected before", "a.parquet")]
    assert "2 findings were written down before" in said[0]["reason"]
    assert (world.findings(), world.files()) == (findings, files)


def test_findings_of_yesterday_are_known_today(world: World, call: Call) -> None:
    event = world.put("a", HIT)
    call(event)
    (key,) = world.files()
    today = dt.datetime.now(dt.UTC)
    for days, told in (1, 0), (2, 1):
        moved = key.replace(f"{today:%Y-%m-%d}", f"{today - dt.timedelta(days=days):%Y-%m-%d}")
        store = open_lake(world.uri).store
        for old in world.files():
            data = store.read(old)
            store.delete(old)
        store.create(moved, data)
        assert len(recipe_lines(call(event)[1])) == told


@pytest.mark.parametrize("after", [False, True], ids=["before the file", "after the file"])
def test_a_crash_repeats_lines_rather_than_losing_them(
    world: World, call: Call, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    event = world.put("a", HIT)

    def crash(*arguments: Any) -> bool:
        if after:
            write_findings(*arguments)
        raise Crashed

    with monkeypatch.context() as patch:
        patch.setattr(function, "write_findings", crash)
        with pytest.raises(Crashed):
            function.handler(sqs_event(event), Context("lake-detect"))
    said, metrics = read_output(capsys.readouterr().out)
    assert (len(recipe_lines(said)), metrics["SigV2Requests"]) == (1, 1), "they are told before anything says so"
    assert len(world.files()) == after
    failed, said, metrics = call(event)
    assert (failed, len(recipe_lines(said)), metrics.get("SigV2Requests", 0)) == (set(), not after, not after)
    assert world.findings() == [("sigv2", "s3://logs/a", 1)]


def test_a_noisy_client_is_capped_over_the_whole_batch(world: World, call: Call) -> None:
    events = [world.put(name, *[HIT] * 30) for name in "abc"]
    _, said, metrics = call(*events)
    lines = recipe_lines(said)
    assert (len(lines), sum(line["Count"] for line in lines)) == (21, 90)
    assert metrics == {"DetectedObjects": 3, "DetectedRows": 90, "SigV2Requests": 90}, "zeros are not sent"


def test_many_findings_are_told_and_written_down_a_part_at_a_time(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function, "_TOLD_AT_ONCE", 4)
    monkeypatch.setattr(function, "_BUILT_AT_ONCE", 2)
    events = [world.put(name, *[HIT] * 3, UNDECIDABLE, UNDECIDABLE, UNDECIDABLE, {}) for name in "abc"]
    failed, said, metrics = call(*events)
    assert (failed, len(recipe_lines(said))) == (set(), 9)
    assert (metrics["DetectedObjects"], metrics["SigV2Requests"], metrics["UndecidableRows"]) == (3, 9, 9)
    assert len(world.findings()) == 18


# --- What is not looked at --------------------------------------------------------------------------------------------


def test_what_is_gone_is_done_and_what_is_damaged_fails_alone(world: World, call: Call) -> None:
    both = {"Records": world.put("b", HIT)["Records"] + world.put("c", HIT)["Records"]}
    events = [
        world.put("a", HIT),
        world.tell("raw/ingest_date=2024-05-02/gone.parquet"),
        world.put_bytes("raw/ingest_date=2024-05-02/noise.parquet", b"PAR1 not"),
        world.put_bytes("raw/ingest_date=2024-05-02/empty.parquet", b""),
        both,
        {"Event": "s3:TestEvent"},
        {"Records": [{"eventVersion": "9?X-Amz-Signature=0123456789abcdef"}]},
    ]
    failed, said, metrics = call(*events)
    assert failed == {"m2", "m3", "m6"}
    assert len(recipe_lines(said)) == 3
    assert objects(said) == [
        ("INFO", "missing", "gone.parquet"),
        ("ERROR", "not detected", "noise.parquet"),
        ("ERROR", "not detected", "empty.parquet"),
    ]
    assert [line["message"] for line in said if line.get("what") == "message failed"] == ["m6"]
    assert "0123456789abcdef" not in json.dumps(said)
    assert (metrics["ObjectsMissing"], metrics["ObjectsFailed"], metrics["DetectedObjects"]) == (1, 2, 3)


def test_a_large_file_that_is_gone_is_done_too(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function, "_READ_WHOLE", 0)
    failed, _, metrics = call(world.tell("raw/ingest_date=2024-05-02/gone.parquet"))
    assert (failed, metrics) == (set(), {"ObjectsMissing": 1})


@pytest.mark.parametrize(
    "key",
    [
        "findings/detected_date=2024-05-02/x.parquet",
        "compacted/event_date=2024-05-02/0000000001-0000.parquet",
        "raw/ingest_date=2024-05-02/x.json",
        "../raw/x.parquet",
    ],
)
def test_what_is_no_raw_file_of_the_lake_is_refused_unread(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr(function, "_detect", lambda *_: pytest.fail("it was read"))
    failed, said, metrics = call(world.tell(key))
    assert (failed, metrics) == (set(), {"ObjectsForeign": 1})
    assert [(line["level"], line["what"]) for line in said] == [("WARNING", "no raw file of the lake")]


def test_another_bucket_is_refused_unread(world: World, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function, "_detect", lambda *_: pytest.fail("it was read"))
    event = {"Records": [s3_record("lake/raw/ingest_date=2024-05-02/a.parquet", bucket=f"{world.bucket}-not")]}
    assert call(event)[2] == {"ObjectsForeign": 1}


def test_without_time_nothing_is_begun_and_all_comes_again(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function, "_detect", lambda *_: pytest.fail("it was begun"))
    failed, said, metrics = call(world.put("a", HIT), world.put("b"), milliseconds=39_000)
    assert (failed, metrics) == ({"m0", "m1"}, {"ObjectsFailed": 2})
    assert {line["reason"] for line in said} == {"no time was left to look at it"}


def test_what_would_not_fit_is_refused_and_says_what_to_do(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = world.put("a", HIT, HIT)
    monkeypatch.setenv("ACCESSLAKE_MAX_OBJECT_BYTES", "100")
    failed, said, _ = call(event)
    assert failed == {"m0"}
    assert "run accesslake detect" in said[0]["reason"]
    monkeypatch.delenv("ACCESSLAKE_MAX_OBJECT_BYTES")
    monkeypatch.setattr(function, "_MOST_FINDINGS", 1)
    failed, said, _ = call(event)
    assert failed == {"m0"}
    assert "2 findings are more than fit" in said[0]["reason"]
    assert "run accesslake detect" in said[0]["reason"]
    assert world.files() == []


def test_findings_that_cannot_be_written_down_fail_their_message_alone(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [world.put("a", HIT), world.put("b", HIT), world.put("c")]
    tries = iter([True, False])

    def refuse_first(*arguments: Any) -> bool:
        if next(tries):
            raise LakeUnusable("findings", "AccessDenied ?X-Amz-Signature=0123456789abcdef")
        return write_findings(*arguments)

    monkeypatch.setattr(function, "write_findings", refuse_first)
    failed, said, metrics = call(*events)
    assert (failed, metrics["ObjectsFailed"]) == ({"m0"}, 1)
    assert "0123456789abcdef" not in json.dumps(said)
    assert world.findings() == [("sigv2", "s3://logs/b", 1)]


def test_without_a_lake_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCESSLAKE_LAKE", raising=False)
    function._store.cache_clear()
    with pytest.raises(BadParameter, match="ACCESSLAKE_LAKE"):
        function.handler(sqs_event(), Context())


def test_zeros_are_not_sent() -> None:
    assert without_zeros({"DetectedObjects": 2, "SigV2Requests": 0}) == {"DetectedObjects": 2}


# --- What its role must allow, and AWS's own runtime ------------------------------------------------------------------

ACTIONS = {"GetObject": "s3:GetObject", "PutObject": "s3:PutObject", "ListObjectsV2": "s3:ListBucket"}


def test_the_role_allows_what_a_run_asks_of_s3_and_each_of_it_is_asked(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    event, asked = world.put("a", HIT), set[tuple[str, str]]()
    ask = BaseClient._make_api_call  # type: ignore[attr-defined]

    def record(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        key = arguments.get("Key")
        asked.add((ACTIONS[operation], f"arn:aws:s3:::{arguments['Bucket']}" + (f"/{key}" if key else "")))
        return ask(self, operation, arguments)

    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", record)
        call(event)
    deployment = Deployment(
        read_template(), {"LogBucketName": "logs", "LakeBucketName": world.bucket, "LakePrefix": "lake/"}
    )
    allowed = {
        (action, resource)
        for name, statement in role_statements(deployment)
        if name == "DetectorRole"
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
        if action.startswith("s3:")
    }
    pairs = {(each, one) for each in asked for one in allowed if each[0] == one[0] and fnmatchcase(each[1], one[1])}
    assert ({each for each, _ in pairs}, {one for _, one in pairs}) == (asked, allowed)


def test_it_runs_under_the_runtime_of_lambda(world: World, s3_server: S3Server, tmp_path: Path) -> None:
    environment = {
        "AWS_ENDPOINT_URL_S3": s3_server.endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "ACCESSLAKE_LAKE": world.uri,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "PYTHONWARNINGS": "error",
    }
    good, bad = world.put("a", HIT, {}), world.put_bytes("raw/ingest_date=2024-05-02/bad.parquet", b"PAR1")
    with run_handler("etl.lambdas.detect.handler", folder=tmp_path, environment=environment) as api:
        results = [api.invoke(sqs_event(good, bad)) for _ in range(2)]
        printed = [json.loads(line) for line in api.output().splitlines() if line.startswith("{")]
    assert [each.body for each in results] == [{"batchItemFailures": [{"itemIdentifier": "m1"}]}] * 2
    assert sum("SignatureVersion" in line for line in printed) == 1
    assert world.findings() == [("sigv2", "s3://logs/a", 1)]
    assert read_findings(open_lake(world.uri)).schema == FINDINGS_SCHEMA
