"""The template keeps every rule with every choice of parameters, and each rule is broken by a template that deserves it."""

from __future__ import annotations

import copy
import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import template_access_rules as access
import template_job_rules as job
import template_lake_rules as lake
import template_run_rules as run
from template_rules import RULES, Rule
from template_values import TEMPLATE, Deployment, Json, UnknownReference, read_template

from etl.query import bind, list_queries
from infra.generate_template import generate_template, main, named_query_sql

KEY = "arn:aws:kms:eu-west-1:111122223333:key/12345678-1234-1234-1234-123456789012"
NAMES = {"LogBucketName": "the-logs", "LakeBucketName": "the-lake"}
CHOICES: dict[str, dict[str, str]] = {
    "defaults": {},
    "direct": {"Sink": "parquet", "KmsKeyArn": KEY, "UseLakeFormation": "Yes"},
    "existing": {"CreateLogBucket": "No", "CreateLake": "No", "LogPrefix": ""},
    "all": {
        "KmsKeyArn": KEY,
        "UseLakeFormation": "Yes",
        "LakePrefix": "lakes/one/",
        "LogPrefix": "a/b/",
        "SourceBuckets": "one,two-*",
        "SourceAccount": "444455556666",
        "AlarmEmail": "me@example.com",
        "RecipeDatabase": "older",
        "FirstDay": "2020-02-29",
        "SparkJob": "Yes",
        "ArchiveBucketName": "the-archive",
        "CompactionGraceDays": "3",
    },
    "whole log bucket": {"LogPrefix": ""},
    "paused": {"Compaction": "paused", "UseLakeFormation": "Yes"},
    "undetected": {"Detection": "No", "KmsKeyArn": KEY},
    "known SigV2": {"AlarmOnSigV2": "No", "LakePrefix": "lake/", "CreateLake": "No"},
    "compacted elsewhere": {"Compaction": "elsewhere", "KmsKeyArn": KEY, "UseLakeFormation": "Yes"},
    "compacted on Spark": {"Compaction": "elsewhere", "SparkJob": "Yes"},
}
COMMITTED = read_template()
GONE = object()


def deployed(template: Json | None = None, /, **given: str) -> Deployment:
    return Deployment(COMMITTED if template is None else template, {**NAMES, **given})


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_template_keeps_the_rule(rule: Rule, choice: str) -> None:
    assert list(rule(deployed(**CHOICES[choice]))) == []


# --- Templates that break a rule --------------------------------------------------------------------------------------

STREAM = "Stream/Properties/ExtendedS3DestinationConfiguration"
PARQUET = f"{STREAM}/DataFormatConversionConfiguration/OutputFormatConfiguration/Serializer/ParquetSerDe"
OPENX = f"{STREAM}/DataFormatConversionConfiguration/InputFormatConfiguration/Deserializer/OpenXJsonSerDe"
RAW = "RawTable/Properties/TableInput"
SOURCE = "Parser/Properties/Events/LogObjects/Properties"
VARIABLES = "Parser/Properties/Environment/Variables"
PARSER_MAY = "ParserRole/Properties/Policies/0/PolicyDocument/Statement"
STREAM_MAY = "StreamRole/Properties/Policies/0/PolicyDocument/Statement"
LOG_POLICY = "LogBucketPolicy/Properties/PolicyDocument/Statement"
LAKE_POLICY = "LakeBucketPolicy/Properties/PolicyDocument/Statement"
QUEUE_POLICY = "LogQueuePolicy/Properties/PolicyDocument/Statement"
LIFECYCLE = "LakeBucket/Properties/LifecycleConfiguration/Rules"
WORKGROUP = "Workgroup/Properties/WorkGroupConfiguration"
COMPACTOR_MAY = "CompactorRole/Properties/Policies/0/PolicyDocument/Statement"
TIMER_MAY = "CompactionTimerRole/Properties/Policies/0/PolicyDocument/Statement"
TIMER = "CompactionTimer/Properties"
SETTINGS = "Compactor/Properties/Environment/Variables"
MISSED = "MissedRunAlarm/Properties"
DETECTOR_MAY = "DetectorRole/Properties/Policies/0/PolicyDocument/Statement"
NEW_FILES = "Detector/Properties/Events/NewFiles/Properties"
DETECTOR_LETS = "DetectionQueuePolicy/Properties/PolicyDocument/Statement"
ANNOUNCED = "LakeBucket/Properties/NotificationConfiguration/Fn::If/1/QueueConfigurations/0"
REWRITER = "Rewriter/Properties"
REWRITER_MAY = "RewriterRole/Properties/Policies/0/PolicyDocument/Statement"
FAILED = "RewriterFailed/Properties"
NOTIFIED = "LogBucket/Properties/NotificationConfiguration/QueueConfigurations/0"

