"""Rules for what runs, and for what watches it: queues, functions, their logs, alarms."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator

from template_values import ALARM, FUNCTION, LOG_GROUP, QUEUE, Deployment, Json, destinations

from etl.arrivals import DIMENSION, NAMESPACE, UNITS

TWO_WEEKS = 14 * 24 * 3600
METRICS = {
    NAMESPACE: ({DIMENSION}, set(UNITS)),
    "AWS/SQS": ({"QueueName"}, {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"}),
    "AWS/Lambda": ({"FunctionName"}, {"Errors", "Throttles", "Duration", "Invocations", "ConcurrentExecutions"}),
    "AWS/Firehose": (
        {"DeliveryStreamName"},
        {"DeliveryToS3.DataFreshness", "DeliveryToS3.Success", "ThrottledRecords", "FailedConversion.Records"},
    ),
}
"""Namespace to its dimensions and metrics, as AWS documents them and the parser writes them."""
ALARMED = {
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "<DeadLetterQueue.QueueName>"),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", "<LogQueue.QueueName>"),
    ("AWS/Lambda", "Errors", "<Parser>"),
    (NAMESPACE, "Lines", "<Parser>"),
    (NAMESPACE, "LinesQuarantined", "<Parser>"),
}
ALARMED_OF_FIREHOSE = {
    ("AWS/Firehose", name, "<Stream>")
    for name in ("DeliveryToS3.DataFreshness", "FailedConversion.Records", "ThrottledRecords")
}


def _sources(deployment: Deployment) -> Iterator[tuple[str, Json, Json, Json]]:
    """(function, its properties, the event source's, its queue's) of every queue that feeds a function."""
    for name, function in deployment.of_type(FUNCTION).items():
        for event in function.get("Events", {}).values():
            queue = event["Properties"]["Queue"].strip("<>").removesuffix(".Arn")
            yield name, function, event["Properties"], deployment.of_type(QUEUE)[queue]


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
    queues = deployment.of_type(QUEUE)
    for name, _, _, queue in _sources(deployment):
        redrive = queue.get("RedrivePolicy", {})
        dead = queues.get(redrive.get("deadLetterTargetArn", "").strip("<>").removesuffix(".Arn"), {})
        kept = dead.get("MessageRetentionPeriod", 0)
        if kept != TWO_WEEKS or not queue.get("MessageRetentionPeriod", 345600) < kept:
            yield f"{name}: failed messages are kept for {kept} s"
        if redrive.get("maxReceiveCount", 0) < 5:
            yield f"{name}: throttling would make dead letters"


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
        if (defaults.get("Runtime"), defaults.get("Layers")) != ("python3.13", ["<Layer>"]):
            yield f"{name}: {defaults}"
        if (
            defaults.get("Architectures")
            != deployment.of_type("AWS::Serverless::LayerVersion")["Layer"]["CompatibleArchitectures"]
        ):
            yield f"{name}: the layer is for another processor"
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
        if alarm.get("TreatMissingData") != "notBreaching" or alarm.get("AlarmActions") != ["<Alarms>"]:
            yield f"{name}: {alarm.get('TreatMissingData')}, {alarm.get('AlarmActions')}"
        if alarm.get("MetricName") == "DeliveryToS3.DataFreshness" and alarm["Threshold"] <= 900:
            yield f"{name}: sounds while Firehose only buffers"
    expected = ALARMED | (ALARMED_OF_FIREHOSE if deployment["Sink"] == "firehose" else set())
    if found != expected:
        yield f"alarmed: {sorted(found ^ expected)}"


def firehose_only_where_it_is_the_sink(deployment: Deployment) -> Iterator[str]:
    text = json.dumps(deployment.resources)
    if ("AWS::KinesisFirehose" in text) != (deployment["Sink"] == "firehose"):
        yield deployment["Sink"]
    if deployment["Sink"] != "firehose" and "firehose:" in text:
        yield "a role may use a stream that is not there"
