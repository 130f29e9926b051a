"""Log objects in a bucket, through any endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from etl.errors import SourceError, SourceNotFound, SourceUnreadable
from etl.sources._log_source import PART_BYTES, LogSource

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def find_s3_logs(source: str) -> Iterator[LogSource | SourceError]:
    """Objects under `s3://bucket/prefix`, in order of their keys; a prefix may be a whole key."""
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    empty = True
    try:
        for page in _client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                if item["Key"].endswith("/") and not item["Size"]:
                    continue  # a console's folder marker
                empty = False
                location = f"s3://{bucket}/{item['Key']}"
                yield LogSource(location, location, item["Size"], item["ETag"].strip('"'))
    except (ClientError, BotoCoreError, ValueError) as error:
        yield SourceUnreadable(source, str(error))
        return
    if empty:
        yield SourceNotFound(source, "matches no object")


def read_s3_parts(log: LogSource) -> Iterator[bytes]:
    """The object's bytes as they are, in parts, of the listed version only. Raises `SourceUnreadable`."""
    bucket, _, key = log.location.removeprefix("s3://").partition("/")
    try:
        body = _client().get_object(Bucket=bucket, Key=key, IfMatch=f'"{log.version}"')["Body"]
        yield from body.iter_chunks(PART_BYTES)
    except (ClientError, BotoCoreError) as error:
        raise SourceUnreadable(log.source_key, str(error)) from error


@cache
def _client() -> S3Client:
    return boto3.client("s3")
