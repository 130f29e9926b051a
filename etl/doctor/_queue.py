"""Checks of a queue that feeds a function: time for it, a way out for poison, and nothing waiting there. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from etl.doctor._check import Check, Found, Unreadable, judge

_VISIBILITY_FACTOR: Final = 6
_LEAST_RECEIVES: Final = 5
_UPDATE: Final = "update the stack"


def visibility_check(name: str, queue: Found, *, function: Found, event_source: Found) -> Check:
    """A message must not come back while it is worked on
    (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html)."""
    least = _least_visibility(function, event_source)
    return judge(
        name,
        queue,
        lambda found: [f"{found.get('VisibilityTimeout')} s"] if int(found.get("VisibilityTimeout", 0)) < least else (),
        expected=f"at least {least} s: {_VISIBILITY_FACTOR} times the function's timeout, and the batching window",
        advice=f"{_UPDATE}: messages come a second time while they are worked on",
    )


def redrive_check(name: str, queue: Found, *, dead_letters: Found, otherwise: str) -> Check:
    """What fails again and again has to go out of the way; `otherwise` is what happens without."""
    return judge(
        name,
        queue,
        lambda found: _redrive_problems(found, dead_letters),
        expected=f"to the stack's dead-letter queue after {_LEAST_RECEIVES} tries or more",
        advice=f"{_UPDATE}: {otherwise}",
    )


def policy_check(name: str, queue: Found) -> Check:
    """S3 may announce objects to it."""
    return judge(
        name,
        queue,
        lambda found: () if _lets_s3_send(found.get("Policy", "")) else ["S3 may not send to it"],
        expected="s3.amazonaws.com may send messages",
        advice=_UPDATE,
    )


def dead_letters_check(name: str, dead_letters: Found, *, advice: str) -> Check:
    """Nothing has failed for good."""
    return judge(
        name,
        dead_letters,
        lambda found: [f"{waiting(found)} message(s)"] if waiting(found) else (),
        expected="none",
        advice=advice,
    )


def waiting(queue: dict[str, Any]) -> int:
    """Messages that nobody has taken, about."""
    return int(queue.get("ApproximateNumberOfMessages", 0))


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


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]
