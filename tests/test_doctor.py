"""A stack that is as it must be passes; each thing that can drift, alone, fails one check that says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aws_account import aws_account
from doctor_stack import DEAD, PERMISSION, STACK, assert_one_fails, deployed, failing
from test_cli import accesslake, one_line

from etl.attach import merge_policy
from etl.doctor import Compactor, Deployed, Detector, Unreadable, examine


def test_a_stack_that_is_as_it_must_be_passes() -> None:
    checks = examine(deployed())
    assert [check for check in checks if not check.ok] == []
    assert len({check.name for check in checks}) == len(checks) == 43
    assert all(check.found == check.expected and not check.advice for check in checks)


def test_a_stack_without_firehose_passes_too() -> None:
    found = deployed()
    outputs = {name: value for name, value in STACK.outputs.items() if name != "StreamName"}
    variables = found.function["Environment"]["Variables"]  # type: ignore[index]
    variables["ACCESSLAKE_SINK"] = "parquet"
    del variables["ACCESSLAKE_STREAM"]
    assert failing(replace(found, stream=None, stack=replace(STACK, outputs=outputs))) == []


def extended(found: Any) -> Any:
    return found.stream["Destinations"][0]["ExtendedS3DestinationDescription"]


def conversion(found: Any) -> Any:
    return extended(found)["DataFormatConversionConfiguration"]


def mapping(found: Any) -> Any:
    return conversion(found)["InputFormatConfiguration"]["Deserializer"]["OpenXJsonSerDe"]["ColumnToJsonKeyMappings"]


def parquet(found: Any) -> Any:
    return conversion(found)["OutputFormatConfiguration"]["Serializer"]["ParquetSerDe"]


def remap(found: Any) -> None:
    serde = conversion(found)["InputFormatConfiguration"]["Deserializer"]["OpenXJsonSerDe"]
    serde["ColumnToJsonKeyMappings"] = {**mapping(found), "http_status": "st"}


def variables(found: Any) -> Any:
    return found.function["Environment"]["Variables"]


DRIFT: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("lake identity", "database is 'other'", lambda d: d.identity.update(database="other")),
    ("table access_logs_raw", "is missing", lambda d: d.tables.pop("accesslake.access_logs_raw")),
    (
        "table access_logs_raw",
        "column line_no is missing",
        lambda d: d.tables["accesslake.access_logs_raw"]["StorageDescriptor"]["Columns"].pop(),
    ),
    (
        "table access_logs_compacted",
        "projection.enabled is false",
        lambda d: d.tables["accesslake.access_logs_compacted"]["Parameters"].update({"projection.enabled": "false"}),
    ),
    (
        "table access_logs_findings",
        "location is s3://x/",
        lambda d: d.tables["accesslake.access_logs_findings"]["StorageDescriptor"].update(Location="s3://x/"),
    ),
    ("view access_logs_exact", "is missing", lambda d: d.tables.pop("accesslake.access_logs_exact")),
    (
        "view s3accesslog",
        "its text cannot be read",
        lambda d: d.tables["default.s3accesslog"].update(ViewOriginalText="SELECT 1"),
    ),
    (
        "view access_logs",
        "does not hold the lake's state",
        lambda d: d.tables["accesslake.access_logs"]["Parameters"].pop("accesslake.state"),
    ),
    (
        "view access_logs",
        "originalSql differs",
        lambda d: d.tables["accesslake.access_logs"]["Parameters"].update(
            {"accesslake.state": '{"batch": "0000000041", "raw_since": "2024-05-01"}'}
        ),
    ),
    ("stream conversion", "conversion is off", lambda d: conversion(d).update(Enabled=False)),
    ("stream conversion", "Compression is GZIP", lambda d: parquet(d).update(Compression="GZIP")),
    (
        "stream conversion",
        "EnableDictionaryCompression is False",
        lambda d: parquet(d).update(EnableDictionaryCompression=False),
    ),
    ("stream conversion", "CompressionFormat is GZIP", lambda d: extended(d).update(CompressionFormat="GZIP")),
    ("stream conversion", "the stream is SUSPENDED", lambda d: d.stream.update(DeliveryStreamStatus="SUSPENDED")),
    ("stream mapping", "http_status is st, not s", remap),
    ("stream buffer", "32 MB", lambda d: extended(d)["BufferingHints"].update(SizeInMBs=32)),
    ("stream prefixes", "Prefix is raw/", lambda d: extended(d).update(Prefix="raw/")),
    ("stream prefixes", "ErrorOutputPrefix is not set", lambda d: extended(d).pop("ErrorOutputPrefix")),
    ("stream prefixes", "BucketARN is arn:aws:s3:::x", lambda d: extended(d).update(BucketARN="arn:aws:s3:::x")),
    ("stream schema", "TableName is x", lambda d: conversion(d)["SchemaConfiguration"].update(TableName="x")),
    ("stream schema", "VersionId is 3", lambda d: conversion(d)["SchemaConfiguration"].update(VersionId="3")),
    ("log bucket notification", "the queue hears of nothing there", lambda d: d.notification.clear()),
    ("log delivery permission", "* may not log there", lambda d: d.policy.clear()),
    (
        "no log of logs",
        "it logs into itself",
        lambda d: d.logging.update(LoggingEnabled={"TargetBucket": "log-bucket", "TargetPrefix": "logs/self/"}),
    ),
    (
        "no log of the lake",
        "its logs are read as well",
        lambda d: d.lake_logging.update(LoggingEnabled={"TargetBucket": "log-bucket", "TargetPrefix": ""}),
    ),
    ("queue visibility", "1859 s", lambda d: d.queue.update(VisibilityTimeout="1859")),
    ("queue visibility", "1860 s", lambda d: d.function.update(Timeout=301)),
    ("queue redrive", "there is none", lambda d: d.queue.pop("RedrivePolicy")),
    (
        "queue redrive",
        "after 1 tries",
        lambda d: d.queue.update(RedrivePolicy=json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": "1"})),
    ),
    (
        "queue redrive",
        "to arn:x",
        lambda d: d.queue.update(RedrivePolicy=json.dumps({"deadLetterTargetArn": "arn:x", "maxReceiveCount": 5})),
    ),
    ("queue policy", "S3 may not send to it", lambda d: d.queue.pop("Policy")),
    ("dead letters", "3 message(s)", lambda d: d.dead_letters.update(ApproximateNumberOfMessages="3")),
    ("function environment", "ACCESSLAKE_LAKE is s3://x", lambda d: variables(d).update(ACCESSLAKE_LAKE="s3://x")),
    ("function environment", "ACCESSLAKE_LOG_BUCKETS is not set", lambda d: variables(d).pop("ACCESSLAKE_LOG_BUCKETS")),
    ("function environment", "ACCESSLAKE_SINK is parquet", lambda d: variables(d).update(ACCESSLAKE_SINK="parquet")),
    ("function environment", "ACCESSLAKE_STREAM is x", lambda d: variables(d).update(ACCESSLAKE_STREAM="x")),
    ("function environment", "MALLOC_TRIM", lambda d: variables(d).pop("MALLOC_TRIM_THRESHOLD_")),
    ("function trigger", "it is Disabled", lambda d: d.event_source.update(State="Disabled")),
    ("function trigger", "one bad message", lambda d: d.event_source.update(FunctionResponseTypes=[])),
    ("function concurrency", "it is stopped", lambda d: d.concurrency.update(ReservedConcurrentExecutions=0)),
    ("function concurrency", "7 at once, and 8", lambda d: d.concurrency.update(ReservedConcurrentExecutions=7)),
    ("workgroup cutoff", "there is none", lambda d: d.workgroup["Configuration"].pop("BytesScannedCutoffPerQuery")),
    (
        "workgroup cutoff",
        "clients can override it",
        lambda d: d.workgroup["Configuration"].update(EnforceWorkGroupConfiguration=False),
    ),
]


@pytest.mark.parametrize(("name", "word", "drift"), DRIFT, ids=[f"{name}: {word}" for name, word, _ in DRIFT])
def test_what_drifts_fails_one_check_that_says_what_to_do(name: str, word: str, drift: Callable[[Any], Any]) -> None:
    found = deployed()
    drift(found)
    assert_one_fails(found, name, word)


def test_every_check_can_fail() -> None:
    elsewhere = {
        check.name for check in examine(deployed()) if check.name.startswith(("compaction", "detection", "stragg"))
    }
    assert {name for name, _, _ in DRIFT} | elsewhere | {
        "stack",
        "table access_logs_quarantine",
    } == {check.name for check in examine(deployed())}


@pytest.mark.parametrize(
    ("status", "unfinished"),
    [("UPDATE_ROLLBACK_COMPLETE", ()), ("CREATE_IN_PROGRESS", ()), ("CREATE_COMPLETE", ("Stream is UPDATE_FAILED",))],
)
def test_a_stack_whose_last_change_failed_is_told(status: str, unfinished: tuple[str, ...]) -> None:
    (check,) = failing(replace(deployed(), stack=replace(STACK, status=status, unfinished=unfinished)))
    assert check.name == "stack"
    assert (status in check.found) or (unfinished[0] in check.found)


def test_a_range_that_compaction_has_widened_is_as_it_must_be() -> None:
    found: Any = deployed()
    parameters = found.tables["accesslake.access_logs_compacted"]["Parameters"]
    parameters["projection.event_date.range"] = "2009-01-01,NOW"
    assert failing(found) == []


@pytest.mark.parametrize("sources", ["a-bucket", "*"])
def test_a_log_bucket_of_others_need_not_take_logs_of_all(sources: str) -> None:
    parameters = {**STACK.parameters, "CreateLogBucket": "No", "SourceBuckets": sources}
    policy = merge_policy({}, **PERMISSION, sources=["a-bucket"])
    found = replace(deployed(), stack=replace(STACK, parameters=parameters), policy=policy)
    assert failing(found) == []
    (check,) = failing(replace(found, policy={}))
    assert check.name == "log delivery permission"


def test_a_place_that_cannot_be_read_is_a_check_and_no_end() -> None:
    closed = Unreadable("AccessDenied")
    found = Deployed(
        stack=STACK,
        identity=closed,
        tables={},
        function=closed,
        concurrency=closed,
        event_source=closed,
        queue=closed,
        dead_letters=closed,
        stream=closed,
        notification=closed,
        logging=closed,
        policy=closed,
        lake_logging=closed,
        workgroup=closed,
        compactor=Compactor(closed, closed, closed, closed, closed),
        detector=Detector(closed, closed, closed, closed, closed, closed, closed),
        progress=closed,
    )
    assert [check.name for check in examine(found) if check.ok] == ["stack"]


# --- The command ------------------------------------------------------------------------------------------------------


def test_the_command_says_what_is_wrong_and_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    found = deployed()
    monkeypatch.setattr("etl.cli._doctor.examine_stack", lambda _: examine(found))
    code, out, err = accesslake("doctor", "--stack", "logs-stack")
    assert (code, err) == (0, "")
    assert out.endswith("all is as expected\n")
    assert json.loads(accesslake("doctor", "--stack", "logs-stack", "--json")[1])["ok"] is True
    variables(found)["ACCESSLAKE_LAKE"] = "\x1b[2Js3://x"
    code, out, err = accesslake("doctor", "--stack", "logs-stack")
    assert (code, err) == (1, "")
    assert "NOT OK  function environment: ACCESSLAKE_LAKE is \\x1b[2Js3://x, not s3://lake-bucket/some/lake" in out
    assert out.endswith("1 of 43 are not ok\n")
    code, out, _ = accesslake("doctor", "--stack", "logs-stack", "--json")
    assert code == 1
    assert [check["name"] for check in json.loads(out)["checks"] if not check["ok"]] == ["function environment"]


def test_bad_input_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws_account(monkeypatch):
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        code, out, err = accesslake("doctor", "--stack", "logs-stack")
    assert (code, out) == (1, "")
    assert "logs-stack: You must specify a region" in one_line(err)
    assert accesslake("doctor")[0] == 2
