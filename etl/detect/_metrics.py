"""What a run of the detector found, as CloudWatch metrics in its log: no call, no permission. Pure.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from etl.detect._sigv2 import Detected

NAMESPACE: Final = "accesslake"
DIMENSION: Final = "Function"
UNITS: Final[Mapping[str, str]] = {
    "DetectedObjects": "Count",
    "DetectedRows": "Count",
    "SigV2Requests": "Count",
    "AmbiguousRows": "Count",
    "UndecidableRows": "Count",
}
"""Every metric and its unit; a function is the only dimension, as each further one is paid for."""


def measure(detected: Iterable[Detected]) -> dict[str, int]:
    """The metrics of a run over these files."""
    files = list(detected)
    return {
        "DetectedObjects": len(files),
        "DetectedRows": sum(each.rows for each in files),
        "SigV2Requests": sum(each.hits.num_rows for each in files),
        "AmbiguousRows": sum(each.unsure.num_rows for each in files),
        "UndecidableRows": sum(each.undecidable.num_rows for each in files),
    }


def embedded_metrics(metrics: Mapping[str, int], *, function: str, now: datetime) -> str:
    """The log line that CloudWatch reads the metrics from."""
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [[DIMENSION]],
        "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in metrics],
    }
    head = {"Timestamp": int(now.timestamp() * 1000), "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": head, DIMENSION: function, **metrics})
