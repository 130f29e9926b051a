"""Checks of the way in: log bucket, queue, parser function. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from etl.attach import allows_log_delivery, is_notified, logs_under
from etl.doctor._check import Check, Found, Unreadable, judge
from etl.doctor._deployed import Deployed, Stack

_VISIBILITY_FACTOR: Final = 6
_LEAST_RECEIVES: Final = 5
_UPDATE: Final = "update the stack"
_ALLOCATOR: Final = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_MMAP_THRESHOLD_": "67108864",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
}


def bucket_checks(deployed: Deployed) -> Iterator[Check]:
    """What the log bucket tells, lets in, and must never log."""
    stack = deployed.stack
    bucket, prefix, queue = stack.log_bucket, stack.log_prefix, stack.outputs["QueueArn"]
    where = f"s3://{bucket}/{prefix}"
    yield judge(
        "log bucket notification",
        deployed.notification,
        lambda found: () if is_notified(found, queue=queue, prefix=prefix) else ["the queue hears of nothing there"],
        expected=f"s3:ObjectCreated:* under {where} to {queue}",
        advice=f"accesslake attach --bucket {bucket} --queue {queue}" + (f" --prefix {prefix}" if prefix else ""),
    )
    yield judge(
        "log delivery permission",
        deployed.policy,
        lambda found: [f"{each or 'no bucket'} may not log there" for each in _refused(found, stack)],
        expected=f"logging.s3.amazonaws.com may put objects under {where}",
        advice=f"accesslake attach --bucket {bucket} --queue {queue} --source-bucket NAME adds it; S3 drops logs silently",
    )
    yield judge(
        "no log of logs",
        deployed.logging,
        lambda found: ["it logs into itself"] if logs_under(found, bucket=bucket, prefix=prefix) else (),
        expected="the log bucket does not log to where logs are read",
        advice="end its logging: each delivery makes another log line, without end",
    )
    yield judge(
        "no log of the lake",
        deployed.lake_logging,
        lambda found: ["its logs are read as well"] if logs_under(found, bucket=bucket, prefix=prefix) else (),
        expected="the lake's bucket does not log to where logs are read",
        advice="end its logging, or send it elsewhere: each query and compaction adds lines to every report",
    )


def queue_checks(deployed: Deployed) -> Iterator[Check]:
    """Time for the function, a way out for poison, and nothing waiting there."""
    stack = deployed.stack
    least = _least_visibility(deployed.function, deployed.event_source)
    yield judge(
        "queue visibility",
        deployed.queue,
        lambda found: [f"{found.get('VisibilityTimeout')} s"] if int(found.get("VisibilityTimeout", 0)) < least else (),
        expected=f"at least {least} s: {_VISIBILITY_FACTOR} times the function's timeout, and the batching window",
        advice=f"{_UPDATE}: messages come a second time while they are worked on",
    )
    yield judge(
        "queue redrive",
        deployed.queue,
        lambda found: _redrive_problems(found, deployed.dead_letters),
        expected=f"to the stack's dead-letter queue after {_LEAST_RECEIVES} tries or more",
        advice=f"{_UPDATE}: without it a log object that cannot be read is tried for days, then lost",
    )
    yield judge(
        "queue policy",
        deployed.queue,
        lambda found: () if _lets_s3_send(found.get("Policy", "")) else ["S3 may not send to it"],
        expected="s3.amazonaws.com may send messages",
        advice=_UPDATE,
    )
    yield judge(
        "dead letters",
        deployed.dead_letters,
        lambda found: (
            [f"{found['ApproximateNumberOfMessages']} message(s)"]
            if int(found.get("ApproximateNumberOfMessages", 0))
            else ()
        ),
        expected="none",
        advice=f"read the function's log for the reason, then redrive {stack.outputs.get('DeadLetterQueueUrl', '')}",
    )


def function_checks(deployed: Deployed) -> Iterator[Check]:
    """What the parser is told, and how it is called."""
    stack = deployed.stack
    expected = {
        "ACCESSLAKE_LAKE": stack.lake_uri,
        "ACCESSLAKE_LOG_BUCKETS": stack.log_bucket,
        "ACCESSLAKE_SINK": "firehose" if deployed.stream is not None else "parquet",
        **({"ACCESSLAKE_STREAM": stack.outputs["StreamName"]} if deployed.stream is not None else {}),
        **_ALLOCATOR,
    }

    def problems(found: dict[str, Any]) -> Iterator[str]:
        variables = found.get("Environment", {}).get("Variables", {})
        for name, value in expected.items():
            there = variables.get(name, "")
            if (there.rstrip("/") if name == "ACCESSLAKE_LAKE" else there) != value:
                yield f"{name} is {there or 'not set'}, not {value}"

    yield judge(
        "function environment",
        deployed.function,
        problems,
        expected=f"lake {stack.lake_uri}, logs of {stack.log_bucket}, sink {expected['ACCESSLAKE_SINK']}",
        advice=_UPDATE,
    )
    yield judge(
        "function trigger",
        deployed.event_source,
        _trigger_problems,
        expected="enabled, answers for each message",
        advice=f"{_UPDATE}; one that is disabled was switched off by hand",
    )


def _refused(policy: dict[str, Any], stack: Stack) -> list[str | None]:
    """Sources that may not log; None stands for all, in a bucket that is not the stack's and knows its sources itself."""
    named = [each.strip() for each in stack.parameters.get("SourceBuckets", "").split(",") if each.strip()]
    owned = stack.parameters.get("CreateLogBucket", "Yes") == "Yes"
    sources: list[str | None] = [each for each in named if owned or "*" not in each]
    _, partition, _, _, account, _ = stack.outputs["QueueArn"].split(":", 5)
    return [
        source
        for source in sources or [None]
        if not allows_log_delivery(
            policy,
            partition=partition,
            account=stack.parameters.get("SourceAccount") or account,
            bucket=stack.log_bucket,
            log_prefix=stack.log_prefix,
            source=source,
        )
    ]