BREAKS: tuple[tuple[Rule, str, Any], ...] = (
    (lake.conversion_has_room, f"{STREAM}/BufferingHints/SizeInMBs", 63),
    (lake.conversion_has_room, f"{STREAM}/BufferingHints", GONE),
    (lake.conversion_has_room, f"{STREAM}/BufferingHints/IntervalInSeconds", 901),
    (lake.compression_is_the_serializers, f"{STREAM}/CompressionFormat", "GZIP"),
    (lake.compression_is_the_serializers, f"{STREAM}/CompressionFormat", GONE),
    (lake.compression_is_the_serializers, f"{PARQUET}/Compression", "GZIP"),
    (lake.compression_is_the_serializers, f"{PARQUET}/EnableDictionaryCompression", GONE),
    (lake.compression_is_the_serializers, f"{STREAM}/DataFormatConversionConfiguration/Enabled", False),
    (lake.errors_lie_outside_tables, f"{STREAM}/ErrorOutputPrefix", GONE),
    (lake.errors_lie_outside_tables, f"{STREAM}/ErrorOutputPrefix", "errors/!{timestamp:yyyy}/"),
    (lake.errors_lie_outside_tables, f"{STREAM}/ErrorOutputPrefix", "raw/errors/!{firehose:error-output-type}/"),
    (lake.prefix_is_the_partition, f"{STREAM}/Prefix", "raw/ingest_date=!{timestamp:yyyy/MM/dd}/"),
    (lake.prefix_is_the_partition, f"{STREAM}/Prefix", "raw/day=!{timestamp:yyyy-MM-dd}/"),
    (lake.prefix_is_the_partition, f"{RAW}/Parameters/projection.ingest_date.format", "yyyy/MM/dd"),
    (lake.prefix_is_the_partition, f"{RAW}/StorageDescriptor/Location", "s3://the-lake/raw"),
    (lake.prefix_is_the_partition, f"{RAW}/Parameters/storage.location.template", "s3://the-lake/raw/${day}/"),
    (lake.keys_are_the_schemas, f"{OPENX}/ColumnToJsonKeyMappings", GONE),
    (lake.keys_are_the_schemas, f"{OPENX}/ColumnToJsonKeyMappings/remote_ip", "operation"),
    (lake.tables_are_the_schemas, f"{RAW}/StorageDescriptor/Columns/0/Type", "int"),
    (lake.tables_are_the_schemas, f"{RAW}/StorageDescriptor/Columns/3", GONE),
    (lake.tables_are_the_schemas, f"{RAW}/PartitionKeys/0/Name", "line_no"),
    (lake.tables_are_the_schemas, f"{RAW}/PartitionKeys/0/Type", "date"),
    (lake.tables_are_the_schemas, f"{RAW}/Parameters/projection.ingest_date.range", "NOW-1YEAR,NOW"),
    (lake.tables_are_the_schemas, "FindingsTable/Properties/TableInput/StorageDescriptor/Location", "s3://the-lake/"),
    (lake.tables_are_the_schemas, "QuarantineTable/Properties/TableInput/Name", "quarantine"),
    (lake.catalog_follows_the_version, "Catalog/Properties/Version", GONE),
    (lake.catalog_follows_the_version, "Catalog/Properties/Database", "default"),
    (lake.catalog_follows_the_version, "Catalog/Properties/LakeUri", "s3://the-logs/"),
    (lake.catalog_follows_the_version, "Catalog/DependsOn", ["RawTable"]),
    (lake.queries_are_the_files, "QueryTopRequesters", GONE),
    (lake.queries_are_the_files, "QueryTopRequesters/Properties/QueryString", "SELECT 1"),
    (lake.queries_are_the_files, "QueryTopRequesters/Properties/WorkGroup", "primary"),
    (lake.queries_are_bounded, f"{WORKGROUP}/EnforceWorkGroupConfiguration", False),
    (lake.queries_are_bounded, f"{WORKGROUP}/BytesScannedCutoffPerQuery", GONE),
    (lake.queries_are_bounded, f"{WORKGROUP}/ResultConfiguration/OutputLocation", "s3://the-lake/raw/"),
    (lake.queries_are_bounded, f"{WORKGROUP}/ResultConfiguration/EncryptionConfiguration", GONE),
    (run.messages_stay_hidden_long_enough, "LogQueue/Properties/VisibilityTimeout", 1859),
    (run.messages_stay_hidden_long_enough, "Parser/Properties/Timeout", 301),
    (run.batches_are_legal, f"{SOURCE}/BatchSize", 10_001),
    (run.batches_are_legal, f"{SOURCE}/MaximumBatchingWindowInSeconds", GONE),
    (run.batches_are_legal, f"{SOURCE}/FunctionResponseTypes", GONE),
    (run.batches_are_legal, f"{SOURCE}/ScalingConfig", GONE),
    (run.failures_are_kept, "LogQueue/Properties/RedrivePolicy", GONE),
    (run.failures_are_kept, "LogQueue/Properties/RedrivePolicy/maxReceiveCount", 1),
    (run.failures_are_kept, "LogQueue/Properties/MessageRetentionPeriod", 1_209_600),
    (run.failures_are_kept, "DeadLetterQueue/Properties/MessageRetentionPeriod", GONE),
    (run.a_schedule_calls_the_compactor, "CompactionTimer", GONE),
    (run.a_schedule_calls_the_compactor, "CompactorInvokes", GONE),
    (run.a_schedule_calls_the_compactor, f"{TIMER}/State", "DISABLED"),
    (run.a_schedule_calls_the_compactor, f"{TIMER}/ScheduleExpression", "rate(1 day)"),
    (run.a_schedule_calls_the_compactor, f"{TIMER}/ScheduleExpressionTimezone", "Europe/Zurich"),
    (run.a_schedule_calls_the_compactor, f"{TIMER}/Target/RetryPolicy", GONE),
    (run.a_schedule_calls_the_compactor, f"{TIMER}/Target/DeadLetterConfig", GONE),
    (run.a_schedule_calls_the_compactor, f"{TIMER}/Target/Arn", {"Fn::GetAtt": ["Parser", "Arn"]}),
    (run.a_schedule_calls_the_compactor, f"{TIMER}/Target/RoleArn", {"Fn::GetAtt": ["CompactorRole", "Arn"]}),
    (run.a_schedule_calls_the_compactor, f"{TIMER_MAY}/0/Resource", "arn:aws:lambda:eu-west-1:111122223333:function:f"),
    (run.a_schedule_calls_the_compactor, f"{TIMER_MAY}/1", GONE),
    (run.a_schedule_calls_the_compactor, "CompactorInvokes/Properties/DestinationConfig", GONE),
    (run.a_schedule_calls_the_compactor, "CompactorInvokes/Properties/MaximumRetryAttempts", 0),
    (run.a_schedule_calls_the_compactor, "CompactorInvokes/Properties/FunctionName", {"Ref": "Parser"}),
    (run.a_schedule_calls_the_compactor, "CompactionDeadLetterQueue/Properties/MessageRetentionPeriod", 345600),
    (run.the_compactor_has_room, "Compactor/Properties/Timeout", 300),
    (run.the_compactor_has_room, "Compactor/Properties/MemorySize", 1769),
    (run.the_compactor_has_room, "Compactor/Properties/EphemeralStorage/Size", 5120),
    (run.the_compactor_has_room, f"{SETTINGS}/ACCESSLAKE_MAX_RAW_BYTES", 10 << 30),
    (run.the_compactor_has_room, f"{SETTINGS}/ACCESSLAKE_MAX_RAW_OBJECTS", "10000"),
    (run.the_compactor_has_room, f"{SETTINGS}/ACCESSLAKE_SCRATCH", GONE),
    (run.the_compactor_has_room, "Compactor/Properties/ReservedConcurrentExecutions", 1),
    (run.queues_are_encrypted, "DeadLetterQueue/Properties/SqsManagedSseEnabled", False),
    (run.queues_are_encrypted, "LogQueue/Properties/KmsMasterKeyId", "alias/aws/sqs"),
    (run.functions_are_what_the_package_holds, "Parser/Properties/Handler", "etl.lambdas.parse_log.handler"),
    (run.functions_are_what_the_package_holds, f"{VARIABLES}/ACCESSLAKE_STREAM", GONE),
    (run.functions_are_what_the_package_holds, f"{VARIABLES}/ACCESSLAKE_LOG_BUCKETS", "the-lake"),
    (run.functions_are_what_the_package_holds, "Layer/Properties/CompatibleArchitectures", ["x86_64"]),
    (run.functions_are_what_the_package_holds, "DuckDBLayer/Properties/CompatibleArchitectures", ["x86_64"]),
    (run.functions_are_what_the_package_holds, "Compactor/Properties/Layers", GONE),
    (run.functions_are_what_the_package_holds, "Compactor/Properties/CodeUri", GONE),
    (run.functions_are_what_the_package_holds, f"{SETTINGS}/ACCESSLAKE_GRACE_DAYS", GONE),
    (run.functions_are_what_the_package_holds, f"{SETTINGS}/ACCESSLAKE_LAKE", "s3://the-lake/elsewhere"),
    (run.logs_are_kept_and_end, "CompactorLogs/Properties/RetentionInDays", GONE),
    (run.logs_are_kept_and_end, "ParserLogs/Properties/RetentionInDays", GONE),
    (run.logs_are_kept_and_end, "CreateCatalogLogs/Properties/LogGroupName", "/aws/lambda/catalog"),
    (run.logs_are_kept_and_end, "Parser/Properties/FunctionName", GONE),
    (run.logs_are_kept_and_end, f"{STREAM}/CloudWatchLoggingOptions/Enabled", False),
    (run.alarms_name_metrics_that_exist, "ThrottledAlarm/Properties/MetricName", "ThrottledRecord"),
    (run.alarms_name_metrics_that_exist, "QueueAgeAlarm/Properties/Dimensions/0/Name", "Queue"),
    (run.alarms_name_metrics_that_exist, "ParserErrorsAlarm/Properties/Namespace", "AWS/SQS"),
    (
        run.alarms_name_metrics_that_exist,
        "RejectRatioAlarm/Properties/Metrics/1/MetricStat/Metric/MetricName",
        "LinesRejected",
    ),
    (
        run.alarms_name_metrics_that_exist,
        "Dashboard/Properties/DashboardBody",
        '{"widgets": [{"properties": {"metrics": [["accesslake", "Rows", "Function", "f"]]}}]}',
    ),
    (run.what_matters_is_alarmed, "DeadLetterAlarm", GONE),
    (run.what_matters_is_alarmed, "RejectRatioAlarm/Properties/Metrics/0", GONE),
    (run.what_matters_is_alarmed, "FailedConversionAlarm/Properties/AlarmActions", GONE),
    (run.what_matters_is_alarmed, "FreshnessAlarm/Properties/TreatMissingData", "breaching"),
    (run.what_matters_is_alarmed, "FreshnessAlarm/Properties/Threshold", 900),
    (run.what_matters_is_alarmed, "ParserErrorsAlarm/Properties/Dimensions/0/Value", "parser"),
    (run.what_matters_is_alarmed, "MissedRunAlarm", GONE),
    (run.what_matters_is_alarmed, f"{MISSED}/TreatMissingData", "notBreaching"),
    (run.what_matters_is_alarmed, f"{MISSED}/EvaluationPeriods", 24),
    (run.what_matters_is_alarmed, f"{MISSED}/ComparisonOperator", "LessThanOrEqualToThreshold"),
    (run.what_matters_is_alarmed, "StragglersAlarm", GONE),
    (run.what_matters_is_alarmed, "LeftOutAlarm/Properties/AlarmActions", GONE),
    (run.what_matters_is_alarmed, "CompactionDeadLetterAlarm", GONE),
    (run.alarms_name_metrics_that_exist, "StragglersAlarm/Properties/MetricName", "Straggler"),
    (access.roles_name_what_they_may, f"{PARSER_MAY}/2/Resource", "*"),
    (access.roles_name_what_they_may, f"{PARSER_MAY}/2/Action", "s3:Get*"),
    (access.roles_name_what_they_may, f"{STREAM_MAY}/2/Resource/0", "*"),
    (access.roles_name_what_they_may, "ParserRole/Properties/ManagedPolicyArns", ["arn:aws:iam::aws:policy/Any"]),
    (access.roles_name_what_they_may, "Parser/Properties/Role", GONE),
    (access.roles_write_only_where_they_must, f"{PARSER_MAY}/4/Resource/0", "arn:aws:s3:::the-lake/*"),
    (access.roles_write_only_where_they_must, f"{PARSER_MAY}/4/Resource/0", "arn:aws:s3:::the-lake/compacted/*"),
    (access.roles_write_only_where_they_must, f"{PARSER_MAY}/2/Action", ["s3:GetObject", "s3:DeleteObject"]),
    (access.roles_write_only_where_they_must, f"{COMPACTOR_MAY}/3/Resource/0", "arn:aws:s3:::the-lake/raw/*"),
    (access.roles_write_only_where_they_must, f"{COMPACTOR_MAY}/3/Resource/2", "arn:aws:s3:::the-lake/meta/*"),
    (access.roles_write_only_where_they_must, f"{COMPACTOR_MAY}/4/Resource/0", "arn:aws:s3:::the-lake/compacted/*"),
    (access.roles_write_only_where_they_must, f"{COMPACTOR_MAY}/4/Resource/0", "arn:aws:s3:::the-logs/*"),
    (access.roles_write_only_where_they_must, f"{COMPACTOR_MAY}/5/Action", ["glue:UpdateTable", "glue:DeleteTable"]),
    (access.the_state_moves_in_two_tables, f"{COMPACTOR_MAY}/5", GONE),
    (access.the_state_moves_in_two_tables, f"{COMPACTOR_MAY}/5/Action", ["glue:GetTable", "glue:CreateTable"]),
    (access.the_state_moves_in_two_tables, f"{COMPACTOR_MAY}/5/Resource/3", GONE),
    (
        access.services_are_who_they_say,
        "CompactionTimerRole/Properties/AssumeRolePolicyDocument/Statement/0/Condition",
        GONE,
    ),
    (access.only_tls, "CompactionDeadLetterQueuePolicy", GONE),
    (access.services_are_who_they_say, "StreamRole/Properties/AssumeRolePolicyDocument/Statement/0/Condition", GONE),
    (access.services_are_who_they_say, f"{QUEUE_POLICY}/0/Condition/StringEquals", GONE),
    (access.services_are_who_they_say, f"{LOG_POLICY}/0/Condition", GONE),
    (access.services_are_who_they_say, "AlarmsPolicy/Properties/PolicyDocument/Statement/0/Condition", GONE),
    (access.buckets_are_closed, "LakeBucket/Properties/PublicAccessBlockConfiguration/BlockPublicPolicy", GONE),
    (access.buckets_are_closed, "LogBucket/Properties/OwnershipControls", GONE),
    (access.buckets_are_closed, "LakeBucket/Properties/BucketEncryption", GONE),
    (
        access.buckets_are_closed,
        "LogBucket/Properties/BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault",
        {"SSEAlgorithm": "aws:kms"},
    ),
    (access.what_holds_data_outlives_the_stack, "LakeBucket/DeletionPolicy", GONE),
    (access.what_holds_data_outlives_the_stack, "LogBucket/UpdateReplacePolicy", "Delete"),
    (access.what_holds_data_outlives_the_stack, "LogBucketPolicy/DeletionPolicy", GONE),
    (access.what_holds_data_outlives_the_stack, "Database/DeletionPolicy", GONE),
    (access.only_tls, f"{LAKE_POLICY}/0", GONE),
    (access.only_tls, f"{LAKE_POLICY}/0/Resource", "arn:aws:s3:::the-lake"),
    (access.only_tls, f"{LAKE_POLICY}/0/Action", "s3:GetObject"),
    (access.only_tls, f"{LOG_POLICY}/1/Condition/StringNotEquals", {"aws:PrincipalAccount": "111122223333"}),
    (access.only_tls, f"{LOG_POLICY}/1/Condition/Bool", {"aws:SecureTransport": "true"}),
    (access.only_tls, f"{QUEUE_POLICY}/1/Principal", {"Service": "s3.amazonaws.com"}),
    (access.only_tls, "DeadLetterQueuePolicy", GONE),
    (access.rows_never_expire, f"{LIFECYCLE}/0/Prefix", "raw/"),
    (access.rows_never_expire, f"{LIFECYCLE}/0/Prefix", "compacted/"),
    (access.rows_never_expire, f"{LIFECYCLE}/0/Prefix", "meta/"),
    (access.rows_never_expire, f"{LIFECYCLE}/1/Prefix", "quarantine/"),
    (access.rows_never_expire, f"{LIFECYCLE}/2/ExpirationInDays", 400),
    (access.rows_never_expire, f"{LIFECYCLE}/0/Transitions", [{"StorageClass": "GLACIER", "TransitionInDays": 30}]),
    (access.rows_never_expire, f"{LIFECYCLE}/1/ExpirationInDays", 7),
    (access.rows_never_expire, f"{LIFECYCLE}/0", GONE),
    (access.uploads_are_aborted, f"{LIFECYCLE}/2", GONE),
    (access.uploads_are_aborted, "LogBucket/Properties/LifecycleConfiguration/Rules/1/Status", "Disabled"),
    (access.logs_can_be_delivered, f"{LOG_POLICY}/0", GONE),
    (access.logs_can_be_delivered, f"{LOG_POLICY}/0/Principal/Service", "s3.amazonaws.com"),
    (access.logs_can_be_delivered, f"{LOG_POLICY}/0/Resource", "arn:aws:s3:::the-logs/log/*"),
    (access.logs_can_be_delivered, f"{LOG_POLICY}/0/Condition/ArnNotLike", GONE),
    (access.logs_can_be_delivered, f"{LOG_POLICY}/0/Condition/ArnLike/aws:SourceArn", "*"),
    (access.logs_can_be_delivered, "LogBucket/Properties/ObjectLockEnabled", True),
    (access.logs_can_be_delivered, "LogBucket/Properties/LoggingConfiguration", {"LogFilePrefix": "own/"}),
    (access.notifications_reach_the_queue, f"{QUEUE_POLICY}/0", GONE),
    (access.notifications_reach_the_queue, f"{QUEUE_POLICY}/0/Condition/ArnLike/aws:SourceArn", "*"),
    (access.notifications_reach_the_queue, "LogBucket/DependsOn", GONE),
    (access.notifications_reach_the_queue, "LogBucket/Properties/NotificationConfiguration", GONE),
    (access.notifications_reach_the_queue, f"{NOTIFIED}/Filter", GONE),
    (access.notifications_reach_the_queue, f"{NOTIFIED}/Event", "s3:ObjectCreated:Put"),
    (access.new_files_reach_the_detector, f"{DETECTOR_LETS}/0", GONE),
    (
        access.new_files_reach_the_detector,
        f"{DETECTOR_LETS}/0/Condition/ArnLike/aws:SourceArn",
        "arn:aws:s3:::the-logs",
    ),
    (access.new_files_reach_the_detector, f"{DETECTOR_LETS}/0/Resource", {"Fn::GetAtt": ["LogQueue", "Arn"]}),
    (access.new_files_reach_the_detector, "LakeBucket/Metadata", GONE),
    (access.new_files_reach_the_detector, f"{ANNOUNCED}/Filter/S3Key/Rules/0", GONE),
    (access.new_files_reach_the_detector, f"{ANNOUNCED}/Filter/S3Key/Rules/0/Value", "raw/ingest_date="),
    (access.new_files_reach_the_detector, f"{ANNOUNCED}/Filter/S3Key/Rules/1", GONE),
    (access.new_files_reach_the_detector, f"{ANNOUNCED}/Queue", {"Fn::GetAtt": ["LogQueue", "Arn"]}),
    (access.the_detector_reads_new_files_alone, f"{DETECTOR_MAY}/2/Resource", "arn:aws:s3:::the-lake/*"),
    (access.the_detector_reads_new_files_alone, f"{DETECTOR_MAY}/2/Resource", "arn:aws:s3:::the-logs/logs/*"),
    (access.the_detector_reads_new_files_alone, f"{DETECTOR_MAY}/4/Action", ["s3:PutObject", "s3:GetObject"]),
    (access.roles_write_only_where_they_must, f"{DETECTOR_MAY}/4/Resource", "arn:aws:s3:::the-lake/raw/*"),
    (access.roles_write_only_where_they_must, f"{DETECTOR_MAY}/4/Action", ["s3:PutObject", "s3:DeleteObject"]),
    (access.only_tls, f"{DETECTOR_LETS}/1", GONE),
    (access.only_tls, "DetectionDeadLetterQueuePolicy", GONE),
    (access.services_are_who_they_say, f"{DETECTOR_LETS}/0/Condition/StringEquals", GONE),
    (lake.saved_searches_are_the_files, "InsightsRequestsByDay", GONE),
    (lake.saved_searches_are_the_files, "InsightsRequestsByDay/Properties/QueryString", "fields @message"),
    (lake.saved_searches_are_the_files, "InsightsRequestsByDay/Properties/LogGroupNames", [{"Ref": "ParserLogs"}]),
    (run.the_detector_has_room, "Detector/Properties/Timeout", 60),
    (run.the_detector_has_room, "Detector/Properties/MemorySize", 512),
    (run.the_detector_has_room, f"{NEW_FILES}/BatchSize", 10),
    (run.the_detector_has_room, f"{NEW_FILES}/MaximumBatchingWindowInSeconds", 60),
    (run.messages_stay_hidden_long_enough, "DetectionQueue/Properties/VisibilityTimeout", 720),
    (run.batches_are_legal, f"{NEW_FILES}/FunctionResponseTypes", GONE),
    (run.failures_are_kept, "DetectionQueue/Properties/RedrivePolicy", GONE),
    (run.failures_are_kept, "DetectionDeadLetterQueue/Properties/MessageRetentionPeriod", 345600),
    (run.queues_are_encrypted, "DetectionQueue/Properties/SqsManagedSseEnabled", GONE),
    (run.functions_are_what_the_package_holds, "Detector/Properties/Handler", "etl.lambdas.detector.handler"),
    (
        run.functions_are_what_the_package_holds,
        "Detector/Properties/Environment/Variables/ACCESSLAKE_LAKE",
        "s3://the-lake",
    ),
    (run.functions_are_what_the_package_holds, "Detector/Properties/CodeUri", "../build/compactor.zip"),
    (run.logs_are_kept_and_end, "DetectorLogs/Properties/RetentionInDays", GONE),
    (run.what_matters_is_alarmed, "SigV2Alarm", GONE),
    (run.what_matters_is_alarmed, "SigV2Alarm/Properties/Threshold", 100),
    (run.what_matters_is_alarmed, "SigV2Alarm/Properties/AlarmActions", GONE),
    (run.what_matters_is_alarmed, "DetectorErrorsAlarm", GONE),
    (run.what_matters_is_alarmed, "DetectionDeadLetterAlarm", GONE),
    (run.alarms_name_metrics_that_exist, "SigV2Alarm/Properties/MetricName", "SigV2Request"),
    (access.logs_of_logs_are_refused, "../Rules/BucketsDiffer", GONE),
    (access.logs_of_logs_are_refused, "../Rules/LogsOfLogsStayOut", GONE),
)
WITH_ALL: tuple[tuple[Rule, str, Any], ...] = (
    (lake.streams_wait_for_grants, "Stream/Metadata", GONE),
    (
        lake.streams_wait_for_grants,
        "CreateCatalogGrantOnDatabase/Properties/Principal",
        {"DataLakePrincipalIdentifier": "x"},
    ),
    (access.the_state_moves_in_two_tables, "CompactorGrantOnView", GONE),
    (access.the_state_moves_in_two_tables, "CompactorGrantOnTable/DependsOn", GONE),
    (access.the_state_moves_in_two_tables, "CompactorGrantOnTable/Properties/Permissions", ["DESCRIBE"]),
    (access.a_key_is_used_everywhere, "CompactorLogs/Properties/KmsKeyId", GONE),
    (access.a_key_is_used_everywhere, f"{COMPACTOR_MAY}/7", GONE),
    (access.a_key_is_used_everywhere, "ParserLogs/Properties/KmsKeyId", GONE),
    (access.a_key_is_used_everywhere, "DetectorLogs/Properties/KmsKeyId", GONE),
    (access.a_key_is_used_everywhere, f"{DETECTOR_MAY}/5", GONE),
    (access.new_files_reach_the_detector, f"{ANNOUNCED}/Filter/S3Key/Rules/0/Value", "raw/"),
    (access.a_key_is_used_everywhere, f"{STREAM}/EncryptionConfiguration", GONE),
    (access.a_key_is_used_everywhere, f"{PARSER_MAY}/6", GONE),
    (job.the_job_is_there_when_asked_for, "Rewriter", GONE),
    (job.the_job_is_there_when_asked_for, "RawTable/Type", "AWS::Glue::Trigger"),
    (job.the_job_runs_our_script, f"{REWRITER}/GlueVersion", "4.0"),
    (job.the_job_runs_our_script, f"{REWRITER}/Command/ScriptLocation", "../build/job.py"),
    (job.the_job_runs_our_script, f"{REWRITER}/NumberOfWorkers", 10),
    (job.the_job_runs_our_script, f"{REWRITER}/MaxRetries", 1),
    (job.the_job_runs_our_script, f"{REWRITER}/ExecutionProperty", GONE),
    (job.the_job_runs_our_script, f"{REWRITER}/Timeout", GONE),
    (job.the_job_runs_our_script, f"{REWRITER}/DefaultArguments/--lake", "s3://the-lake/lakes/"),
    (job.the_job_runs_our_script, f"{REWRITER}/DefaultArguments/--verb", "ingest"),
    (job.the_job_runs_our_script, f"{REWRITER}/DefaultArguments/--grace-days", GONE),
    (job.the_job_runs_our_script, f"{REWRITER}/DefaultArguments/--lake-region", GONE),
    (job.the_job_runs_our_script, f"{REWRITER}/DefaultArguments/--additional-python-modules", "pyarrow"),
    (job.the_job_logs_where_it_may, f"{REWRITER}/DefaultArguments/--custom-logGroup-prefix", GONE),
    (job.the_job_logs_where_it_may, "RewriterErrorLogs/Properties/LogGroupName", "/aws-glue/jobs/error"),
    (job.the_job_logs_where_it_may, "Rewriter/DependsOn", GONE),
    (job.the_job_logs_where_it_may, f"{REWRITER_MAY}/0/Resource/1", GONE),
    (job.the_job_reads_what_it_rewrites, f"{REWRITER_MAY}/2", GONE),
    (job.the_job_reads_what_it_rewrites, f"{REWRITER_MAY}/2/Condition", GONE),
    (job.the_job_reads_what_it_rewrites, f"{REWRITER_MAY}/3/Resource/1", GONE),
    (job.the_job_reads_what_it_rewrites, f"{REWRITER_MAY}/4/Resource/0", "arn:aws:s3:::the-lake/*"),
    (job.the_job_reads_what_it_rewrites, f"{REWRITER_MAY}/5/Resource/1", GONE),
    (job.failed_runs_are_told, "RewriterFailed", GONE),
    (job.failed_runs_are_told, f"{FAILED}/EventPattern/detail/state", ["FAILED"]),
    (job.failed_runs_are_told, f"{FAILED}/EventPattern/detail/jobName", GONE),
    (job.failed_runs_are_told, f"{FAILED}/Targets/0/Arn", {"Ref": "AlarmEmail"}),
    (job.failed_runs_are_told, "AlarmsPolicy/Properties/PolicyDocument/Statement/1", GONE),
    (run.logs_are_kept_and_end, "RewriterLogs/Properties/RetentionInDays", GONE),
    (access.roles_name_what_they_may, f"{REWRITER_MAY}/1/Condition", GONE),
    (access.roles_name_what_they_may, f"{REWRITER_MAY}/2/Resource", "*"),
    (
        access.roles_name_what_they_may,
        "RewriterRole/Properties/ManagedPolicyArns",
        ["arn:aws:iam::aws:policy/service-role/AWSGlueServiceRole"],
    ),
    (access.roles_write_only_where_they_must, f"{REWRITER_MAY}/6/Resource/2", "arn:aws:s3:::the-lake/lakes/one/raw/*"),
    (access.roles_write_only_where_they_must, f"{REWRITER_MAY}/6/Resource/2", "arn:aws:s3:::the-logs/*"),
    (
        access.roles_write_only_where_they_must,
        f"{REWRITER_MAY}/7/Resource/1",
        "arn:aws:s3:::the-lake/lakes/one/compacted/*",
    ),
    (access.the_state_moves_in_two_tables, f"{REWRITER_MAY}/8/Action", ["glue:GetTable", "glue:DeleteTable"]),
    (access.the_state_moves_in_two_tables, "RewriterGrantOnView", GONE),
    (access.a_key_is_used_everywhere, "RewriterErrorLogs/Properties/KmsKeyId", GONE),
    (access.a_key_is_used_everywhere, f"{REWRITER_MAY}/9", GONE),
    (
        access.services_are_who_they_say,
        "AlarmsPolicy/Properties/PolicyDocument/Statement/1/Fn::If/1/Condition",
        GONE,
    ),
    (access.buckets_are_closed, "LakeBucket/Properties/BucketEncryption/ServerSideEncryptionConfiguration", []),
    (access.logs_can_be_delivered, f"{LOG_POLICY}/0/Condition/ArnLike/aws:SourceArn", ["arn:aws:s3:::one,two-*"]),
    (access.rows_never_expire, f"{LIFECYCLE}/0/Prefix", "lake/staging/"),
    (lake.prefix_is_the_partition, f"{STREAM}/Prefix", "raw/ingest_date=!{timestamp:yyyy-MM-dd}/"),
)
PAUSED: tuple[tuple[Rule, str, Any], ...] = (
    (run.a_schedule_calls_the_compactor, f"{TIMER}/State", "ENABLED"),
    (run.what_matters_is_alarmed, f"{MISSED.partition('/')[0]}/Condition", "HasCompactor"),
)
DIRECT: tuple[tuple[Rule, str, Any], ...] = (
    (run.firehose_only_where_it_is_the_sink, f"{PARSER_MAY}/5", {"Sid": "Send", "Action": "firehose:PutRecord"}),
)


