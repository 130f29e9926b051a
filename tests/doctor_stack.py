"""A stack that is as it must be, as the services describe it: for the tests of the doctor."""

from __future__ import annotations

import copy
import datetime as dt
import json
from typing import Any

from aws_account import ACCOUNT, REGION

from etl.attach import merge_notification, merge_policy
from etl.catalog import State, access_logs_input, exact_input, recipe_input, table_input
from etl.doctor import Check, Compactor, Deployed, Detector, Progress, Stack, examine
from etl.schema import JSON_KEYS, TABLES

LAKE = "s3://lake-bucket/some/lake"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:logs"
DEAD = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead"
DETECTION = f"arn:aws:sqs:{REGION}:{ACCOUNT}:detection"
DETECTION_DEAD = f"arn:aws:sqs:{REGION}:{ACCOUNT}:detection-dead"
COMPACTION_DEAD = f"arn:aws:sqs:{REGION}:{ACCOUNT}:compaction-dead"
SEEN_AT = dt.datetime(2024, 5, 4, 4, tzinfo=dt.timezone.utc)
"""The view shows raw days from 2024-05-01 on, of which two are sealed: the first has been for 26 hours, as long as it may."""
STACK = Stack(
    name="logs-stack",
    status="CREATE_COMPLETE",
    parameters={
        "FirstDay": "2020-01-01",
        "RecipeDatabase": "default",
        "SourceBuckets": "*",
        "CreateLogBucket": "Yes",
        "SourceAccount": "",
        "MaximumConcurrency": "8",
        "Compaction": "scheduled",
        "CompactionSchedule": "cron(30 3 * * ? *)",
        "CompactionGraceDays": "7",
        "CompactionSealHours": "26",
        "Detection": "Yes",
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
        "CompactorName": "logs-stack-compact",
        "CompactionDeadLetterQueueUrl": "https://queue/compaction-dead",
        "DetectorName": "logs-stack-detect",
        "DetectionQueueArn": DETECTION,
        "DetectionQueueUrl": "https://queue/detection",
        "DetectionDeadLetterQueueUrl": "https://queue/detection-dead",
    },
    resources={"CompactionTimer": "logs-stack-CompactionTimer-1A2B"},
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
        concurrency={},
        event_source=event_source(window=60),
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
        compactor=compactor(),
        detector=detector(),
        progress=Progress(
            seen_at=SEEN_AT,
            committed_at="2024-05-02T03:31:00+00:00",
            planned_at=None,
            waiting={"2024-05-01": 90, "2024-05-02": 96},
            stragglers=0,
        ),
    )


def event_source(*, window: int) -> dict[str, Any]:
    return {
        "State": "Enabled",
        "MaximumBatchingWindowInSeconds": window,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    }


def compactor() -> Compactor:
    variables = {
        "ACCESSLAKE_LAKE": LAKE + "/",
        "ACCESSLAKE_GRACE_DAYS": "7",
        "ACCESSLAKE_SEAL_HOURS": "26",
        "ACCESSLAKE_MAX_RAW_OBJECTS": "5000",
    }
    return Compactor(
        function={"Timeout": 900, "Environment": {"Variables": variables}},
        concurrency={},
        retries={"MaximumRetryAttempts": 2, "DestinationConfig": {"OnFailure": {"Destination": COMPACTION_DEAD}}},
        schedule={
            "State": "ENABLED",
            "ScheduleExpression": "cron(30 3 * * ? *)",
            "ScheduleExpressionTimezone": "UTC",
            "Target": {
                "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:logs-stack-compact",
                "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/timer",
                "DeadLetterConfig": {"Arn": COMPACTION_DEAD},
            },
        },
        dead_letters={"QueueArn": COMPACTION_DEAD, "ApproximateNumberOfMessages": "0"},
    )


def detector() -> Detector:
    announced = {
        "Id": "x",
        "QueueArn": DETECTION,
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {
            "Key": {
                "FilterRules": [
                    {"Name": "prefix", "Value": "some/lake/raw/"},
                    {"Name": "suffix", "Value": ".parquet"},
                ]
            }
        },
    }
    return Detector(
        function={"Timeout": 120, "Environment": {"Variables": {"ACCESSLAKE_LAKE": LAKE + "/"}}},
        concurrency={},
        event_source=event_source(window=300),
        queue={
            "QueueArn": DETECTION,
            "VisibilityTimeout": "1020",
            "Policy": json.dumps(QUEUE_POLICY),
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": DETECTION_DEAD, "maxReceiveCount": 5}),
            "ApproximateNumberOfMessages": "1234",
        },
        dead_letters={"QueueArn": DETECTION_DEAD, "ApproximateNumberOfMessages": "0"},
        age={"Datapoints": [{"Timestamp": SEEN_AT, "Maximum": 3600.0}]},
        notification={"QueueConfigurations": [announced]},
    )


def failing(found: Deployed) -> list[Check]:
    return [check for check in examine(found) if not check.ok]


def assert_one_fails(found: Deployed, name: str, word: str) -> None:
    """Of all checks that one alone, in one line, with something to do about it."""
    (check,) = failing(found)
    assert check.name == name
    assert word in check.found
    assert check.advice
    assert "\n" not in check.found
