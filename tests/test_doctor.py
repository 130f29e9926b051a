"""A stack that is as it must be passes; each thing that can drift, alone, fails one check that says what to do."""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from aws_account import ACCOUNT, REGION, aws_account
from botocore.stub import Stubber
from test_cli import accesslake, one_line

from etl.attach import merge_notification, merge_policy
from etl.catalog import State, access_logs_input, create_catalog, exact_input, recipe_input, table_input
from etl.doctor import Check, Deployed, Stack, Unreadable, examine
from etl.doctor._collect import collect
from etl.errors import BadParameter, LakeUnusable
from etl.schema import JSON_KEYS, TABLES

LAKE = "s3://lake-bucket/some/lake"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:logs"
DEAD = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"
STACK = Stack(
    name="logs-stack",
    status="CREATE_COMPLETE",
    parameters={
        "FirstDay": "2020-01-01",
        "RecipeDatabase": "default",
        "SourceBuckets": "*",
        "CreateLogBucket": "Yes",
        "SourceAccount": "",
    },
    outputs={
        "LakeUri": LAKE + "/",
        "LogBucketName": "log-bucket",
        "LogPrefix": "logs/",
        "DatabaseName": "accesslake",
        "QueueArn": QUEUE,
        "QueueUrl": "https://queue/logs",
        "DeadLetterQueueUrl": "https://queue/dead",
        "ParserName": "logs-stack-parse-logs",
        "StreamName": "logs-stack",
        "WorkgroupName": "logs-stack",
    },
)
PERMISSION = {"partition": "aws", "account": ACCOUNT, "bucket": "log-bucket", "log_prefix": "logs/"}
QUEUE_POLICY = {
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage"}]
}
DESTINATION = {
    "BucketARN": "arn:aws:s3:::lake-bucket",
    "Prefix": "some/lake/raw/ingest_date=!{timestamp:yyyy-MM-dd}/",
    "ErrorOutputPrefix": "some/lake/errors/!{firehose:error-output-type}/!{timestamp:yyyy-MM-dd}/",
    "BufferingHints": {"SizeInMBs": 128, "IntervalInSeconds": 900},
    "CompressionFormat": "UNCOMPRESSED",
    "DataFormatConversionConfiguration": {
        "Enabled": True,
        "InputFormatConfiguration": {"Deserializer": {"OpenXJsonSerDe": {"ColumnToJsonKeyMappings": JSON_KEYS}}},
        "OutputFormatConfiguration": {
            "Serializer": {"ParquetSerDe": {"Compression": "SNAPPY", "EnableDictionaryCompression": True}}
        },
        "SchemaConfiguration": {"DatabaseName": "accesslake", "TableName": "access_logs_raw", "VersionId": "LATEST"},
    },
}


def deployed() -> Deployed:
    """As it must be."""
    tables = {f"accesslake.{table.name}": table_input(table, lake_uri=LAKE, first_day="2020-01-01") for table in TABLES}
    tables["accesslake.access_logs"] = access_logs_input(
        State("0000000042", "2024-05-01"), database="accesslake", lake_uri=LAKE
    )
    tables["accesslake.access_logs_exact"] = exact_input(database="accesslake", lake_uri=LAKE)
    tables["default.s3accesslog"] = recipe_input(database="accesslake", recipe_database="default", lake_uri=LAKE)
    return Deployed(
        stack=STACK,
        identity={"state": "glue", "database": "accesslake"},
        tables=copy.deepcopy(tables),
        function={
            "Timeout": 300,
            "Environment": {
                "Variables": {
                    "ACCESSLAKE_LAKE": LAKE + "/",
                    "ACCESSLAKE_LOG_BUCKETS": "log-bucket",
                    "ACCESSLAKE_SINK": "firehose",
                    "ACCESSLAKE_STREAM": "logs-stack",
                    "ARROW_DEFAULT_MEMORY_POOL": "system",
                    "MALLOC_MMAP_THRESHOLD_": "67108864",
                    "MALLOC_TRIM_THRESHOLD_": "67108864",
                }
            },
        },
        event_source={
            "State": "Enabled",
            "MaximumBatchingWindowInSeconds": 60,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        },
        queue={
            "QueueArn": QUEUE,
            "VisibilityTimeout": "1860",
            "Policy": json.dumps(QUEUE_POLICY),
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": 5}),
        },
        dead_letters={"QueueArn": DEAD, "ApproximateNumberOfMessages": "0"},
        stream={
            "DeliveryStreamStatus": "ACTIVE",
            "Destinations": [{"ExtendedS3DestinationDescription": copy.deepcopy(DESTINATION)}],
        },
        notification=merge_notification({}, queue=QUEUE, prefix="logs/"),
        logging={},
        policy=merge_policy({}, **PERMISSION, sources=["*"]),
        lake_logging={},
        workgroup={
            "State": "ENABLED",
            "Configuration": {"EnforceWorkGroupConfiguration": True, "BytesScannedCutoffPerQuery": 100_000_000_000},
        },
    )