UNDETECTED: tuple[tuple[Rule, str, Any], ...] = (
    (run.the_detector_has_room, "../Conditions/HasDetector", {"Fn::Equals": ["", ""]}),
    (access.new_files_reach_the_detector, "../Conditions/HasDetector", {"Fn::Equals": ["", ""]}),
    (run.what_matters_is_alarmed, "../Conditions/HasDetector", {"Fn::Equals": ["", ""]}),
    (access.the_detector_reads_new_files_alone, "../Conditions/HasDetector", {"Fn::Equals": ["", ""]}),
    (lake.saved_searches_are_the_files, "../Conditions/HasDetector", {"Fn::Equals": ["", ""]}),
)


def broken(path: str, value: Any) -> Json:
    """The committed template with another value at the path below its resources, or without it."""
    template = copy.deepcopy(COMMITTED)
    node: Any = template["Resources"]
    if path.startswith("../"):
        node, path = template, path.removeprefix("../")
    *parents, last = path.split("/")
    for each in parents:
        node = node[int(each)] if isinstance(node, list) else node[each]
    place: Any = int(last) if isinstance(node, list) else last
    if value is GONE:
        del node[place]
    else:
        node[place] = value
    return template


def name_of(value: Any) -> str:
    if value is GONE:
        return "gone"
    return value.__name__ if callable(value) else str(value)[:60]


