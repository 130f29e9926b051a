"""The whole path as it is deployed: a log object is put into a bucket, and its rows are in the table that the catalog names."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pytest
from ministack import MiniStack, wait_for
from ministack import ministack as ministack
from serverless_stack import DATABASE, LAKE, LAKE_PREFIX, LOGS, STACK, Stack, deploy, deployable_template
from small_lakes import log_text

from etl import Parsed, parse
from etl.catalog import State, read_state
from etl.catalog._tables import as_input
from etl.doctor import doctor
from etl.generate import generate
from etl.lake import open_store
from etl.parse import CLEAN
from etl.schema import JSON_KEYS, RAW_TABLE
from etl.sinks import ParquetSink

pytestmark = pytest.mark.xdist_group("ministack")

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.log"))
SECONDS = 120
Row = tuple[Any, ...]
RESOURCES = sorted(deployable_template()["Resources"])


@pytest.fixture(scope="module")
def stack(ministack: MiniStack) -> Stack:
    return deploy(ministack)


# --- What is deployed -------------------------------------------------------------------------------------------------


def exists(stack: Stack, kind: str, physical: str) -> Any:
    """What the resource's own service says of it; raises, or is empty, if there is none."""
    client = stack.client
    outputs = stack.outputs
    if kind == "AWS::SQS::QueuePolicy":
        attributes = [
            client("sqs").get_queue_attributes(QueueUrl=outputs[name], AttributeNames=["Policy"])["Attributes"]
            for name in outputs
            if name.endswith("QueueUrl")
        ]
        return all("OnlyTls" in each["Policy"] for each in attributes)
    if kind == "AWS::S3::BucketPolicy":
        policies = [client("s3").get_bucket_policy(Bucket=bucket)["Policy"] for bucket in (LOGS, LAKE)]
        return all("OnlyTls" in policy for policy in policies) and "logging.s3.amazonaws.com" in policies[0]
    if kind == "AWS::Logs::LogStream":
        group = f"/aws/kinesisfirehose/{STACK}"
        return client("logs").describe_log_streams(logGroupName=group, logStreamNamePrefix=physical)["logStreams"]
    if kind == "AWS::IAM::Role":
        return client("iam").list_role_policies(RoleName=physical)["PolicyNames"]
    if kind == "AWS::Logs::LogGroup":
        return client("logs").describe_log_groups(logGroupNamePrefix=physical)["logGroups"][0]["retentionInDays"]
    if kind == "AWS::CloudWatch::Alarm":
        return client("cloudwatch").describe_alarms(AlarmNames=[physical])["MetricAlarms"]
    if kind == "AWS::SNS::TopicPolicy":
        return "Alarms" in client("sns").get_topic_attributes(TopicArn=outputs["AlarmsArn"])["Attributes"]["Policy"]
    service, call, argument = _CALLS[kind]
    arguments = {argument: physical} | ({"DatabaseName": DATABASE} if kind == "AWS::Glue::Table" else {})
    return getattr(client(service), call)(**arguments)


_CALLS: Mapping[str, tuple[str, str, str]] = {
    "AWS::Athena::WorkGroup": ("athena", "get_work_group", "WorkGroup"),
    "AWS::CloudWatch::Dashboard": ("cloudwatch", "get_dashboard", "DashboardName"),
    "AWS::Glue::Database": ("glue", "get_database", "Name"),
    "AWS::Glue::Table": ("glue", "get_table", "Name"),
    "AWS::KinesisFirehose::DeliveryStream": ("firehose", "describe_delivery_stream", "DeliveryStreamName"),
    "AWS::Lambda::EventSourceMapping": ("lambda", "get_event_source_mapping", "UUID"),
    "AWS::Lambda::EventInvokeConfig": ("lambda", "get_function_event_invoke_config", "FunctionName"),
    "AWS::Lambda::Function": ("lambda", "get_function", "FunctionName"),
    "AWS::Lambda::LayerVersion": ("lambda", "get_layer_version_by_arn", "Arn"),
    "AWS::S3::Bucket": ("s3", "head_bucket", "Bucket"),
    "AWS::Scheduler::Schedule": ("scheduler", "get_schedule", "Name"),
    "AWS::SNS::Subscription": ("sns", "get_subscription_attributes", "SubscriptionArn"),
    "AWS::SNS::Topic": ("sns", "get_topic_attributes", "TopicArn"),
    "AWS::SQS::Queue": ("sqs", "get_queue_attributes", "QueueUrl"),
}