def failing(found: Deployed) -> list[Check]:
    return [check for check in examine(found) if not check.ok]


def test_a_stack_that_is_as_it_must_be_passes() -> None:
    checks = examine(deployed())
    assert [check for check in checks if not check.ok] == []
    assert len({check.name for check in checks}) == len(checks) == 25
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
    (check,) = failing(found)
    assert check.name == name
    assert word in check.found
    assert check.advice
    assert "\n" not in check.found


def test_every_check_can_fail() -> None:
    assert {name for name, _, _ in DRIFT} | {
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
        event_source=closed,
        queue=closed,
        dead_letters=closed,
        stream=closed,
        notification=closed,
        logging=closed,
        policy=closed,
        lake_logging=closed,
        workgroup=closed,
    )
    assert [check.name for check in examine(found) if check.ok] == ["stack"]


# --- Asking the services ----------------------------------------------------------------------------------------------


class Session(boto3.Session):
    """Everything from moto, but CloudFormation and Lambda, which answer what they are told."""

    def __init__(self) -> None:
        super().__init__()
        self.stubs = {name: Stubber(boto3.client(name)) for name in ("cloudformation", "lambda")}

    def client(self, name: str, **arguments: Any) -> Any:  # type: ignore[override]
        return self.stubs[name].client if name in self.stubs else super().client(name, **arguments)  # type: ignore[call-overload]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    with aws_account(monkeypatch):
        found = Session()
        for stub in found.stubs.values():
            stub.activate()
        yield found


def describe(session: Session, *, outputs: dict[str, str], statuses: tuple[str, ...] = ("CREATE_COMPLETE",)) -> None:
    moment = dt.datetime(2024, 5, 1, tzinfo=dt.timezone.utc)
    stack = {
        "StackName": "logs-stack",
        "CreationTime": moment,
        "StackStatus": "CREATE_COMPLETE",
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in STACK.parameters.items()],
        "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
    }
    session.stubs["cloudformation"].add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": "logs-stack"})
    resources = [
        {
            "LogicalResourceId": f"R{number}",
            "ResourceType": "AWS::S3::Bucket",
            "LastUpdatedTimestamp": moment,
            "ResourceStatus": status,
        }
        for number, status in enumerate(statuses)
    ]
    session.stubs["cloudformation"].add_response("list_stack_resources", {"StackResourceSummaries": resources})