@pytest.mark.parametrize(("rule", "path", "value"), BREAKS, ids=name_of)
def test_a_broken_template_breaks_the_rule(rule: Rule, path: str, value: Any) -> None:
    assert list(rule(deployed(broken(path, value))))


@pytest.mark.parametrize(("rule", "path", "value"), WITH_ALL, ids=name_of)
def test_a_broken_template_with_all_choices_breaks_the_rule(rule: Rule, path: str, value: Any) -> None:
    assert list(rule(deployed(broken(path, value), **CHOICES["all"])))


@pytest.mark.parametrize(("rule", "path", "value"), DIRECT, ids=name_of)
def test_a_broken_template_of_the_direct_sink_breaks_the_rule(rule: Rule, path: str, value: Any) -> None:
    assert list(rule(deployed(broken(path, value), Sink="parquet")))


@pytest.mark.parametrize(("rule", "path", "value"), PAUSED, ids=name_of)
def test_a_broken_template_that_pauses_compaction_breaks_the_rule(rule: Rule, path: str, value: Any) -> None:
    assert list(rule(deployed(broken(path, value), Compaction="paused")))


@pytest.mark.parametrize(("rule", "path", "value"), UNDETECTED, ids=name_of)
def test_a_broken_template_without_detection_breaks_the_rule(rule: Rule, path: str, value: Any) -> None:
    assert list(rule(deployed(broken(path, value), Detection="No")))


