"""The notification configuration of a bucket, with ours merged in: pure.

S3 takes the whole configuration or none, and refuses two notifications of one event whose filters overlap
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html). So ours is added to what is there, and
an overlap is told before anything is written.
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from etl.errors import BadParameter

Json = Mapping[str, Any]

OBJECT_CREATED: Final = "s3:ObjectCreated:*"
_TARGETS: Final = {
    "QueueConfigurations": "QueueArn",
    "TopicConfigurations": "TopicArn",
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
}
_QUEUE_ARN: Final = re.compile(r"arn:aws[a-z-]*:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,80}")


def merge_notification(current: Json, *, queue: str, prefix: str) -> dict[str, Any]:
    """The configuration in which `queue` hears of every object created under `prefix`; the current one if it does already.

    Everything else stays as it is. Raises `BadParameter` if the queue cannot be a target, or if another notification of the same
    event has a filter that overlaps.
    """
    if queue.endswith(".fifo"):
        raise BadParameter(queue, "S3 sends to no FIFO queue")
    if not _QUEUE_ARN.fullmatch(queue):
        raise BadParameter(queue, "is not the ARN of an SQS queue", hint="arn:aws:sqs:REGION:ACCOUNT:NAME")
    merged = copy.deepcopy(dict(current))
    if is_notified(current, queue=queue, prefix=prefix):
        return merged
    for target, configuration in _configurations(current):
        if any(_events_overlap(event) for event in configuration.get("Events", [])):
            start, end = filter_of(configuration)
            if start.startswith(prefix) or prefix.startswith(start):
                raise BadParameter(
                    prefix or "the whole bucket",
                    f"{target} already hears of objects under {start or 'the whole bucket'}{f' ending in {end}' if end else ''}",
                    hint="S3 allows one target for each object; choose another --prefix, or remove that notification",
                )
    merged.setdefault("QueueConfigurations", []).append(_ours(queue, prefix))
    return merged


def is_notified(current: Json, *, queue: str, prefix: str) -> bool:
    """Whether the queue hears of every object created under the prefix."""
    return any(
        configuration.get("QueueArn") == queue
        and OBJECT_CREATED in configuration.get("Events", [])
        and _takes_all_under(configuration, prefix)
        for configuration in current.get("QueueConfigurations", [])
    )


def filter_of(configuration: Json) -> tuple[str, str]:
    """(prefix, suffix) that a notification is filtered by; "" where it is not."""
    rules = configuration.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    values = {str(rule.get("Name", "")).lower(): str(rule.get("Value", "")) for rule in rules}
    return values.get("prefix", ""), values.get("suffix", "")


def _takes_all_under(configuration: Json, prefix: str) -> bool:
    start, end = filter_of(configuration)
    return prefix.startswith(start) and not end


def _configurations(current: Json) -> Iterator[tuple[str, Json]]:
    for kind, target in _TARGETS.items():
        for configuration in current.get(kind, []):
            yield str(configuration.get(target, kind)), configuration


def _events_overlap(event: str) -> bool:
    return event.startswith(OBJECT_CREATED.removesuffix("*"))


def _ours(queue: str, prefix: str) -> dict[str, Any]:
    digest = hashlib.blake2b(f"{queue}\0{prefix}".encode(), digest_size=8).hexdigest()
    ours: dict[str, Any] = {"Id": f"accesslake-{digest}", "QueueArn": queue, "Events": [OBJECT_CREATED]}
    if prefix:
        ours["Filter"] = {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}}
    return ours
