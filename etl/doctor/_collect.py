"""Asks the services what is deployed. What one of them refuses is a value: the others are still worth asking."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from etl.doctor._catalog import catalog_names
from etl.doctor._check import Found, Unreadable
from etl.doctor._deployed import Deployed, Stack
from etl.errors import AccessLakeError, BadParameter, LakeUnusable, first_line
from etl.lake import GLUE_STATE, open_lake

if TYPE_CHECKING:
    import boto3

_OUTPUTS: Final = (
    *("LakeUri", "LogBucketName", "DatabaseName", "QueueArn", "QueueUrl", "DeadLetterQueueUrl"),
    *("ParserName", "WorkgroupName"),
)


def collect(session: boto3.Session, name: str) -> Deployed:
    """What is deployed as the stack.

    Raises `BadParameter` if there is no such stack or it is of another template, `LakeUnusable` if CloudFormation cannot be
    asked.
    """
    stack = read_stack(session, name)
    outputs = stack.outputs
    glue, s3 = session.client("glue"), session.client("s3")
    sqs, functions = session.client("sqs"), session.client("lambda")

    def table(database: str, table_name: str) -> Found:
        return _found(lambda: glue.get_table(DatabaseName=database, Name=table_name)["Table"])

    def queue(url: str) -> Found:
        return _found(lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]).get("Attributes", {}))

    firehose = session.client("firehose") if "StreamName" in outputs else None
    return Deployed(
        stack=stack,
        identity=_found(lambda: _identity(stack.lake_uri)),
        tables={f"{db}.{each}": table(db, each) for db, each in catalog_names(stack.database, stack.recipe_database)},
        function=_found(lambda: functions.get_function_configuration(FunctionName=outputs["ParserName"])),
        event_source=_found(
            lambda: functions.list_event_source_mappings(
                FunctionName=outputs["ParserName"], EventSourceArn=outputs["QueueArn"]
            )["EventSourceMappings"][0]
        ),
        queue=queue(outputs["QueueUrl"]),
        dead_letters=queue(outputs["DeadLetterQueueUrl"]),
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
    )


def _identity(uri: str) -> dict[str, Any]:
    lake = open_lake(uri, states=(GLUE_STATE,))
    return {"state": lake.state, "database": lake.database}


def _found(ask: Callable[[], Any]) -> Found:
    try:
        return dict(ask())
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