def test_a_job_that_nobody_asked_for_is_noticed() -> None:
    template = broken("../Conditions/HasSparkJob", {"Fn::Equals": ["", ""]})
    assert list(job.the_job_is_there_when_asked_for(deployed(template)))
    assert list(job.failed_runs_are_told(deployed(template)))


def test_an_alarm_that_cannot_be_switched_off_is_noticed() -> None:
    template = broken("SigV2Alarm/Condition", "HasDetector")
    assert list(run.what_matters_is_alarmed(deployed(template, AlarmOnSigV2="No")))


def test_every_rule_is_proved() -> None:
    assert {rule for rule, *_ in BREAKS + WITH_ALL + DIRECT} == set(RULES)


# --- Names that resources have for each other -------------------------------------------------------------------------


@pytest.mark.parametrize("choice", CHOICES)
def test_nothing_refers_to_what_is_not_made(choice: str) -> None:
    deployment = deployed(**CHOICES[choice])
    assert deployment.resources
    assert deployment.value(
        {name: each["Value"] for name, each in COMMITTED["Outputs"].items() if "Condition" not in each}
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("Parser/Properties/Environment/Variables/ACCESSLAKE_STREAM", {"Ref": "Stream"}),
        ("RawTable/Properties/DatabaseName", {"Ref": "Database"}),
        ("Catalog/DependsOn", ["LakeBucket"]),
        ("Catalog/Properties/LakeUri", {"Fn::Sub": "s3://${LakeBucket}"}),
    ],
)
def test_a_reference_to_what_is_not_made_is_noticed(path: str, value: Any) -> None:
    with pytest.raises(UnknownReference):
        deployed(broken(path, value), Sink="parquet", **CHOICES["existing"]).resources  # noqa: B018


