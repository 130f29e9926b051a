"""Log objects in a bucket, through any endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from etl.errors import SourceError, SourceNotFound, SourceReplaced, SourceUnreadable, first_line
from etl.sources._log_source import PART_BYTES, LogSource

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectRequestTypeDef

_REPLACED: Final = frozenset({"PreconditionFailed", "412"})
_GONE: Final = frozenset({"NoSuchKey", "NoSuchBucket", "404"})


def find_s3_logs(source: str, *, exclude: str | None) -> Iterator[LogSource | SourceError]:
    """Objects under `s3://bucket/prefix`, in order of their keys; a prefix may be a whole key.

    Nothing under the address `exclude` is one, unless the source itself lies under it.
    """
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    if not bucket:
        yield SourceNotFound(source, "names no bucket", hint="s3://bucket/prefix")
        return
    lake = None if exclude is None else f"{exclude.rstrip('/')}/"
    if lake is not None and source.startswith(lake) and source != lake:
        lake = None
    empty = True
    try:
        for page in _client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                if item["Key"].endswith("/") and not item["Size"]:
                    continue  # a console's folder marker
                location = f"s3://{bucket}/{item['Key']}"
                if lake is not None and location.startswith(lake):
                    continue
                empty = False
                yield LogSource(location, location, item["Size"], item["ETag"].strip('"'))
    except (ClientError, BotoCoreError, ValueError) as error:
        yield SourceUnreadable(source, first_line(error))
        return
    if empty:
        yield SourceNotFound(source, "matches no object")


def read_s3_parts(log: LogSource) -> Iterator[bytes]:
    """The object's bytes as they are, in parts; of the listed version only, if one was listed.

    Raises `SourceNotFound` if it is gone, `SourceReplaced` if another version is there, else `SourceUnreadable`.
    """
    bucket, _, key = log.location.removeprefix("s3://").partition("/")
    try:
        only: GetObjectRequestTypeDef = {"Bucket": bucket, "Key": key}
        if log.version is not None:
            only["IfMatch"] = f'"{log.version}"'
        with closing(_client().get_object(**only)["Body"]) as body:
            yield from body.iter_chunks(PART_BYTES)
    except (ClientError, BotoCoreError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
        if code in _REPLACED:
            raise SourceReplaced(log.source_key, "changed since it was listed", hint="take it again") from error
        if code in _GONE:
            raise SourceNotFound(log.source_key, "is gone") from error
        raise SourceUnreadable(log.source_key, first_line(error)) from error


@cache
def _client() -> S3Client:
    return boto3.client("s3")
