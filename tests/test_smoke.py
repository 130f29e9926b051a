"""The smoke checks' way through everything that may come back; what a real account answers, only a real account shows.

The account here is in memory: a stream that delivers after its buffer time in one of several manners, a bucket, and a query
engine that reads the files. So what is tested is which finding follows from which answer, that waits end, and what is left.
"""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError, NoRegionError
from test_cli import accesslake, one_line

from etl.parse import parse
from etl.replay import Unfit, read_record
from etl.replay._documents import to_table
from etl.smoke import Account, Smoke, run_smoke
from etl.smoke._delivery import smoke_table

START = dt.datetime(2026, 11, 23, 23, 50, tzinfo=dt.UTC).timestamp()
"""Ten minutes before midnight: the rows arrive on the next day."""
OUTPUTS = {
    "LakeUri": "s3://lake/l/",
    "LogBucketName": "logs",
    "LogPrefix": "logs/",
    "DatabaseName": "accesslake",
    "WorkgroupName": "accesslake",
    "StreamName": "stream",
}


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "AKIAABCDEFGHIJKLMNOP may not"}}, "Call")


@dataclass
class World:
    """All services, and the time."""

    now: float = START
    objects: dict[tuple[str, str], tuple[bytes, float]] = field(default_factory=dict)
    pending: list[tuple[float, list[bytes]]] = field(default_factory=list)
    slept: float = 0
    # What it is like.
    delivers: bool = True
    takes: bool = True
    splits: bool = True
    record_fails_whole: bool = True
    spelling: str = "ErrorCode"
    int96: bool = True
    with_others: bool = False
    query_state: str = "SUCCEEDED"
    query_shift: int = 0
    unloads_to: str = ""
    unloaded_int96: bool = True
    unloaded_codec: str = "zstd"
    loses: int = 0
    forbidden: str = ""

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 60
        self.now += seconds
        self.slept += seconds
        for when, records in list(self.pending):
            if self.now >= when and self.delivers:
                self.pending.remove((when, records))
                self._deliver(records)

    def put(self, bucket: str, key: str, data: bytes) -> None:
        self.objects[bucket, key] = (data, self.now)

    def _deliver(self, records: list[bytes]) -> None:
        rows: list[dict[str, Any]] = []
        errors = []
        for record in records:
            items = list(read_record(record, position="x"))
            good = [item for item in items if not isinstance(item, Unfit)]
            bad = len(good) < len(items)
            if bad:
                errors.append({self.spelling: "X", "rawData": base64.b64encode(record).decode(), "attemptsMade": 1})
            if not (bad and self.record_fails_whole):
                rows += good if self.splits else good[:1]
        day = dt.datetime.fromtimestamp(self.now, dt.UTC).date().isoformat()
        table = to_table(rows).drop_columns(["event_date", "object_key"])
        if self.with_others:
            table = pa.concat_tables([table, smoke_table("s3://logs/other").drop_columns(["event_date", "object_key"])])
            errors.append({self.spelling: "X", "rawData": ""})
        file = io.BytesIO()
        pq.write_table(table, file, use_deprecated_int96_timestamps=self.int96)
        self.put("lake", f"l/raw/ingest_date={day}/stream-1-x.parquet", file.getvalue())
        if errors:
            lines = "".join(json.dumps(each) + "\n" for each in errors)
            self.put("lake", f"l/errors/format-conversion-failed/{day}/stream-1-y", lines.encode())


class Firehose:
    def __init__(self, world: World) -> None:
        self.world = world

    def describe_delivery_stream(self, DeliveryStreamName: str) -> Any:
        assert DeliveryStreamName == "stream"
        hints = {"BufferingHints": {"IntervalInSeconds": 900, "SizeInMBs": 128}}
        return {"DeliveryStreamDescription": {"Destinations": [{"ExtendedS3DestinationDescription": hints}]}}

    def put_record_batch(self, DeliveryStreamName: str, Records: list[dict[str, bytes]]) -> Any:
        if not self.world.takes:
            return {"FailedPutCount": 1, "RequestResponses": [{"ErrorCode": "ServiceUnavailableException"}]}
        self.world.pending.append((self.world.now + 900, [record["Data"] for record in Records]))
        return {"FailedPutCount": 0, "RequestResponses": [{"RecordId": "1"} for _ in Records]}


