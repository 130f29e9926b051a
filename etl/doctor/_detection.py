"""Checks of the detector: that it hears of every new file, and keeps up. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from etl.doctor._check import Check, Unreadable, judge
from etl.doctor._deployed import Deployed, Detector, Stack
from etl.doctor._function import concurrency_check, environment_check, trigger_check
from etl.doctor._queue import dead_letters_check, policy_check, redrive_check, visibility_check, waiting

_LEAST_CONCURRENCY: Final = 2
_MOST_SECONDS: Final = 3_600
"""How long a message may wait: a batch is collected for five minutes, and comes again after seventeen."""
_CREATED: Final = "s3:ObjectCreated:*"
_ENDING: Final = ".parquet"
_UPDATE: Final = "update the stack"


def detection_checks(deployed: Deployed) -> Iterator[Check]:
    """The function with its queue; nothing for a stack that does without."""
    stack, detector = deployed.stack, deployed.detector
    if detector is None:
        if stack.parameters.get("Detection", "Yes") == "Yes":
            yield Check("detection function", False, "is missing", "a function that looks into new files", _UPDATE)
        return
    yield environment_check(
        "detection environment",
        detector.function,
        {"ACCESSLAKE_LAKE": stack.lake_uri},
        expected=f"lake {stack.lake_uri}",
    )
    yield concurrency_check("detection concurrency", detector.concurrency, least=_LEAST_CONCURRENCY)
    yield trigger_check("detection trigger", detector.event_source)
    yield _notification_check(detector, stack)
    yield visibility_check(
        "detection visibility", detector.queue, function=detector.function, event_source=detector.event_source
    )
    yield redrive_check(
        "detection redrive",
        detector.queue,
        dead_letters=detector.dead_letters,
        otherwise="without it a file that cannot be looked at is tried for days, then forgotten",
    )
    yield policy_check("detection policy", detector.queue)
    yield _backlog_check(detector)
    yield dead_letters_check(
        "detection dead letters",
        detector.dead_letters,
        advice="read the function's log for the reason; accesslake detect finds what is in those files, then delete the messages",
    )


def _notification_check(detector: Detector, stack: Stack) -> Check:
    queue, prefix = stack.outputs["DetectionQueueArn"], f"{stack.lake_prefix}raw/"
    return judge(
        "detection notification",
        detector.notification,
        lambda found: () if _announces(found, queue=queue, prefix=prefix) else ["the queue hears of no new file"],
        expected=f"{_CREATED} of files under s3://{stack.lake_bucket}/{prefix} to {queue}",
        advice=f"accesslake attach --bucket {stack.lake_bucket} --queue {queue} --prefix {prefix};"
        " run accesslake detect for what came meanwhile",
    )


def _announces(configuration: dict[str, Any], *, queue: str, prefix: str) -> bool:
    """Whether the queue hears of every new Parquet file under the prefix."""
    return any(
        each.get("QueueArn") == queue
        and _CREATED in each.get("Events", [])
        and all(_lets_pass(rule, prefix) for rule in each.get("Filter", {}).get("Key", {}).get("FilterRules", []))
        for each in configuration.get("QueueConfigurations", [])
    )


def _lets_pass(rule: dict[str, Any], prefix: str) -> bool:
    text = str(rule.get("Value", ""))
    return prefix.startswith(text) if str(rule.get("Name", "")).lower() == "prefix" else _ENDING.endswith(text)


def _backlog_check(detector: Detector) -> Check:
    messages = 0 if isinstance(detector.queue, Unreadable) else waiting(detector.queue)

    def problems(found: dict[str, Any]) -> Iterator[str]:
        newest = max(found.get("Datapoints", []), key=lambda each: each["Timestamp"], default={"Maximum": 0})
        if newest["Maximum"] > _MOST_SECONDS:
            yield f"the oldest of {messages:,} message(s) has waited for {newest['Maximum']:,.0f} s"

    return judge(
        "detection backlog",
        detector.age,
        problems,
        expected=f"no message waits for more than {_MOST_SECONDS:,} s",
        advice="read the function's log: it fails, is throttled, or more files come than two runs at once can look into",
    )