def test_no_prefix_and_any_prefix_give_whole_addresses() -> None:
    for prefix in "", "lakes/one/":
        deployment = deployed(LakePrefix=prefix)
        places = [
            each["TableInput"]["StorageDescriptor"]["Location"]
            for each in deployment.of_type("AWS::Glue::Table").values()
        ]
        assert sorted(places) == [f"s3://the-lake/{prefix}{folder}/" for folder in ("findings", "quarantine", "raw")]


# --- What is generated ------------------------------------------------------------------------------------------------


def test_the_committed_template_is_what_the_code_makes() -> None:
    assert main(["--check"]) == 0, "run make template"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('request_time: "t"', 'request_time: "x"'),
        ('Comment: "When S3 received the request, UTC"', 'Comment: "When"'),
        ("ORDER BY", "order by"),
        ('Default: "2006-03-14"', 'Default: "2019-01-01"'),
    ],
)
def test_a_changed_block_is_noticed_and_made_anew(
    tmp_path: Path, old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = TEMPLATE.read_text()
    assert old in text
    changed = tmp_path / "template.yaml"
    changed.write_text(text.replace(old, new))
    assert main(["--check", str(changed)]) == 1
    assert "make template" in capsys.readouterr().err
    assert changed.read_text() != text
    assert main([str(changed)]) == 0
    assert changed.read_text() == text


@pytest.mark.parametrize(
    "spoil",
    [lambda text: text.replace("# begin: keys", "# begin: key"), lambda text: "Resources:\n"],
    ids=["unknown", "missing"],
)
def test_a_block_that_is_missing_or_unknown_is_an_error(spoil: Callable[[str], str]) -> None:
    with pytest.raises(ValueError, match=r"nothing makes|has the blocks"):
        generate_template(spoil(TEMPLATE.read_text()))


@pytest.mark.parametrize("query", list_queries(), ids=lambda query: query.name)
def test_a_named_query_is_the_query_with_its_defaults(query: Any) -> None:
    """But for the days, which are counted when it runs, it says what `accesslake query` would run."""
    needed = {parameter.name: "?" for parameter in query.parameters if parameter.default is None}
    expected = bind(query, needed, newest_day="2026-01-31").replace("'?'", "?")
    for days in (0, 1, 7, 30, 90, 365):
        day = f"{dt.date(2026, 1, 31) - dt.timedelta(days=days)}"
        back = f" - INTERVAL '{days}' DAY" if days else ""
        expected = expected.replace(f"'{day}'", f"DATE_FORMAT(CURRENT_DATE{back}, '%Y-%m-%d')")
    assert "".join(named_query_sql(query).split()) == "".join(expected.split())
    assert ":" not in re.sub(r"'[^']*'", "''", named_query_sql(query)).replace("::", "")
