"""Reads a bucket's configuration, says what would change, and writes that and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from etl.attach._notification import merge_notification
from etl.attach._policy import merge_policy
from etl.attach._target import logs_under, merge_logging
from etl.errors import BadParameter, SourceNotFound, SourceReplaced, SourceUnreadable, first_line

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOTIFICATION: Final = "notification"
POLICY: Final = "policy"
LOGGING: Final = "logging"


@dataclass(frozen=True)
class Change:
    """One configuration of one bucket, before and after; `before` is what must still be there when it is written."""

    bucket: str
    what: str
    """`NOTIFICATION`, `POLICY` or `LOGGING`."""
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass(frozen=True)
class Attachment:
    """What attaching would change, in the order in which it must be written; empty if all is so already."""

    bucket: str
    changes: tuple[Change, ...]


def plan_attachment(
    s3: S3Client,
    *,
    account: str,
    bucket: str,
    queue: str,
    prefix: str = "",
    source_buckets: Sequence[str] = (),
    log_prefix: str | None = None,
) -> Attachment:
    """What must change so that `queue` hears of every log object under `prefix`, and `source_buckets` log there. Writes nothing.

    `account` owns the buckets. `log_prefix` is where the source buckets' logs go, `prefix` itself if None. Raises `BadParameter`
    for what cannot be done without taking something away, `SourceNotFound` and `SourceUnreadable` for a bucket.
    """
    target = prefix if log_prefix is None else log_prefix
    if not target.startswith(prefix):
        raise BadParameter(target or "''", f"logs there are not under the prefix {prefix!r} that the queue hears of")
    notification = _read(s3, bucket, NOTIFICATION)
    if logs_under(_read(s3, bucket, LOGGING), bucket=bucket, prefix=prefix):
        raise BadParameter(bucket, "logs into itself, which never stops", hint="end that logging first")
    changes = []
    sources = list(dict.fromkeys(source_buckets))
    for source in sources:
        there = _read(s3, source, LOGGING)
        merged = merge_logging(there, source=source, bucket=bucket, log_prefix=target, notified=prefix)
        changes.append(Change(source, LOGGING, there, merged))
    heard = merge_notification(notification, queue=queue, prefix=prefix)
    changes.insert(0, Change(bucket, NOTIFICATION, notification, heard))
    if sources:
        policy = _read(s3, bucket, POLICY)
        allowed = merge_policy(
            policy,
            partition=queue.split(":")[1],
            account=account,
            bucket=bucket,
            log_prefix=target,
            sources=sources,
        )
        # Before the logging, which S3 checks it for.
        changes.insert(0, Change(bucket, POLICY, policy, allowed))
    return Attachment(bucket, tuple(change for change in changes if change.before != change.after))


def apply_attachment(s3: S3Client, attachment: Attachment) -> None:
    """Write what was planned; raises `SourceReplaced` if somebody has changed a configuration since it was read.

    S3 has no conditional write for these, so a change within the moment between the last look and the write is not seen.
    """
    for change in attachment.changes:
        if _read(s3, change.bucket, change.what) != change.before:
            raise SourceReplaced(change.bucket, f"its {change.what} has changed meanwhile", hint="look at it again")
        _write(s3, change)


def _read(s3: S3Client, bucket: str, what: str) -> dict[str, Any]:
    with _as_source_errors(bucket, what):
        if what == NOTIFICATION:
            found: dict[str, Any] = dict(s3.get_bucket_notification_configuration(Bucket=bucket))
        elif what == LOGGING:
            found = dict(s3.get_bucket_logging(Bucket=bucket))
        else:
            try:
                found = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
            except ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
                    raise
                found = {}
    found.pop("ResponseMetadata", None)
    return found


def _write(s3: S3Client, change: Change) -> None:
    after: Any = change.after
    with _as_source_errors(change.bucket, change.what):
        if change.what == NOTIFICATION:
            s3.put_bucket_notification_configuration(Bucket=change.bucket, NotificationConfiguration=after)
        elif change.what == LOGGING:
            s3.put_bucket_logging(Bucket=change.bucket, BucketLoggingStatus=after)
        else:
            s3.put_bucket_policy(Bucket=change.bucket, Policy=json.dumps(after))


@contextmanager
def _as_source_errors(bucket: str, what: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchBucket", "404"):
            raise SourceNotFound(bucket, "no such bucket") from error
        raise SourceUnreadable(bucket, f"{what}: {first_line(error)}") from error
    except BotoCoreError as error:
        raise SourceUnreadable(bucket, f"{what}: {first_line(error)}") from error
