"""What the doctor looks at is asked of the services, and what one of them refuses is told beside the rest."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_account import ACCOUNT, aws_account
from botocore.client import BaseClient
from botocore.stub import Stubber
from doctor_stack import COMPACTION_DEAD, DESTINATION, DETECTION, LAKE, QUEUE, SEEN_AT, STACK, deployed, failing

from etl.catalog import create_catalog, open_lake, table_input
from etl.compact import plan_batch
from etl.doctor import Compactor, Detector, Progress, Unreadable
from etl.doctor._collect import collect
from etl.doctor._progress import read_progress
from etl.errors import BadParameter, LakeUnusable
from etl.lake import Input, Plan, State, Winner, commit_of, create_record
from etl.lake._layout import commit_key, next_batch, plan_key, winner_key
from etl.schema import TABLES

TIMER = STACK.resources["CompactionTimer"]


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
    timer = {**resources[0], "LogicalResourceId": "CompactionTimer", "PhysicalResourceId": TIMER}
    resources.append({**timer, "ResourceStatus": "CREATE_COMPLETE"})
    session.stubs["cloudformation"].add_response("list_stack_resources", {"StackResourceSummaries": resources})


def deploy() -> dict[str, str]:
    """What the template makes, as far as the doctor looks."""
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    s3.create_bucket(Bucket="log-bucket")
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    queue: Any = deployed().queue
    attributes = {name: value for name, value in queue.items() if name != "QueueArn"}
    logs = sqs.create_queue(QueueName="logs", Attributes=attributes)["QueueUrl"]
    notification: Any = deployed().notification
    s3.put_bucket_notification_configuration(Bucket="log-bucket", NotificationConfiguration=notification)
    s3.put_bucket_policy(Bucket="log-bucket", Policy=json.dumps(deployed().policy))
    deploy_lake()
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
    return {**STACK.outputs, "QueueUrl": logs, "DeadLetterQueueUrl": dead, **deploy_compactor(), **deploy_detector()}


def deploy_lake() -> None:
    boto3.client("s3").create_bucket(Bucket="lake-bucket")
    glue = boto3.client("glue")
    glue.create_database(DatabaseInput={"Name": "accesslake"})
    for table in TABLES:
        if table.name != "access_logs_compacted":
            entry: Any = table_input(table, lake_uri=LAKE, first_day="2020-01-01")
            glue.create_table(DatabaseName="accesslake", TableInput=entry)
    create_catalog(glue, database="accesslake", recipe_database="default", lake_uri=LAKE + "/", first_day="2020-01-01")


def deploy_compactor() -> dict[str, str]:
    compactor: Any = deployed().compactor
    boto3.client("scheduler").create_schedule(Name=TIMER, FlexibleTimeWindow={"Mode": "OFF"}, **compactor.schedule)
    url = boto3.client("sqs").create_queue(QueueName=COMPACTION_DEAD.rsplit(":")[-1])["QueueUrl"]
    return {"CompactionDeadLetterQueueUrl": url}


def deploy_detector() -> dict[str, str]:
    sqs, detector = boto3.client("sqs"), deployed().detector
    assert isinstance(detector, Detector)
    queue: Any = detector.queue
    kept: Any = {name: queue[name] for name in ("VisibilityTimeout", "Policy", "RedrivePolicy")}
    dead = sqs.create_queue(QueueName="detection-dead")["QueueUrl"]
    url = sqs.create_queue(QueueName=DETECTION.rsplit(":")[-1], Attributes=kept)["QueueUrl"]
    notification: Any = detector.notification
    boto3.client("s3").put_bucket_notification_configuration(
        Bucket="lake-bucket", NotificationConfiguration=notification
    )
    return {"DetectionQueueUrl": url, "DetectionDeadLetterQueueUrl": dead}


def answer_for_the_functions(session: Session) -> None:
    stub, found = session.stubs["lambda"], deployed()
    answer_for(stub, "logs-stack-parse-logs", found.function)
    answer_for_events(stub, "logs-stack-parse-logs", QUEUE, found.event_source)
    assert isinstance(found.compactor, Compactor)
    assert isinstance(found.compactor.retries, dict)
    answer_for(stub, "logs-stack-compact", found.compactor.function)
    stub.add_response(
        "get_function_event_invoke_config",
        found.compactor.retries,
        {"FunctionName": "logs-stack-compact", "Qualifier": "$LATEST"},
    )
    assert isinstance(found.detector, Detector)
    answer_for(stub, "logs-stack-detect", found.detector.function)
    answer_for_events(stub, "logs-stack-detect", DETECTION, found.detector.event_source)


def answer_for(stub: Any, name: str, function: Any) -> None:
    stub.add_response("get_function_configuration", function, {"FunctionName": name})
    stub.add_response("get_function_concurrency", {}, {"FunctionName": name})


def answer_for_events(stub: Any, name: str, queue: str, event_source: Any) -> None:
    stub.add_response(
        "list_event_source_mappings",
        {"EventSourceMappings": [event_source]},
        {"FunctionName": name, "EventSourceArn": queue},
    )


def test_what_is_deployed_is_read_from_the_services(session: Session) -> None:
    describe(session, outputs=deploy())
    answer_for_the_functions(session)
    found = collect(session, "logs-stack", now=SEEN_AT)
    assert failing(found) == []
    for stub in session.stubs.values():
        stub.assert_no_pending_responses()
    assert found.progress == Progress(SEEN_AT, "", None, {}, 0)


PAGE = Path(__file__).parents[1] / "docs" / "doctor.md"
ACTIONS = {
    "s3:HeadBucket": "s3:ListBucket",
    "monitoring:GetMetricStatistics": "cloudwatch:GetMetricStatistics",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
}
"""What IAM calls a request where it has another name for it
(https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html)."""


def test_the_page_lists_what_is_asked_for_and_nothing_else(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()

    def ask(client: Any, operation: str, parameters: Any) -> Any:
        action = f"{client.meta.service_model.signing_name}:{operation}"
        asked.add(ACTIONS.get(action, action))
        return call(client, operation, parameters)

    outputs = deploy()
    put_raw("2024-05-01", "a")
    commit_batch("2024-05-01", "a")
    describe(session, outputs=outputs)
    answer_for_the_functions(session)
    call = BaseClient._make_api_call  # type: ignore[attr-defined]
    monkeypatch.setattr(BaseClient, "_make_api_call", ask)
    assert failing(collect(session, "logs-stack", now=SEEN_AT)) == []
    (policy,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    allowed = {action for statement in json.loads(policy)["Statement"] for action in statement["Action"]}
    assert allowed == asked


# --- How far compaction is --------------------------------------------------------------------------------------------


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with aws_account(monkeypatch):
        deploy_lake()
        yield


def progress() -> Progress:
    return read_progress(boto3.client("s3"), STACK, now=SEEN_AT)


def put_raw(day: str, *names: str) -> None:
    for name in names:
        key = f"some/lake/raw/ingest_date={day}/{name}.parquet"
        boto3.client("s3").put_object(Bucket="lake-bucket", Key=key, Body=b"rows")


def commit_batch(day: str, *names: str, recorded: bool = True) -> None:
    """A batch of raw files of a day, after which the view shows raw days from the next one on."""
    lake = open_lake(LAKE)
    before = lake.keeper.read()
    inputs = [Input(f"raw/ingest_date={day}/{name}.parquet", "x", 4, 1, 1, 0) for name in names]
    since = (dt.date.fromisoformat(day) + dt.timedelta(days=1)).isoformat()
    plan = plan_batch(last_batch=before.batch, readable=inputs, unreadable=(), raw_since=since)
    assert plan is not None
    winner = Winner(plan.batch, "a", (), {})
    create_record(lake.store, plan_key(plan.batch), plan)
    create_record(lake.store, winner_key(plan.batch), winner)
    lake.keeper.advance(State(plan.batch, since), event_days=())
    if recorded:
        commit = commit_of(plan, winner, committed_at="2024-05-02T03:31:00+00:00")
        create_record(lake.store, commit_key(plan.batch), commit)


def test_what_is_sealed_and_in_no_batch_waits(account: None) -> None:
    put_raw("2024-05-01", "a", "b")
    put_raw("2024-05-02", "c")
    put_raw("2024-05-03", "not sealed yet")
    assert progress() == Progress(SEEN_AT, "", None, {"2024-05-01": 2, "2024-05-02": 1}, 0)


def test_what_came_into_a_day_that_is_compacted_is_a_straggler(account: None) -> None:
    put_raw("2024-05-01", "a", "late")
    put_raw("2024-05-02", "b")
    commit_batch("2024-05-01", "a")
    assert progress() == Progress(SEEN_AT, "2024-05-02T03:31:00+00:00", None, {"2024-05-02": 1}, 1)


def test_a_commit_without_a_record_has_no_time_and_counts(account: None) -> None:
    put_raw("2024-05-01", "a")
    commit_batch("2024-05-01", "a", recorded=False)
    assert progress() == Progress(SEEN_AT, "", None, {}, 0)


def test_a_plan_that_waits_has_the_time_of_its_object(account: None) -> None:
    commit_batch("2024-05-01", "a")
    lake = open_lake(LAKE)
    create_record(lake.store, plan_key(next_batch(lake.keeper.read().batch)), Plan("0000000002", (), ()))
    planned_at = progress().planned_at
    assert planned_at is not None
    assert abs(planned_at - dt.datetime.now(dt.timezone.utc)) < dt.timedelta(hours=1)


def test_a_view_that_cannot_be_read_is_told(session: Session) -> None:
    outputs = deploy()
    boto3.client("glue").delete_table(DatabaseName="accesslake", Name="access_logs")
    describe(session, outputs=outputs)
    answer_for_the_functions(session)
    found = collect(session, "logs-stack", now=SEEN_AT)
    assert isinstance(found.progress, Unreadable)
    assert {check.name for check in failing(found)} == {
        "view access_logs",
        "compaction lag",
        "compaction plan",
        "stragglers",
    }


# --- What is not there ------------------------------------------------------------------------------------------------


def refuse_functions(session: Session) -> None:
    stub = session.stubs["lambda"]
    for events in ("list_event_source_mappings", "get_function_event_invoke_config", "list_event_source_mappings"):
        stub.add_client_error("get_function_configuration", "AccessDeniedException", "no\nmore")
        stub.add_client_error("get_function_concurrency", "AccessDeniedException", "no")
        if events == "list_event_source_mappings":
            stub.add_response(events, {"EventSourceMappings": []})
        else:
            stub.add_client_error(events, "ResourceNotFoundException", "none")


def test_what_is_missing_or_denied_is_told_beside_the_rest(session: Session) -> None:
    describe(session, outputs=dict(STACK.outputs), statuses=("CREATE_COMPLETE", "UPDATE_FAILED"))
    refuse_functions(session)
    checks = {check.name: check for check in failing(collect(session, "logs-stack"))}
    assert len(checks) == 42  # and no message is known to wait
    assert checks["stack"].found == "R1 is UPDATE_FAILED"
    assert checks["function trigger"].found == "is missing"
    assert checks["compaction retries"].found == "is missing"
    assert checks["compaction schedule"].found == "is missing"
    assert "no lake here" in checks["compaction lag"].found
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
