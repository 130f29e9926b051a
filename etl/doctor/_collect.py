"""Asks the services what is deployed. What one of them refuses is a value: the others are still worth asking."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from etl.doctor._catalog import catalog_names
from etl.doctor._check import Found, Unreadable
from etl.doctor._deployed import Compactor, Deployed, Detector, Stack
from etl.doctor._progress import read_progress
from etl.errors import AccessLakeError, BadParameter, LakeUnusable, first_line
from etl.lake import GLUE_STATE, open_lake

if TYPE_CHECKING:
    import boto3

_AGE_PERIOD: Final = 300
_AGE_PERIODS: Final = 6
_Seen = TypeVar("_Seen")
_OUTPUTS: Final = (
    *("LakeUri", "LogBucketName", "DatabaseName", "QueueArn", "QueueUrl", "DeadLetterQueueUrl"),
    *("ParserName", "WorkgroupName"),
)


def collect(session: boto3.Session, name: str, *, now: datetime | None = None) -> Deployed:
    """What is deployed as the stack. `now` is the clock's by default.

    Raises `BadParameter` if there is no such stack or it is of another template, `LakeUnusable` if CloudFormation cannot be
    asked.
    """
    stack = read_stack(session, name)
    outputs = stack.outputs
    moment = now or datetime.now(UTC)
    glue, s3, functions = session.client("glue"), session.client("s3"), session.client("lambda")

    def table(database: str, table_name: str) -> Found:
        return _found(lambda: glue.get_table(DatabaseName=database, Name=table_name)["Table"])

    firehose = session.client("firehose") if "StreamName" in outputs else None
    return Deployed(
        stack=stack,
        identity=_found(lambda: _identity(stack.lake_uri)),
        tables={f"{db}.{each}": table(db, each) for db, each in catalog_names(stack.database, stack.recipe_database)},
        function=_found(lambda: functions.get_function_configuration(FunctionName=outputs["ParserName"])),
        concurrency=_found(lambda: functions.get_function_concurrency(FunctionName=outputs["ParserName"])),
        event_source=_event_source(session, outputs["ParserName"], outputs["QueueArn"]),
        queue=_queue(session, outputs["QueueUrl"]),
        dead_letters=_queue(session, outputs["DeadLetterQueueUrl"]),
        stream=_found(
            lambda: firehose.describe_delivery_stream(DeliveryStreamName=outputs["StreamName"])[
                "DeliveryStreamDescription"
            ]
        )
        if firehose
        else None,
        notification=_found(lambda: s3.get_bucket_notification_configuration(Bucket=stack.log_bucket)),
        logging=_found(lambda: s3.get_bucket_logging(Bucket=stack.log_bucket)),
        policy=_found(lambda: json.loads(s3.get_bucket_policy(Bucket=stack.log_bucket)["Policy"])),
        lake_logging=_found(lambda: s3.get_bucket_logging(Bucket=stack.lake_bucket)),
        workgroup=_found(
            lambda: session.client("athena").get_work_group(WorkGroup=outputs["WorkgroupName"])["WorkGroup"]
        ),
        compactor=_compactor(session, stack) if "CompactorName" in outputs else None,
        detector=_detector(session, stack, moment) if "DetectorName" in outputs else None,
        progress=_read(lambda: read_progress(s3, stack, now=moment)),
    )


def _compactor(session: boto3.Session, stack: Stack) -> Compactor:
    name = stack.outputs["CompactorName"]
    functions = session.client("lambda")
    return Compactor(
        function=_found(lambda: functions.get_function_configuration(FunctionName=name)),
        concurrency=_found(lambda: functions.get_function_concurrency(FunctionName=name)),
        retries=_found(lambda: functions.get_function_event_invoke_config(FunctionName=name, Qualifier="$LATEST")),
        schedule=_found(lambda: session.client("scheduler").get_schedule(Name=stack.resources["CompactionTimer"])),
        dead_letters=_queue(session, stack.outputs["CompactionDeadLetterQueueUrl"]),
    )


def _detector(session: boto3.Session, stack: Stack, now: datetime) -> Detector:
    outputs = stack.outputs
    name, arn = outputs["DetectorName"], outputs["DetectionQueueArn"]
    functions = session.client("lambda")
    return Detector(
        function=_found(lambda: functions.get_function_configuration(FunctionName=name)),
        concurrency=_found(lambda: functions.get_function_concurrency(FunctionName=name)),
        event_source=_event_source(session, name, arn),
        queue=_queue(session, outputs["DetectionQueueUrl"]),
        dead_letters=_queue(session, outputs["DetectionDeadLetterQueueUrl"]),
        age=_found(
            lambda: session.client("cloudwatch").get_metric_statistics(
                Namespace="AWS/SQS",
                MetricName="ApproximateAgeOfOldestMessage",
                Dimensions=[{"Name": "QueueName", "Value": arn.rsplit(":", 1)[-1]}],
                StartTime=now - timedelta(seconds=_AGE_PERIOD * _AGE_PERIODS),
                EndTime=now,
                Period=_AGE_PERIOD,
                Statistics=["Maximum"],
            )
        ),
        notification=_found(
            lambda: session.client("s3").get_bucket_notification_configuration(Bucket=stack.lake_bucket)
        ),
    )


def _queue(session: boto3.Session, url: str) -> Found:
    sqs = session.client("sqs")
    return _found(lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]).get("Attributes", {}))


def _event_source(session: boto3.Session, function: str, queue: str) -> Found:
    functions = session.client("lambda")
    return _found(
        lambda: functions.list_event_source_mappings(FunctionName=function, EventSourceArn=queue)[
            "EventSourceMappings"
        ][0]
    )


def read_stack(session: boto3.Session, name: str) -> Stack:
    """The stack's parameters, outputs and unfinished resources."""
    try:
        cloudformation = session.client("cloudformation")
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
        resources = [each for page in pages for each in page["StackResourceSummaries"]]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            raise BadParameter(name, "no such stack in this account and Region") from error
        raise LakeUnusable(name, first_line(error)) from error
    except BotoCoreError as error:
        raise LakeUnusable(name, first_line(error)) from error
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    missing = [each for each in _OUTPUTS if each not in outputs]
    if missing:
        raise BadParameter(name, f"is no finished stack of accesslake: it has no output {missing[0]}")
    return Stack(
        name=name,
        status=found["StackStatus"],
        # The value behind a parameter of Systems Manager is the one that counts.
        parameters={
            each["ParameterKey"]: each.get("ResolvedValue", each.get("ParameterValue", ""))
            for each in found.get("Parameters", [])
        },
        outputs=outputs,
        unfinished=tuple(
            f"{each['LogicalResourceId']} is {each['ResourceStatus']}"
            for each in resources
            if not each["ResourceStatus"].endswith("_COMPLETE") or each["ResourceStatus"] == "DELETE_COMPLETE"
        ),
        resources={each["LogicalResourceId"]: each.get("PhysicalResourceId", "") for each in resources},
    )


def _identity(uri: str) -> dict[str, Any]:
    lake = open_lake(uri, states=(GLUE_STATE,))
    return {"state": lake.state, "database": lake.database}


def _found(ask: Callable[[], Any]) -> Found:
    return _read(lambda: dict(ask()))


def _read(ask: Callable[[], _Seen]) -> _Seen | Unreadable:
    try:
        return ask()
    except (ClientError, BotoCoreError, AccessLakeError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
        return Unreadable(_GONE.get(code) or first_line(error))
    except (IndexError, KeyError):
        return Unreadable("is missing")


_GONE: Final = {
    "EntityNotFoundException": "is missing",
    "ResourceNotFoundException": "is missing",
    "AWS.SimpleQueueService.NonExistentQueue": "is missing",
    "QueueDoesNotExist": "is missing",
    "NoSuchBucket": "the bucket is missing",
    "NoSuchBucketPolicy": "the bucket has no policy",
}