class S3:
    def __init__(self, world: World) -> None:
        self.world = world

    def get_paginator(self, _: str) -> S3:
        return self

    def paginate(self, Bucket: str, Prefix: str) -> Iterator[Any]:
        if self.world.forbidden == "list":
            raise refused("AccessDenied")
        for (bucket, key), (data, when) in sorted(self.world.objects.items()):
            if bucket == Bucket and key.startswith(Prefix):
                modified = dt.datetime.fromtimestamp(when, dt.UTC)
                yield {"Contents": [{"Key": key, "Size": len(data), "LastModified": modified}]}
        yield {}

    def get_object(self, Bucket: str, Key: str) -> Any:
        return {"Body": io.BytesIO(self.world.objects[Bucket, Key][0])}

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        if self.world.forbidden == "put":
            raise refused("AccessDenied")
        self.world.put(Bucket, Key, Body)

    def delete_object(self, Bucket: str, Key: str) -> None:
        if self.world.forbidden == "delete":
            raise refused("AccessDenied")
        self.world.objects.pop((Bucket, Key), None)


class Athena:
    def __init__(self, world: World) -> None:
        self.world = world
        self.polls = 0
        self.sql = ""

    def start_query_execution(self, QueryString: str, QueryExecutionContext: Any, WorkGroup: str) -> Any:
        assert (QueryExecutionContext, WorkGroup) == ({"Database": "accesslake"}, "accesslake")
        self.sql = QueryString
        self.statistics: dict[str, str] = {}
        if unload := re.fullmatch(r"UNLOAD \((.*)\) TO '(.*)' WITH \((.*)\)", QueryString):
            self._unload(*unload.groups())
        return {"QueryExecutionId": "q"}

    def _unload(self, sql: str, folder: str, options: str) -> None:
        assert options == "format='PARQUET', compression='ZSTD', partitioned_by=ARRAY['event_date']"
        days = dict.fromkeys(re.findall(r"ingest_date=([0-9-]{10})/", sql))
        assert f"ingest_date IN ({', '.join(map(repr, sorted(days)))})" in sql
        inputs = re.search(r"\"\$path\" IN \(([^)]*)\)", sql)
        assert inputs is not None
        names = ["bucket_name", "request_time", "source_key", "line_no"]
        tables = [
            pq.read_table(pa.BufferReader(self.world.objects["lake", key][0]), columns=names)
            for key in re.findall(r"'s3://lake/([^']*)'", inputs[1])
        ]
        table = pa.concat_tables([each.cast(smoke_table("x").select(names).schema) for each in tables])
        file = io.BytesIO()
        table = table.slice(self.world.loses)
        pq.write_table(
            table,
            file,
            use_deprecated_int96_timestamps=self.world.unloaded_int96,
            compression=self.world.unloaded_codec,
        )
        address = f"{self.world.unloads_to or folder}event_date=2024-05-02/2026_x"
        self.world.put("lake", address.removeprefix("s3://lake/"), file.getvalue())
        self.world.put("lake", "l/athena-results/q-manifest.csv", f"{address}\n".encode())
        self.world.put("lake", "l/athena-results/q.metadata", b"")
        self.statistics = {"DataManifestLocation": "s3://lake/l/athena-results/q-manifest.csv"}

    def get_query_execution(self, QueryExecutionId: str) -> Any:
        self.polls += 1
        state = self.world.query_state if self.polls > 2 else "RUNNING"
        status = {"State": state, "StateChangeReason": "it broke\nbadly"}
        return {"QueryExecution": {"Status": status, "Statistics": self.statistics}}

    def get_query_results(self, QueryExecutionId: str) -> Any:
        rows = []
        for (_, key), (data, _when) in self.world.objects.items():
            if "/raw/" in key and f"'{key.split('=')[1][:10]}'" in self.sql:
                for row in pq.read_table(pa.BufferReader(data)).to_pylist():
                    if f"'{row['source_key']}'" in self.sql:
                        time = row["request_time"] + dt.timedelta(seconds=self.world.query_shift)
                        rows.append([str(row["line_no"]), f"{time:%Y-%m-%d %H:%M:%S}"])
        cells = [[{"VarCharValue": cell} for cell in row] for row in [["line_no", "_col1"], *rows]]
        return {"ResultSet": {"Rows": [{"Data": row} for row in cells]}}


def run(world: World, **outputs: str) -> Smoke:
    given = {name: value for name, value in (OUTPUTS | outputs).items() if value}
    account = Account(S3(world), Firehose(world), Athena(world), given, clock=lambda: world.now, sleep=world.sleep)
    done = run_smoke(account)
    assert account.run not in " ".join(key for _, key in world.objects) or done.left
    return done