def _least_visibility(function: Found, event_source: Found) -> int:
    timeout = 0 if isinstance(function, Unreadable) else int(function.get("Timeout", 0))
    window = 0 if isinstance(event_source, Unreadable) else int(event_source.get("MaximumBatchingWindowInSeconds", 0))
    return _VISIBILITY_FACTOR * timeout + window


def _redrive_problems(queue: dict[str, Any], dead_letters: Found) -> Iterator[str]:
    redrive = json.loads(queue.get("RedrivePolicy") or "{}")
    if not redrive:
        yield "there is none"
        return
    if not isinstance(dead_letters, Unreadable) and redrive.get("deadLetterTargetArn") != dead_letters.get("QueueArn"):
        yield f"to {redrive.get('deadLetterTargetArn')}"
    if int(redrive.get("maxReceiveCount", 0)) < _LEAST_RECEIVES:
        yield f"after {redrive.get('maxReceiveCount')} tries"


def _lets_s3_send(policy: str) -> bool:
    statements = json.loads(policy or "{}").get("Statement", [])
    return any(
        statement.get("Effect") == "Allow"
        and isinstance(statement.get("Principal"), dict)
        and "s3.amazonaws.com" in _listed(statement["Principal"].get("Service"))
        and {"sqs:sendmessage", "sqs:*"} & {str(action).lower() for action in _listed(statement.get("Action"))}
        for statement in _listed(statements)
    )


def _trigger_problems(event_source: dict[str, Any]) -> Iterator[str]:
    if event_source.get("State") != "Enabled":
        yield f"it is {event_source.get('State')}"
    if "ReportBatchItemFailures" not in event_source.get("FunctionResponseTypes", []):
        yield "one bad message fails its whole batch"


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]
