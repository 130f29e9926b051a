"""Where source buckets write their access logs, with our log bucket merged in: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from etl.errors import BadParameter

Json = Mapping[str, Any]


def merge_logging(current: Json, *, source: str, bucket: str, log_prefix: str, notified: str) -> dict[str, Any]:
    """The logging status in which `source` logs into `bucket`; the current one if its logs arrive under `notified` already.

    New logging is partitioned by event time, so that each log object holds one bucket's records of one day and its key says
    which. Raises `BadParameter` for a bucket that logs elsewhere, or that would log into itself: each delivery would then be
    logged, and make another.
    """
    if source == bucket:
        raise BadParameter(source, "a bucket that logs into itself never stops", hint="choose another log bucket")
    there = logging_target(current)
    if there is None:
        target = {
            "TargetBucket": bucket,
            "TargetPrefix": log_prefix,
            "TargetObjectKeyFormat": {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}},
        }
        return {"LoggingEnabled": target}
    if there[0] == bucket and there[1].startswith(notified):
        return dict(current)
    raise BadParameter(
        source,
        f"logs into s3://{there[0]}/{there[1]} already",
        hint="attach that bucket, or end its logging there first",
    )


def logging_target(current: Json) -> tuple[str, str] | None:
    """(bucket, prefix) that a bucket's access logs go to; None if it has none."""
    enabled = current.get("LoggingEnabled")
    return (str(enabled["TargetBucket"]), str(enabled.get("TargetPrefix", ""))) if enabled else None


def logs_under(current: Json, *, bucket: str, prefix: str) -> bool:
    """Whether logs go to where objects of `bucket` under `prefix` are read; also if only some of them do."""
    there = logging_target(current)
    return there is not None and there[0] == bucket and (there[1].startswith(prefix) or prefix.startswith(there[1]))