def outcomes(done: Smoke) -> dict[str, str]:
    names = [finding.name for finding in done.findings]
    assert len(set(names)) == len(names)
    return {finding.name: finding.outcome for finding in done.findings}


def found(done: Smoke, name: str) -> str:
    (text,) = [finding.found for finding in done.findings if finding.name == name]
    return text


WELL = {
    "documents ended by newlines": "as expected",
    "documents with nothing between": "as expected",
    "neighbours of a bad document": "as expected",
    "error object": "as expected",
    "times are INT96": "as expected",
    "dictionaries": "as expected",
    "INT96 beside INT64": "as expected",
    "row groups of Firehose": "as expected",
    "a new column's way to Firehose": "left out",
    "place of UNLOAD's files": "as expected",
    "rows of UNLOAD": "as expected",
    "Parquet of UNLOAD": "as expected",
    "size of log objects": "left out",
}


def test_all_is_as_expected_and_nothing_is_left() -> None:
    world = World()
    done = run(world)
    assert outcomes(done) == WELL
    assert done.ok
    assert done.left == ()
    assert world.objects == {}


def test_the_line_that_is_sent_is_one() -> None:
    assert parse(b"", source_key="-").table.schema == smoke_table("x").schema
    assert smoke_table("x").num_rows == 31


def test_what_became_of_the_neighbours_is_told() -> None:
    assert found(run(World()), "neighbours of a bad document") == "the whole record failed"
    assert found(run(World(record_fails_whole=False)), "neighbours of a bad document") == "only the bad one failed"


@pytest.mark.parametrize("spelling", ["ErrorCode", "lastErrorCode", "code"])
def test_the_spelling_of_error_objects_is_told(spelling: str) -> None:
    done = run(World(spelling=spelling))
    assert outcomes(done)["error object"] == ("unexpected" if spelling == "code" else "as expected")
    assert ("otherwise" if spelling == "code" else spelling) in found(done, "error object")
    assert "holds 3 documents" in found(done, "error object")


def test_a_stream_that_does_not_take_records_apart_is_found_out() -> None:
    done = run(World(splits=False))
    assert outcomes(done)["documents ended by newlines"] == "unexpected"
    assert found(done, "documents with nothing between") == "1 of 3 in one record became rows"
    assert not done.ok
    assert any("still on their way" in each for each in done.left)


def test_times_of_another_type_or_read_wrongly_are_found_out() -> None:
    assert outcomes(run(World(int96=False)))["times are INT96"] == "unexpected"
    assert outcomes(run(World(query_shift=3600)))["INT96 beside INT64"] == "unexpected"


@pytest.mark.parametrize(("state", "said"), [("FAILED", "it broke"), ("RUNNING", "took too long")])
def test_a_query_that_fails_or_never_ends(state: str, said: str) -> None:
    done = run(World(query_state=state))
    assert outcomes(done)["INT96 beside INT64"] == "failed"
    assert said in found(done, "INT96 beside INT64")
    assert "badly" not in found(done, "INT96 beside INT64")
    assert done.left == ()


def test_what_unload_writes_is_told() -> None:
    done = run(World())
    assert found(done, "Parquet of UNLOAD").startswith("times are INT96, statistics False; ZSTD; parquet-cpp")
    assert found(done, "rows of UNLOAD") == "8 of 8"
    assert "1 listed, 1 in the folder" in found(done, "place of UNLOAD's files")
    assert "s3://lake/l/athena-results/q-manifest.csv" in found(done, "place of UNLOAD's files")
    done = run(World(unloaded_int96=False))
    assert done.ok
    assert "INT64" in found(done, "Parquet of UNLOAD")


@pytest.mark.parametrize(
    ("world", "name"),
    [
        (World(unloaded_codec="gzip"), "Parquet of UNLOAD"),
        (World(loses=1), "rows of UNLOAD"),
        (World(unloads_to="s3://lake/l/athena-results/q/"), "place of UNLOAD's files"),
    ],
)
def test_an_unload_that_does_otherwise_is_found_out(world: World, name: str) -> None:
    done = run(world)
    assert [each for each, outcome in outcomes(done).items() if outcome == "unexpected"] == [name]


def test_an_unload_that_fails_leaves_nothing() -> None:
    world = World(query_state="FAILED")
    done = run(world, StreamName="")
    assert outcomes(done)["UNLOAD"] == "failed"
    assert not [key for _, key in world.objects if "athena-results" not in key]


