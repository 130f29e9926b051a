"""SQS messages with S3 notifications, as the log objects they announce. Pure.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from etl.sources import LogSource

_CREATED: Final = "ObjectCreated:"
_VERSION: Final = "2."
"""Major version of S3's events: another one may mean anything."""


@dataclass(frozen=True)
class Arrival:
    """One log object that S3 says is there."""

    bucket: str
    log: LogSource
    announced: datetime | None
    """When S3 wrote the event, UTC."""


@dataclass(frozen=True)
class Message:
    """One SQS message: what it announces, or why it cannot be understood."""

    message_id: str
    arrivals: tuple[Arrival, ...] = ()
    malformed: str = ""


def read_messages(event: Any) -> list[Message]:
    """The messages of a Lambda event of an SQS queue.

    Bodies are S3's notifications, plain or in an SNS envelope. `s3:TestEvent` and events of anything but a created object
    announce nothing. Raises `TypeError` or `KeyError` if the event is none of SQS: then no message can be told from another.
    """
    return [_read_message(record["messageId"], record["body"]) for record in event["Records"]]


def _read_message(message_id: str, body: str) -> Message:
    try:
        return Message(message_id, tuple(_arrivals(_unwrap(json.loads(body)))))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Message(message_id, malformed=f"no S3 notification: {type(error).__name__} {error}")


def _unwrap(body: Any) -> Any:
    """What is in an SNS envelope, or the body itself."""
    if body.get("Type") == "Notification" and "Message" in body:
        return json.loads(body["Message"])
    return body


def _arrivals(notification: Any) -> Iterator[Arrival]:
    if notification.get("Event") == "s3:TestEvent":
        return
    for record in notification["Records"]:
        if not record["eventVersion"].startswith(_VERSION):
            raise ValueError(f"eventVersion {record['eventVersion']}")
        if record["eventName"].removeprefix("s3:").startswith(_CREATED):
            yield _arrival(record)


def _arrival(record: Any) -> Arrival:
    bucket, stored = record["s3"]["bucket"]["name"], record["s3"]["object"]
    location = f"s3://{bucket}/{unquote_plus(stored['key'])}"
    time = record.get("eventTime")
    return Arrival(
        bucket,
        LogSource(location, location, int(stored["size"]), stored["eTag"].strip('"')),
        None if time is None else datetime.fromisoformat(time),
    )
