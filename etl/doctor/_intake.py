"""Checks of the way in: log bucket, queue, parser function. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from etl.attach import allows_log_delivery, is_notified, logs_under
from etl.doctor._check import Check, judge
from etl.doctor._deployed import Deployed, Stack
from etl.doctor._function import concurrency_check, environment_check, trigger_check
from etl.doctor._queue import dead_letters_check, policy_check, redrive_check, visibility_check

_LEAST_CONCURRENCY: Final = 2
"""Of an event source that has a limit at all (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html)."""
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
    yield visibility_check(
        "queue visibility", deployed.queue, function=deployed.function, event_source=deployed.event_source
    )
    yield redrive_check(
        "queue redrive",
        deployed.queue,
        dead_letters=deployed.dead_letters,
        otherwise="without it a log object that cannot be read is tried for days, then lost",
    )
    yield policy_check("queue policy", deployed.queue)
    redriven = deployed.stack.outputs.get("DeadLetterQueueUrl", "")
    yield dead_letters_check(
        "dead letters", deployed.dead_letters, advice=f"read the function's log for the reason, then redrive {redriven}"
    )


def function_checks(deployed: Deployed) -> Iterator[Check]:
    """What the parser is told, and how it is called."""
    stack = deployed.stack
    wanted = {
        "ACCESSLAKE_LAKE": stack.lake_uri,
        "ACCESSLAKE_LOG_BUCKETS": stack.log_bucket,
        "ACCESSLAKE_SINK": "firehose" if deployed.stream is not None else "parquet",
        **({"ACCESSLAKE_STREAM": stack.outputs["StreamName"]} if deployed.stream is not None else {}),
        **_ALLOCATOR,
    }
    yield environment_check(
        "function environment",
        deployed.function,
        wanted,
        expected=f"lake {stack.lake_uri}, logs of {stack.log_bucket}, sink {wanted['ACCESSLAKE_SINK']}",
    )
    yield trigger_check("function trigger", deployed.event_source)
    least = int(stack.parameters.get("MaximumConcurrency", _LEAST_CONCURRENCY))
    yield concurrency_check("function concurrency", deployed.concurrency, least=least)


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