def test_what_never_arrives_is_undecided_and_waited_for_no_longer_than_it_may_take() -> None:
    world = World(delivers=False)
    done = run(world)
    assert 1200 <= world.slept <= 1500
    assert [name for name, outcome in outcomes(done).items() if outcome == "undecided"] == [
        "documents ended by newlines",
        "documents with nothing between",
        "neighbours of a bad document",
        "error object",
        "Parquet of Firehose",
        "INT96 beside INT64",
    ]
    assert not done.ok
    assert any("still on their way" in each for each in done.left)


def test_a_stream_that_refuses() -> None:
    done = run(World(takes=False))
    assert outcomes(done)["delivery"] == "failed"
    assert "ServiceUnavailableException" in found(done, "delivery")
    assert len(done.findings) == 6


def test_files_that_hold_others_rows_are_not_deleted() -> None:
    world = World(with_others=True)
    done = run(world)
    assert done.ok
    assert len(done.left) == 2
    assert len(world.objects) == 2


def test_objects_that_were_there_before_are_not_touched() -> None:
    world = World()
    world.put("lake", "l/raw/ingest_date=2026-11-23/stream-0.parquet", b"not looked at")
    world.put("lake", "l/errors/x/stream-0", b"nor this")
    world.now += 3600
    done = run(world)
    assert outcomes(done)["row groups of Firehose"] == "as expected"
    assert len(world.objects) == 2


def test_sizes_of_log_objects() -> None:
    world = World()
    for number in range(100):
        world.put("logs", f"logs/{number}", b"x" * (number + 1))
    world.put("logs", "other/1", b"x" * 9999)
    done = run(world)
    assert found(done, "size of log objects") == (
        "100 objects: a tenth below 10 bytes, median 50, a tenth above 91, largest 100"
    )


def test_without_firehose_there_is_little_to_settle() -> None:
    world = World()
    done = run(world, StreamName="")
    assert outcomes(done)["delivery"] == "left out"
    assert done.ok
    assert found(done, "rows of UNLOAD") == "1 of 1", "of the row that we write ourselves"
    assert world.slept < 60
    assert world.objects == {}


@pytest.mark.parametrize("what", ["list", "put", "delete"])
def test_what_is_forbidden_is_a_finding_or_left_behind(what: str) -> None:
    done = run(World(forbidden=what))
    shown = " ".join([*(finding.found for finding in done.findings), *done.left])
    assert "AccessDenied" in shown
    assert "\n" not in shown
    assert done.ok is (what == "delete")


# --- The command line -------------------------------------------------------------------------------------------------


def test_the_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    from etl.cli import _smoke

    monkeypatch.setattr(_smoke, "smoke_stack", lambda stack: run(World(forbidden="put")))
    code, out, err = accesslake("smoke", "--stack", "logs")
    assert code == 1
    assert "as expected  documents ended by newlines: 3 of 3" in out
    assert "AKIAABCDEFGHIJKLMNOP" not in out + err
    code, out, _ = accesslake("smoke", "--stack", "logs", "--json")
    shown = json.loads(out)
    assert (code, shown["ok"]) == (1, False)
    assert {"name", "outcome", "found"} == set(shown["findings"][0])
    assert "AKIAABCDEFGHIJKLMNOP" not in out


def test_bad_arguments() -> None:
    code, _, err = accesslake("smoke")
    assert code == 2
    one_line(err)


class Session:
    """boto3's, of an account with one stack, which is another's."""

    error: Exception | None = None

    def client(self, name: str) -> Session:
        return self

    def describe_stacks(self, StackName: str) -> Any:
        if self.error:
            raise self.error
        return {"Stacks": [{"Outputs": [{"OutputKey": "LakeUri", "OutputValue": "s3://lake"}]}]}


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (None, 2, "has no output LogBucketName"),
        (refused("ValidationError"), 2, "no stack 'logs' here"),
        (refused("AccessDenied"), 1, "AccessDenied"),
        (NoRegionError(), 1, "region"),
    ],
)
def test_a_stack_that_is_none_of_ours(
    error: Exception | None, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session()
    session.error = error
    monkeypatch.setattr("boto3.Session", lambda: session)
    exit_code, out, err = accesslake("smoke", "--stack", "logs")
    assert (exit_code, out) == (code, "")
    assert said in err.splitlines()[-1]
    assert "AKIAABCDEFGHIJKLMNOP" not in err
