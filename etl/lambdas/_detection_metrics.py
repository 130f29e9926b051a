"""What a run of the detector did, as CloudWatch metrics: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DETECTION_UNITS: Final[Mapping[str, str]] = {
    "DetectedObjects": "Count",
    "DetectedRows": "Count",
    "SigV2Requests": "Count",
    "AmbiguousRows": "Count",
    "UndecidableRows": "Count",
    "ObjectsKnown": "Count",
    "ObjectsMissing": "Count",
    "ObjectsForeign": "Count",
    "ObjectsFailed": "Count",
}
"""Every metric and its unit: what is in the files, and then the files that were not looked at, or not for the first time."""


def without_zeros(counts: Mapping[str, int]) -> dict[str, int]:
    """Those that there are: a metric is paid for in every hour in which it is sent, and no data is as good as nothing."""
    return {name: count for name, count in counts.items() if count}
