"""Rules for what runs, and for what watches it: queues, functions, their logs, alarms."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator

from template_values import (
    ALARM,
    FUNCTION,
    INVOKES,
    LOG_GROUP,
    QUEUE,
    SCHEDULE,
    Deployment,
    Json,
    as_list,
    destinations,
    role_statements,
)

from etl.arrivals import DIMENSION, NAMESPACE, UNITS
from etl.lambdas._compaction_metrics import COMPACTION_UNITS
from etl.lambdas._detection_metrics import DETECTION_UNITS
from etl.lambdas.detect import _RESERVE_SECONDS
from infra.package import COMPACTOR_HANDLERS

LAYERS_OF_ALL = ["<Layer>"]
TWO_WEEKS = 14 * 24 * 3600
METRICS = {
    NAMESPACE: ({DIMENSION}, {*UNITS, *COMPACTION_UNITS, *DETECTION_UNITS}),
    "AWS/SQS": ({"QueueName"}, {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"}),
    "AWS/Lambda": ({"FunctionName"}, {"Errors", "Throttles", "Duration", "Invocations", "ConcurrentExecutions"}),
    "AWS/Firehose": (
        {"DeliveryStreamName"},
        {"DeliveryToS3.DataFreshness", "DeliveryToS3.Success", "ThrottledRecords", "FailedConversion.Records"},
    ),
}
"""Namespace to its dimensions and metrics, as AWS documents them and the functions write them."""
ALARMED = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "<DeadLetterQueue.QueueName>"),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", "<LogQueue.QueueName>"),
    ("AWS/Lambda", "Errors", "<Parser>"),
    (NAMESPACE, "Lines", "<Parser>"),
    (NAMESPACE, "LinesQuarantined", "<Parser>"),
}
ALARMED_OF_COMPACTION = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "<CompactionDeadLetterQueue.QueueName>"),
    ("AWS/Lambda", "Errors", "<Compactor>"),
    (NAMESPACE, "Stragglers", "<Compactor>"),
    (NAMESPACE, "LeftOut", "<Compactor>"),
}
ALARMED_OF_DETECTION = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "<DetectionDeadLetterQueue.QueueName>"),
    ("AWS/Lambda", "Errors", "<Detector>"),
}
SIGV2_FOUND = (NAMESPACE, "SigV2Requests", "<Detector>")
MISSED_RUN = (NAMESPACE, "CompactionRuns", "<Compactor>")
ALARMED_OF_FIREHOSE = {
    ("AWS/Firehose", name, "<Stream>")
    for name in ("DeliveryToS3.DataFreshness", "FailedConversion.Records", "ThrottledRecords")
}


def _sources(deployment: Deployment) -> Iterator[tuple[str, Json, Json, Json]]:
    """(function, its properties, the event source's, its queue's) of every queue that feeds a function."""
    for name, function in deployment.of_type(FUNCTION).items():
        for event in function.get("Events", {}).values():
            yield name, function, event["Properties"], _queue(deployment, event["Properties"]["Queue"])


def _queue(deployment: Deployment, arn: str) -> Json:
    queue: Json = deployment.of_type(QUEUE).get(arn.strip("<>").removesuffix(".Arn"), {})
    return queue


def messages_stay_hidden_long_enough(deployment: Deployment) -> Iterator[str]:
    for name, function, source, queue in _sources(deployment):
        needed = 6 * function["Timeout"] + source.get("MaximumBatchingWindowInSeconds", 0)
        if queue.get("VisibilityTimeout", 30) < needed:
            yield f"{name}: {queue.get('VisibilityTimeout')} < {needed}"


def batches_are_legal(deployment: Deployment) -> Iterator[str]:
    for name, _, source, _ in _sources(deployment):
        size, window = source.get("BatchSize", 10), source.get("MaximumBatchingWindowInSeconds", 0)
        if size > 10_000 or (size > 10 and not window) or not 0 <= window <= 300:
            yield f"{name}: {size} messages in {window} s"
        if "ReportBatchItemFailures" not in source.get("FunctionResponseTypes", []):
            yield f"{name}: one failure would fail its neighbours"
        if not 2 <= source.get("ScalingConfig", {}).get("MaximumConcurrency", 0) <= 1000:
            yield f"{name}: nothing bounds it"


def failures_are_kept(deployment: Deployment) -> Iterator[str]:
    for name, _, _, queue in _sources(deployment):
        redrive = queue.get("RedrivePolicy", {})
        kept = _queue(deployment, redrive.get("deadLetterTargetArn", "")).get("MessageRetentionPeriod", 0)
        if kept != TWO_WEEKS or not queue.get("MessageRetentionPeriod", 345600) < kept:
            yield f"{name}: failed messages are kept for {kept} s"
        if redrive.get("maxReceiveCount", 0) < 5:
            yield f"{name}: throttling would make dead letters"


def a_schedule_calls_the_compactor(deployment: Deployment) -> Iterator[str]:
    """By a role that may call it and nothing else; whoever fails, scheduler or function, tries again and keeps the event."""
    compactor = deployment["Compaction"] != "elsewhere"
    schedules, invokes = deployment.of_type(SCHEDULE), deployment.of_type(INVOKES)
    if (len(schedules), len(invokes)) != (compactor, compactor) or ("Compactor" in deployment.resources) != compactor:
        yield f"{deployment['Compaction']}: {sorted(schedules)}, {sorted(invokes)}"
    for name, schedule in schedules.items():
        target, queue = schedule["Target"], schedule["Target"].get("DeadLetterConfig", {}).get("Arn", "")
        role = target["RoleArn"].strip("<>").removesuffix(".Arn")
        may = {as_list(each["Action"])[0]: each["Resource"] for at, each in role_statements(deployment) if at == role}
        if may != {"lambda:InvokeFunction": "<Compactor.Arn>", "sqs:SendMessage": queue}:
            yield f"{name}: {may}"
        if target["Arn"] != "<Compactor.Arn>" or not target.get("RetryPolicy", {}).get("MaximumRetryAttempts"):
            yield f"{name}: {target}"
        if _queue(deployment, queue).get("MessageRetentionPeriod") != TWO_WEEKS:
            yield f"{name}: an event that cannot be handed over is lost"
        if schedule["State"] != ("ENABLED" if deployment["Compaction"] == "scheduled" else "DISABLED"):
            yield f"{name}: {schedule['State']}"
        wanted = (deployment["CompactionSchedule"], "UTC")
        if (schedule["ScheduleExpression"], schedule.get("ScheduleExpressionTimezone")) != wanted:
            yield f"{name}: {schedule}"
    for name, config in invokes.items():
        queue = config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", "")
        own = [each["Resource"] for at, each in role_statements(deployment) if each.get("Action") == "sqs:SendMessage"]
        if _queue(deployment, queue).get("MessageRetentionPeriod") != TWO_WEEKS or queue not in own:
            yield f"{name}: what fails for good is lost"
        if (config["FunctionName"], config["Qualifier"]) != ("<Compactor>", "$LATEST"):
            yield f"{name}: {config['FunctionName']}"
        if not config.get("MaximumRetryAttempts"):
            yield f"{name}: one failure is the end of it"


def the_compactor_has_room(deployment: Deployment) -> Iterator[str]:
    """All the time there is, and scratch space for four times the raw bytes that it takes on."""
    function = deployment.of_type(FUNCTION).get("Compactor")
    if function is None:
        return
    variables, scratch = function["Environment"]["Variables"], function["EphemeralStorage"]["Size"] << 20
    if function["Timeout"] != 900 or function["MemorySize"] < 2048:
        yield f"{function['Timeout']} s, {function['MemorySize']} MB"
    if 4 * int(variables["ACCESSLAKE_MAX_RAW_BYTES"]) > scratch:
        yield f"{variables['ACCESSLAKE_MAX_RAW_BYTES']} raw bytes do not fit into {scratch}"
    if int(variables["ACCESSLAKE_MAX_RAW_OBJECTS"]) * 0.12 > function["Timeout"]:
        yield f"{variables['ACCESSLAKE_MAX_RAW_OBJECTS']} raw objects take more than {function['Timeout']} s"
    if not str(variables.get("ACCESSLAKE_SCRATCH")).startswith("/tmp/"):
        yield "only /tmp can be written, and only a folder in it is cleared"
    if "ReservedConcurrentExecutions" in function:
        yield "a reserve is no lock: two runs are safe, and it would hide one that is not"


def the_detector_has_room(deployment: Deployment) -> Iterator[str]:
    """For the file with the most findings that it takes on, and calls that are few, as most files are small."""
    function = deployment.of_type(FUNCTION).get("Detector")
    if (function is not None) != (deployment["Detection"] == "Yes"):
        yield f"{deployment['Detection']}: {function}"
    if function is None:
        return
    if function["Timeout"] < 3 * _RESERVE_SECONDS or function["MemorySize"] < 1024:
        yield f"{function['Timeout']} s, {function['MemorySize']} MB"
    for event in function["Events"].values():
        source = event["Properties"]
        if source["BatchSize"] < 100 or source["MaximumBatchingWindowInSeconds"] < 300:
            yield f"{source['BatchSize']} messages in {source['MaximumBatchingWindowInSeconds']} s"


def queues_are_encrypted(deployment: Deployment) -> Iterator[str]:
    """With SQS's own keys: with a KMS key S3 could not notify unless the key's policy let it."""
    for name, queue in deployment.of_type(QUEUE).items():
        if queue.get("SqsManagedSseEnabled") is not True or "KmsMasterKeyId" in queue:
            yield name


def functions_are_what_the_package_holds(deployment: Deployment) -> Iterator[str]:
    defaults = deployment.value(deployment.template["Globals"]["Function"])
    for name, function in deployment.of_type(FUNCTION).items():
        module = function["Handler"].rpartition(".")[0]
        if importlib.util.find_spec(module) is None:
            yield f"{name}: no module {module}"
        if (defaults.get("Runtime"), defaults.get("Layers")) != ("python3.13", LAYERS_OF_ALL):
            yield f"{name}: {defaults}"
        # SAM puts a function's own layers behind those of all functions.
        own = ["<DuckDBLayer>"] if name == "Compactor" else []
        if function.get("Layers", []) != own:
            yield f"{name}: {function.get('Layers')}"
        for layer in LAYERS_OF_ALL + own:
            made = deployment.of_type("AWS::Serverless::LayerVersion")[layer.strip("<>")]
            if defaults.get("Architectures") != made["CompatibleArchitectures"]:
                yield f"{name}: {layer} is for another processor"
        package = "compactor" if module.rpartition(".")[2] in COMPACTOR_HANDLERS else "parser"
        if function.get("CodeUri", defaults["CodeUri"]) != f"../build/{package}.zip":
            yield f"{name}: {package}.zip holds it"
    if "Compactor" in deployment.resources:
        settings = deployment.of_type(FUNCTION)["Compactor"]["Environment"]["Variables"]
        wanted = {
            "ACCESSLAKE_LAKE": f"s3://{deployment['LakeBucketName']}/{deployment['LakePrefix']}",
            "ACCESSLAKE_GRACE_DAYS": deployment["CompactionGraceDays"],
            "ACCESSLAKE_SEAL_HOURS": deployment["CompactionSealHours"],
        }
        if not wanted.items() <= settings.items():
            yield f"Compactor: {settings}"
    if "Detector" in deployment.resources:
        settings = deployment.of_type(FUNCTION)["Detector"]["Environment"]["Variables"]
        if settings != {"ACCESSLAKE_LAKE": f"s3://{deployment['LakeBucketName']}/{deployment['LakePrefix']}"}:
            yield f"Detector: {settings}"
    expected = {
        "ACCESSLAKE_LAKE": f"s3://{deployment['LakeBucketName']}/{deployment['LakePrefix']}",
        "ACCESSLAKE_LOG_BUCKETS": deployment["LogBucketName"],
        "ACCESSLAKE_SINK": deployment["Sink"],
        "ACCESSLAKE_MAX_OBJECT_BYTES": deployment["MaxObjectBytes"],
    }
    if deployment["Sink"] == "firehose":
        expected["ACCESSLAKE_STREAM"] = "<Stream>"
    variables = deployment.of_type(FUNCTION)["Parser"]["Environment"]["Variables"]
    if {key: value for key, value in variables.items() if key.startswith("ACCESSLAKE_")} != expected:
        yield f"Parser: {variables}"


def logs_are_kept_and_end(deployment: Deployment) -> Iterator[str]:
    groups = {group["LogGroupName"]: name for name, group in deployment.of_type(LOG_GROUP).items()}
    for name, group in deployment.of_type(LOG_GROUP).items():
        if not isinstance(group.get("RetentionInDays"), int | str):
            yield f"{name}: kept for ever"
    for name, function in deployment.of_type(FUNCTION).items():
        if f"/aws/lambda/{function.get('FunctionName')}" not in groups:
            yield f"{name}: Lambda would make a log group that is kept for ever"
    for name, destination in destinations(deployment):
        logging = destination.get("CloudWatchLoggingOptions", {})
        if not logging.get("Enabled") or logging.get("LogGroupName", "").strip("<>") not in groups.values():
            yield f"{name}: it fails in silence"


def _alarm_metrics(alarm: Json) -> Iterator[tuple[str, str, list[Json]]]:
    if "MetricName" in alarm:
        yield alarm["Namespace"], alarm["MetricName"], alarm["Dimensions"]
    for each in alarm.get("Metrics", []):
        if "MetricStat" in each:
            metric = each["MetricStat"]["Metric"]
            yield metric["Namespace"], metric["MetricName"], metric["Dimensions"]


def alarms_name_metrics_that_exist(deployment: Deployment) -> Iterator[str]:
    for name, alarm in deployment.of_type(ALARM).items():
        for namespace, metric, dimensions in _alarm_metrics(alarm):
            known, names = METRICS.get(namespace, (set(), set()))
            if metric not in names or {each["Name"] for each in dimensions} != known:
                yield f"{name}: {namespace} {metric} {dimensions}"
    for name, dashboard in deployment.of_type("AWS::CloudWatch::Dashboard").items():
        for widget in json.loads(dashboard["DashboardBody"])["widgets"]:
            for namespace, metric, dimension, *_ in widget["properties"]["metrics"]:
                known, names = METRICS.get(namespace, (set(), set()))
                if metric not in names or {dimension} != known:
                    yield f"{name}: {namespace} {metric} {dimension}"


def what_matters_is_alarmed(deployment: Deployment) -> Iterator[str]:
    found = set()
    for name, alarm in deployment.of_type(ALARM).items():
        for namespace, metric, dimensions in _alarm_metrics(alarm):
            found.add((namespace, metric, dimensions[0]["Value"]))
        missed = alarm.get("MetricName") == MISSED_RUN[1]
        silence = "breaching" if missed else "notBreaching"
        if alarm.get("TreatMissingData") != silence or alarm.get("AlarmActions") != ["<Alarms>"]:
            yield f"{name}: {alarm.get('TreatMissingData')}, {alarm.get('AlarmActions')}"
        # More than a day, as a run of the flexible window and of 15 minutes comes later than the one before.
        if missed and not 25 * 3600 < alarm["Period"] * alarm["EvaluationPeriods"] <= 48 * 3600:
            yield f"{name}: {alarm['Period']} s x {alarm['EvaluationPeriods']}"
        if missed and (alarm["ComparisonOperator"], alarm["Threshold"]) != ("LessThanThreshold", 1):
            yield f"{name}: {alarm['ComparisonOperator']} {alarm['Threshold']}"
        if alarm.get("MetricName") == SIGV2_FOUND[1] and (
            (alarm["ComparisonOperator"], alarm["Threshold"], alarm["Statistic"]) != ("GreaterThanThreshold", 0, "Sum")
        ):
            yield f"{name}: not at the first one"
        if alarm.get("MetricName") == "DeliveryToS3.DataFreshness" and alarm["Threshold"] <= 900:
            yield f"{name}: sounds while Firehose only buffers"
    expected = ALARMED | (ALARMED_OF_FIREHOSE if deployment["Sink"] == "firehose" else set())
    if deployment["Compaction"] != "elsewhere":
        expected |= ALARMED_OF_COMPACTION
    if deployment["Compaction"] == "scheduled":
        expected |= {MISSED_RUN}
    if deployment["Detection"] == "Yes":
        expected |= ALARMED_OF_DETECTION
        expected |= {SIGV2_FOUND} if deployment["AlarmOnSigV2"] == "Yes" else set()
    if found != expected:
        yield f"alarmed: {sorted(found ^ expected)}"


def firehose_only_where_it_is_the_sink(deployment: Deployment) -> Iterator[str]:
    text = json.dumps(deployment.resources)
    if ("AWS::KinesisFirehose" in text) != (deployment["Sink"] == "firehose"):
        yield deployment["Sink"]
    if deployment["Sink"] != "firehose" and "firehose:" in text:
        yield "a role may use a stream that is not there"
