"""The account under test: clients, the stack's names, and a clock that can wait."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from etl.errors import BadParameter, LakeUnusable, first_line

if TYPE_CHECKING:
    import boto3

POLL_SECONDS: Final = 20.0
_NEEDED: Final = ("LakeUri", "LogBucketName", "LogPrefix", "DatabaseName", "WorkgroupName")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Account:
    """Clients as boto3 makes them (`Any`: tests have others), and the stack's outputs."""

    s3: Any
    firehose: Any
    athena: Any
    outputs: Mapping[str, str]
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""
    sleep: Callable[[float], None] = time.sleep
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def source_key(self) -> str:
        """The log object that all rows of this run say they are from; there is none."""
        return f"s3://accesslake-smoke/{self.run}"

    @property
    def lake_bucket(self) -> str:
        """The lake's bucket."""
        return self.outputs["LakeUri"].removeprefix("s3://").partition("/")[0]

    @property
    def lake_prefix(self) -> str:
        """What all keys of the lake start with; "" or ending with a slash."""
        prefix = self.outputs["LakeUri"].removeprefix("s3://").partition("/")[2].strip("/")
        return f"{prefix}/" if prefix else ""

    @property
    def stream(self) -> str | None:
        """The delivery stream; None where rows go to the lake without Firehose."""
        return self.outputs.get("StreamName")

    def days(self, since: float) -> list[str]:
        """UTC days from then until now."""
        first = datetime.fromtimestamp(since, UTC).date()
        last = datetime.fromtimestamp(self.clock(), UTC).date()
        return [(first + timedelta(days)).isoformat() for days in range((last - first).days + 1)]

    def wait_for(self, look: Callable[[], _T | None], *, seconds: float) -> _T | None:
        """What `look` finds, looked for until it is there or the time is up."""
        end = self.clock() + seconds
        while (found := look()) is None and self.clock() < end:
            self.sleep(min(POLL_SECONDS, max(0.0, end - self.clock())))
        return found

    def list_since(self, folder: str, since: float) -> Iterator[str]:
        """Keys of the lake's objects under a folder that were written after that time, a minute of clock skew allowed."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.lake_bucket, Prefix=f"{self.lake_prefix}{folder}"
        )
        for page in pages:
            for item in page.get("Contents", []):
                if item["LastModified"].timestamp() > since - 60:
                    yield item["Key"]

    def delete(self, keys: Iterable[str]) -> Iterator[str]:
        """Delete objects of the lake's bucket; a text for each that could not be."""
        from botocore.exceptions import BotoCoreError, ClientError

        for key in keys:
            try:
                self.s3.delete_object(Bucket=self.lake_bucket, Key=key)
            except (ClientError, BotoCoreError) as error:
                yield f"s3://{self.lake_bucket}/{key}: {first_line(error)}"

    def read(self, key: str) -> bytes:
        """An object of the lake's bucket."""
        data: bytes = self.s3.get_object(Bucket=self.lake_bucket, Key=key)["Body"].read()
        return data

    def read_parquet(self, key: str) -> pq.ParquetFile:
        """A Parquet object of the lake's bucket."""
        return pq.ParquetFile(pa.BufferReader(self.read(key)))

    def select(self, sql: str, *, seconds: float) -> list[list[str | None]]:
        """Rows of a query in the stack's workgroup, without their header. Raises `LakeUnusable` if it does not succeed."""
        started = self.execute(sql, seconds=seconds)["QueryExecutionId"]
        rows = self.athena.get_query_results(QueryExecutionId=started)["ResultSet"]["Rows"]
        return [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows[1:]]

    def execute(self, sql: str, *, seconds: float) -> Mapping[str, Any]:
        """A statement in the stack's workgroup, as `GetQueryExecution` tells of it. Raises `LakeUnusable` unless it succeeds."""
        started = self.athena.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Database": self.outputs["DatabaseName"]},
            WorkGroup=self.outputs["WorkgroupName"],
        )["QueryExecutionId"]

        def ended() -> Mapping[str, Any] | None:
            found = self.athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]
            return None if found["Status"]["State"] in ("QUEUED", "RUNNING") else {"QueryExecutionId": started, **found}

        execution = self.wait_for(ended, seconds=seconds)
        if execution is None or execution["Status"]["State"] != "SUCCEEDED":
            status = {} if execution is None else execution["Status"]
            reason = status.get("StateChangeReason", status["State"]) if status else "took too long"
            raise LakeUnusable("Athena", first_line(Exception(reason)))
        return execution


def open_account(stack: str) -> Account:
    """The account and region that boto3 finds.

    Raises `BadParameter` if there is no such stack or it is of another template, `LakeUnusable` if it cannot be asked.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        session = boto3.Session()
        outputs = _outputs(session, stack)
        return Account(session.client("s3"), session.client("firehose"), session.client("athena"), outputs)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            raise BadParameter("--stack", f"no stack {stack!r} here", hint="look at the region") from error
        raise LakeUnusable(stack, first_line(error)) from error
    except BotoCoreError as error:
        raise LakeUnusable(stack, first_line(error)) from error


def _outputs(session: boto3.Session, stack: str) -> dict[str, str]:
    found = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    missing = [name for name in _NEEDED if name not in outputs]
    if missing:
        raise BadParameter(
            "--stack", f"{stack!r} has no output {missing[0]}", hint="is it a stack of infra/template.yaml?"
        )
    return outputs
