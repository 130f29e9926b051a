"""A lake in an S3 bucket, or in anything that speaks S3 (`AWS_ENDPOINT_URL`)."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from etl.addresses import check_prefix
from etl.errors import LakeUnusable, ObjectNotFound, first_line
from etl.lake._s3_endpoint import arrow_endpoint, is_aws
from etl.lake._scratch import TEMPORARY_PREFIX
from etl.lake._store import StoredObject

if TYPE_CHECKING:
    import pyarrow.fs
    from mypy_boto3_s3 import S3Client

_CONFLICT_TRIES: Final = 5
_MISSING: Final = frozenset({"NoSuchKey", "404", "NoSuchBucket"})


@dataclass(frozen=True)
class S3Store:
    """Objects of a bucket under a prefix.

    Create-once rests on `If-None-Match: *`, which S3 has for PutObject and CopyObject
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html). For the copy we put the bytes again with it:
    not every S3 server checks the header of a copy, all we know check that of a put.
    """

    client: S3Client
    bucket: str
    prefix: str
    """Without a slash at its end; may be empty."""

    @property
    def uri(self) -> str:
        """`s3://bucket/prefix`."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def filesystem(self) -> pyarrow.fs.FileSystem:
        """Arrow's own S3 client, with the endpoint of ours and the credentials that ours has now: a role's end within hours."""
        import pyarrow.fs

        credentials = self.client._request_signer._credentials  # type: ignore[attr-defined]
        frozen = credentials.get_frozen_credentials() if credentials else None
        known = self._filesystems.get(frozen)
        if known is None:
            known = pyarrow.fs.S3FileSystem(
                access_key=frozen and frozen.access_key,
                secret_key=frozen and frozen.secret_key,
                session_token=frozen and frozen.token,
                **self._endpoint,
            )
            self._filesystems.clear()
            self._filesystems[frozen] = known
        return known

    @cached_property
    def _endpoint(self) -> dict[str, Any]:
        """Arrow's options. On AWS boto3 goes to the bucket's region by itself, and Arrow has to be told which it is."""
        meta: Any = self.client.meta
        region = meta.region_name
        if is_aws(meta.endpoint_url):
            try:
                answer: Any = self.client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                answer = error.response  # a refusal names the region too
            except BotoCoreError:
                answer = {}
            region = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region", region)
        style = (meta.config.s3 or {}).get("addressing_style")
        return arrow_endpoint(meta.endpoint_url, region=region, virtual=style == "virtual")

    @cached_property
    def _filesystems(self) -> dict[object, pyarrow.fs.FileSystem]:
        """The last one, by its credentials."""
        return {}

    def path(self, key: str) -> str:
        """`bucket/prefix/key`, as Arrow names it."""
        return f"{self.bucket}/{self._full(key)}"

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Objects whose key starts with `prefix`, in order of their keys, which not every server lists them in.

        A server that answers with other keys has made another prefix of ours: what it holds would be taken for nothing.
        """
        start, wanted = len(self._full("")), self._full(prefix)
        found = []
        with _as_lake_errors(f"{self.uri}/{prefix}"):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=wanted)
            for page in pages:
                for item in page.get("Contents", []):
                    if not item["Key"].startswith(wanted):
                        raise LakeUnusable(
                            f"{self.uri}/{prefix}", f"the server lists {item['Key']!r}, which is not below it"
                        )
                    found.append(StoredObject(item["Key"][start:], item["Size"], item["ETag"].strip('"')))
        yield from sorted(found, key=lambda stored: stored.key)

    def read(self, key: str) -> bytes:
        """The object's bytes."""
        with _as_lake_errors(f"{self.uri}/{key}"):
            return self.client.get_object(Bucket=self.bucket, Key=self._full(key))["Body"].read()

    def fetch(self, key: str, folder: Path) -> Path:
        """A copy of the object in `folder`, under its own key."""
        file = folder / key
        with _as_lake_errors(f"{self.uri}/{key}", local=folder):
            file.parent.mkdir(parents=True, exist_ok=True)
            self.client.download_file(self.bucket, self._full(key), str(file))
        return file

    def create(self, key: str, data: bytes) -> bool:
        """Create the object unless it exists; False if it does. A conflict with a rival's put is tried again."""
        for remaining in reversed(range(_CONFLICT_TRIES)):
            try:
                with _as_lake_errors(f"{self.uri}/{key}"):
                    self.client.put_object(Bucket=self.bucket, Key=self._full(key), Body=data, IfNoneMatch="*")
                return True
            except LakeUnusable as error:
                code = _code(error.__cause__)
                if code in ("PreconditionFailed", "412"):
                    return False
                if code not in ("ConditionalRequestConflict", "409") or not remaining:
                    raise
        raise AssertionError("unreachable")

    def move_in(self, key: str, file: Path) -> None:
        """Upload a file; an object appears only when it is whole."""
        with _as_lake_errors(f"{self.uri}/{key}", local=file):
            self.client.upload_file(str(file), self.bucket, self._full(key))
            file.unlink()

    def copy(self, source: str, target: str) -> bool:
        """Create `target` with the bytes of `source` unless it exists."""
        return self.create(target, self.read(source))

    def delete(self, key: str) -> None:
        """Remove the object if it is there."""
        with _as_lake_errors(f"{self.uri}/{key}"):
            self.client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def scratch(self) -> Path:
        """A temporary local folder, gone with the store."""
        return self._scratch

    @cached_property
    def _scratch(self) -> Path:
        with _as_lake_errors("the temporary folder"):
            folder = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key


def _code(error: BaseException | None) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


@contextmanager
def _as_lake_errors(subject: str, *, local: Path | None = None) -> Iterator[None]:
    """Trouble with the subject, or with `local`, a file or folder of this machine: a full disk is not a full bucket."""
    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error) as error:
        cause = _cause(error)
        if _code(cause) in _MISSING:
            raise ObjectNotFound(subject, "no such object or bucket") from cause
        raise LakeUnusable(subject, first_line(cause)) from cause
    except OSError as error:
        raise LakeUnusable(str(local or subject), error.strerror or str(error)) from error


def _cause(error: Exception) -> BaseException:
    """What a transfer of a file failed with: boto3 wraps it, and is no botocore error itself."""
    if not isinstance(error, Boto3Error):
        return error
    return getattr(error, "last_exception", None) or error.__context__ or error


def open_s3_store(uri: str) -> S3Store:
    """The store at `s3://bucket/prefix`, with credentials and endpoint from where boto3 finds them."""
    import boto3

    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise LakeUnusable(uri, "names no bucket", hint="s3://bucket/prefix")
    prefix = prefix.strip("/")
    check_prefix(uri, prefix)
    return S3Store(boto3.client("s3"), bucket, prefix)