@pytest.mark.parametrize("name", RESOURCES)
def test_every_resource_is_there(stack: Stack, name: str) -> None:
    """A stack may call itself complete without having made anything: each is asked for where it lives."""
    if name in ("Layer", "DuckDBLayer"):  # their names get a digest, so that a new one is a new version
        (name,) = (each for each in stack.resources if re.fullmatch(f"{name}[0-9a-f]+", each))
    kind, physical = stack.resources[name]
    if kind.startswith("Custom::"):
        names = {each["Name"] for each in stack.client("glue").get_tables(DatabaseName=DATABASE)["TableList"]}
        assert names >= {"access_logs_compacted", "access_logs", "access_logs_exact"}
        assert stack.client("glue").get_table(DatabaseName="default", Name="s3accesslog")
    else:
        assert exists(stack, kind, physical)


def test_the_lake_says_that_the_catalog_keeps_its_state(stack: Stack) -> None:
    body = stack.client("s3").get_object(Bucket=LAKE, Key=f"{LAKE_PREFIX}meta/lake.json")["Body"].read()
    assert json.loads(body) == {"format": 1, "state": "glue", "database": DATABASE}


@pytest.fixture
def account(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the product itself asks goes to the stack's services."""
    server = stack.server
    for name, value in {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_CA_BUNDLE": str(server.certificate),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


def test_doctor_finds_what_is_deployed_as_it_must_be(stack: Stack, account: None) -> None:
    """Two descriptions of one thing, the template and the doctor's, meet on a stack."""
    checks = {check.name: check for check in doctor(STACK)}
    assert len(checks) > 20
    assert {name: (check.found, check.expected) for name, check in checks.items() if not check.ok} == {}


def test_the_function_hears_from_the_queue_of_each_message_alone(stack: Stack) -> None:
    _, mapping = stack.resources["ParserLogObjects"]
    settings = stack.client("lambda").get_event_source_mapping(UUID=mapping)
    assert settings["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert settings["EventSourceArn"] == stack.outputs["QueueArn"]


def test_the_stream_reads_the_keys_of_the_documents_and_the_columns_of_the_table(stack: Stack) -> None:
    stream = stack.client("firehose").describe_delivery_stream(DeliveryStreamName=STACK)["DeliveryStreamDescription"]
    conversion = stream["Destinations"][0]["ExtendedS3DestinationDescription"]["DataFormatConversionConfiguration"]
    deserializer = conversion["InputFormatConfiguration"]["Deserializer"]["OpenXJsonSerDe"]
    assert deserializer["ColumnToJsonKeyMappings"] == JSON_KEYS
    assert conversion["SchemaConfiguration"]["TableName"] == RAW_TABLE.name


# --- Log objects ------------------------------------------------------------------------------------------------------


def put_log(stack: Stack, key: str, data: bytes) -> str:
    """Put an object; its source key."""
    stack.client("s3").put_object(Bucket=LOGS, Key=key, Body=data)
    return f"s3://{LOGS}/{key}"


def event_of(stack: Stack, key: str) -> dict[str, Any]:
    """What S3 would tell of an object that is there."""
    head = stack.client("s3").head_object(Bucket=LOGS, Key=key)
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": dt.datetime.now(dt.UTC).isoformat(),
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": LOGS},
            "object": {"key": quote_plus(key), "size": head["ContentLength"], "eTag": head["ETag"].strip('"')},
        },
    }
    return {"Records": [record]}


def send(stack: Stack, events: Mapping[str, Any]) -> None:
    """Messages that come together, by id."""
    entries = [{"Id": name, "MessageBody": json.dumps(event)} for name, event in events.items()]
    answer = stack.client("sqs").send_message_batch(QueueUrl=stack.outputs["QueueUrl"], Entries=entries)
    assert not answer.get("Failed")


def raw_rows(stack: Stack, source_keys: set[str]) -> Counter[Row]:
    """Rows of these objects in raw/, as often as they are there."""
    return _rows(stack.read_table("access_logs_raw"), source_keys)


def quarantined(stack: Stack, source_keys: set[str]) -> Counter[Row]:
    table = stack.read_table("access_logs_quarantine")
    return Counter(tuple(row.values()) for row in table.to_pylist() if row["source_key"] in source_keys)


def parsed_rows(parsed: list[Parsed]) -> Counter[Row]:
    return sum((_rows(each.table, None) for each in parsed), Counter())


def _rows(table: pa.Table, source_keys: set[str] | None) -> Counter[Row]:
    """Without what Firehose leaves to readers; a row without status is clean."""
    rows: Counter[Row] = Counter()
    for row in table.to_pylist():
        if source_keys is None or row["source_key"] in source_keys:
            rows[tuple((row[name] or CLEAN) if name == "parse_status" else row[name] for name in JSON_KEYS)] += 1
    return rows


def wait_for_rows(stack: Stack, source_keys: set[str], wanted: Counter[Row]) -> Counter[Row]:
    """The rows of these objects, once those that are wanted are there."""
    seen: Counter[Row] = Counter()

    def enough() -> Counter[Row] | None:
        nonlocal seen
        seen = raw_rows(stack, source_keys)
        return seen if seen >= wanted else None

    return wait_for(enough, seconds=SECONDS, what=lambda: f"{seen & wanted} of {wanted}\n{stack.server.output()}")


# --- From there to here -----------------------------------------------------------------------------------------------


def test_logs_arrive_as_they_are_parsed(stack: Stack) -> None:
    """The corpus and generated logs, plain and gzip, under keys that must be unquoted."""
    logs = {f"logs/corpus/{path.stem} +ü%41.log": path.read_bytes() for path in CORPUS}
    logs |= {f"logs/{log.key}": log.body for log in generate(lines=900, seed=5, end=dt.date(2026, 7, 1))}
    logs["logs/packed.gz"] = log_text(50, seed="gzip", bad_every=10)
    parsed = []
    for key, data in logs.items():
        source_key = put_log(stack, key, gzip.compress(data) if key.endswith(".gz") else data)
        parsed.append(parse(data, source_key=source_key))
    source_keys = {f"s3://{LOGS}/{key}" for key in logs}

    truth = parsed_rows(parsed)
    seen = wait_for_rows(stack, source_keys, truth)
    # At least once: the emulator converts so slowly that a call may be given up and made again.
    assert set(seen) == set(truth)
    bad = Counter(tuple(row.values()) for each in parsed for row in each.quarantine.to_pylist())
    assert bad.total() > 5
    assert quarantined(stack, source_keys) == bad


def test_a_message_that_comes_again_adds_rows_but_no_quarantined_line(stack: Stack) -> None:
    data = log_text(20, seed="again", bad_every=5)
    key = "logs/again.log"
    source_key = put_log(stack, key, data)
    parsed = parse(data, source_key=source_key)
    truth = parsed_rows([parsed])
    assert wait_for_rows(stack, {source_key}, truth) == truth
    send(stack, {"again": event_of(stack, key)})
    assert wait_for_rows(stack, {source_key}, truth + truth) == truth + truth
    assert quarantined(stack, {source_key}).total() == 4


def test_a_poison_object_ends_in_the_dead_letter_queue_and_its_neighbours_arrive(stack: Stack) -> None:
    """All in one batch: outside the announced prefix S3 tells nothing, so that the messages can be sent together."""
    keys = [f"unannounced/{name}" for name in ("before", "poison", "gone", "after")]
    logs = {key: log_text(5, seed=key) for key in (keys[0], keys[3])}
    for key, data in (*logs.items(), (keys[1], bytes(range(256)) * 40), (keys[2], b"x\n")):
        put_log(stack, key, data)
    events = {f"m{number}": event_of(stack, key) for number, key in enumerate(keys)}
    stack.client("s3").delete_object(Bucket=LOGS, Key=keys[2])
    # What fails comes again at once, and not after half an hour.
    attributes = {"VisibilityTimeout": "3"}
    stack.client("sqs").set_queue_attributes(QueueUrl=stack.outputs["QueueUrl"], Attributes=attributes)
    send(stack, events)

    truth = parsed_rows([parse(data, source_key=f"s3://{LOGS}/{key}") for key, data in logs.items()])
    assert set(wait_for_rows(stack, {f"s3://{LOGS}/{key}" for key in keys}, truth)) == set(truth)

    def dead() -> list[dict[str, Any]] | None:
        url = stack.outputs["DeadLetterQueueUrl"]
        found = stack.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages")
        return found or None

    messages = wait_for(dead, seconds=SECONDS, what=stack.server.output)
    assert [json.loads(each["Body"]) for each in messages] == [events["m1"]]


def test_a_request_with_sigv2_is_in_the_detectors_log_and_in_findings(stack: Stack) -> None:
    """From the log bucket through Firehose to the new file, its notification, and what CloudWatch Logs keeps."""
    data = log_text(6, seed="sigv2").replace(b" SigV4 ", b" SigV2 ", 2)
    source_key = put_log(stack, "logs/sigv2.log", data)
    (group,) = (
        physical for kind, physical in stack.resources.values() if physical.endswith("-detect") and "Log" in kind
    )

    def told() -> list[dict[str, Any]] | None:
        pages = stack.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        messages = [event["message"] for page in pages for event in page["events"]]
        said = [json.loads(text) for text in messages if text.startswith('{"Bucket"')]
        return [line for line in said if (line["Key"] or "").startswith("sigv2/")] or None

    lines = wait_for(told, seconds=SECONDS, what=stack.server.output)
    assert {(line["Key"], line["SignatureVersion"], line["Count"]) for line in lines} == {
        ("sigv2/0", "SigV2", 1),
        ("sigv2/1", "SigV2", 1),
    }

    def written() -> set[tuple[str, int]] | None:
        rows = stack.read_table("access_logs_findings").to_pylist()
        return {(row["detection"], row["line_no"]) for row in rows if row["source_key"] == source_key} or None

    assert wait_for(written, seconds=SECONDS, what=stack.server.output) == {("sigv2", 1), ("sigv2", 2)}
    dead = stack.client("sqs").receive_message(QueueUrl=stack.outputs["DetectionDeadLetterQueueUrl"])
    assert not dead.get("Messages")


def test_rows_of_a_day_that_is_over_are_compacted_and_the_view_moves(stack: Stack, account: None) -> None:
    """The schedule's target and event, as they are deployed; days that are not over stay where they are."""
    name = stack.outputs["CompactorName"]
    _, timer = stack.resources["CompactionTimer"]
    schedule = stack.client("scheduler").get_schedule(Name=timer)
    assert schedule["Target"]["Arn"].endswith(f":function:{name}")
    logs = {f"s3://{LOGS}/old/{seed}": log_text(30, seed=f"old-{seed}") for seed in ("a", "b")}
    store = open_store(stack.outputs["LakeUri"])
    for source_key, data in logs.items():
        sink = ParquetSink(store, ingest_date="2024-05-02")
        sink.write([parse(data, source_key=source_key)], name=source_key.rsplit("/", 1)[-1], owner=source_key)
        assert sink.finish() == set()

    name_owners(stack)
    before = read_state(access_logs(stack))
    answers = [compact(stack, name) for _ in range(2)]
    assert [(answer["batch"], answer["rows_in"], answer["rows_out"]) for answer in answers] == [
        ("0000000001", 60, 60),
        (None, 0, 0),
    ]
    assert (before.batch, read_state(access_logs(stack))) == ("", State("0000000001", "2024-05-03"))
    compacted = stack.read_table("access_logs_compacted")
    assert set(compacted["batch_id"].to_pylist()) == {"0000000001"}
    assert _rows(compacted, None) == parsed_rows([parse(data, source_key=key) for key, data in logs.items()])
    raw = {stored.key for stored in store.list("raw/")}
    assert sum("=2024-05-02/" in key for key in raw) == 2, "queries that began before may still read them"


def access_logs(stack: Stack, name: str = "access_logs") -> Any:
    return stack.client("glue").get_table(DatabaseName=DATABASE, Name=name)["Table"]


def name_owners(stack: Stack) -> None:
    """The emulator tells of an empty owner, which Glue never has, and which cannot be sent back."""
    for name in ("access_logs", "access_logs_compacted"):
        named = {**as_input(access_logs(stack, name)), "Owner": "hadoop"}
        stack.client("glue").update_table(DatabaseName=DATABASE, TableInput=named)


def compact(stack: Stack, name: str) -> dict[str, Any]:
    """What the function answers."""
    answer = stack.client("lambda").invoke(FunctionName=name, Payload=b"{}")
    body: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, f"{body}\n{stack.server.output()}"
    return body
