"""What a batch did, as CloudWatch metrics in its log: no call, no permission. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from etl.arrivals._take import Outcome, Taken
from etl.sinks import Delivered

NAMESPACE: Final = "accesslake"
DIMENSION: Final = "Function"
UNITS: Final[Mapping[str, str]] = {
    "Messages": "Count",
    "MessagesFailed": "Count",
    "Objects": "Count",
    "ObjectsFailed": "Count",
    "ObjectsMissing": "Count",
    "ObjectsForeign": "Count",
    "ObjectsTooLarge": "Count",
    "ObjectsNotLogs": "Count",
    "Lines": "Count",
    "LinesQuarantined": "Count",
    "Documents": "Count",
    "Records": "Count",
    "RecordsRetried": "Count",
    "BytesSent": "Bytes",
    "ObjectLagSeconds": "Seconds",
}
"""Every metric and its unit; a function is the only dimension, as each further one is paid for."""

_OF_OUTCOMES: Final = {
    Outcome.FAILED: "ObjectsFailed",
    Outcome.MISSING: "ObjectsMissing",
    Outcome.FOREIGN: "ObjectsForeign",
    Outcome.TOO_LARGE: "ObjectsTooLarge",
    Outcome.NOT_A_LOG: "ObjectsNotLogs",
}


def measure(taken: Taken, delivered: Delivered, *, now: datetime) -> dict[str, float]:
    """The batch's metrics. The lag, if S3 said when, is that of the object that waited longest."""
    written = [found.written for found in taken.objects if found.written is not None]
    metrics: dict[str, float] = {
        "Messages": taken.messages,
        "MessagesFailed": len(taken.failed),
        "Objects": len(taken.objects),
        **{name: sum(found.outcome is outcome for found in taken.objects) for outcome, name in _OF_OUTCOMES.items()},
        "Lines": sum(each.lines for each in written),
        "LinesQuarantined": sum(each.quarantined for each in written),
        "Documents": delivered.documents,
        "Records": delivered.records,
        "RecordsRetried": delivered.retried,
        "BytesSent": delivered.bytes,
    }
    announced = [found.arrival.announced for found in taken.objects if found.arrival.announced is not None]
    if announced:
        metrics["ObjectLagSeconds"] = max((now - min(announced)).total_seconds(), 0.0)
    return metrics


def embedded_metrics(
    metrics: Mapping[str, float], *, function: str, now: datetime, units: Mapping[str, str] = UNITS
) -> str:
    """The log line that CloudWatch reads the metrics from."""
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [[DIMENSION]],
        "Metrics": [{"Name": name, "Unit": units[name]} for name in metrics],
    }
    head = {"Timestamp": int(now.timestamp() * 1000), "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": head, DIMENSION: function, **metrics})