def deploy() -> dict[str, str]:
    """What the template makes, as far as the doctor looks."""
    s3, sqs, glue = boto3.client("s3"), boto3.client("sqs"), boto3.client("glue")
    for name in ("lake-bucket", "log-bucket"):
        s3.create_bucket(Bucket=name)
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    queue: Any = deployed().queue
    attributes = {name: value for name, value in queue.items() if name != "QueueArn"}
    logs = sqs.create_queue(QueueName="logs", Attributes=attributes)["QueueUrl"]
    notification: Any = deployed().notification
    s3.put_bucket_notification_configuration(Bucket="log-bucket", NotificationConfiguration=notification)
    s3.put_bucket_policy(Bucket="log-bucket", Policy=json.dumps(deployed().policy))
    glue.create_database(DatabaseInput={"Name": "accesslake"})
    for table in TABLES:
        if table.name != "access_logs_compacted":
            entry: Any = table_input(table, lake_uri=LAKE, first_day="2020-01-01")
            glue.create_table(DatabaseName="accesslake", TableInput=entry)
    create_catalog(glue, database="accesslake", recipe_database="default", lake_uri=LAKE + "/", first_day="2020-01-01")
    stream: Any = {
        **{key: value for key, value in DESTINATION.items() if key != "DataFormatConversionConfiguration"},
        "RoleARN": f"arn:aws:iam::{ACCOUNT}:role/r",
        "DataFormatConversionConfiguration": DESTINATION["DataFormatConversionConfiguration"],
    }
    boto3.client("firehose").create_delivery_stream(
        DeliveryStreamName="logs-stack", ExtendedS3DestinationConfiguration=stream
    )
    workgroup: Any = deployed().workgroup
    boto3.client("athena").create_work_group(Name="logs-stack", Configuration=workgroup["Configuration"])
    return {**STACK.outputs, "QueueUrl": logs, "DeadLetterQueueUrl": dead}


def answer_for_the_function(session: Session) -> None:
    found = deployed()
    assert isinstance(found.function, dict)
    assert isinstance(found.event_source, dict)
    session.stubs["lambda"].add_response(
        "get_function_configuration", found.function, {"FunctionName": "logs-stack-parse-logs"}
    )
    session.stubs["lambda"].add_response(
        "list_event_source_mappings",
        {"EventSourceMappings": [found.event_source]},
        {"FunctionName": "logs-stack-parse-logs", "EventSourceArn": QUEUE},
    )


def test_what_is_deployed_is_read_from_the_services(session: Session) -> None:
    describe(session, outputs=deploy())
    answer_for_the_function(session)
    assert failing(collect(session, "logs-stack")) == []


def test_what_is_missing_or_denied_is_told_beside_the_rest(session: Session) -> None:
    describe(session, outputs=dict(STACK.outputs), statuses=("CREATE_COMPLETE", "UPDATE_FAILED"))
    session.stubs["lambda"].add_client_error("get_function_configuration", "AccessDeniedException", "no\nmore")
    session.stubs["lambda"].add_response("list_event_source_mappings", {"EventSourceMappings": []})
    checks = {check.name: check for check in failing(collect(session, "logs-stack"))}
    assert len(checks) == 25
    assert checks["stack"].found == "R1 is UPDATE_FAILED"
    assert checks["function trigger"].found == "is missing"
    assert "AccessDeniedException" in checks["function environment"].found
    assert checks["table access_logs_raw"].found == "is missing"
    assert checks["log delivery permission"].found == "the bucket is missing"
    assert all("\n" not in check.found for check in checks.values())


def test_no_such_stack_or_another_s_is_a_usage_error(session: Session) -> None:
    stub = session.stubs["cloudformation"]
    stub.add_client_error("describe_stacks", "ValidationError", "Stack with id logs-stack does not exist")
    with pytest.raises(BadParameter, match="logs-stack: no such stack in this account and Region"):
        collect(session, "logs-stack")
    stub.add_client_error("describe_stacks", "AccessDenied", "no")
    with pytest.raises(LakeUnusable, match=r"logs-stack: .*AccessDenied"):
        collect(session, "logs-stack")
    describe(session, outputs={"Website": "x"})
    with pytest.raises(BadParameter, match="logs-stack: is no finished stack of accesslake: it has no output LakeUri"):
        collect(session, "logs-stack")


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
    assert out.endswith("1 of 25 are not ok\n")
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
