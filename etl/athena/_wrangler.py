"""Athena through awswrangler, which starts a statement, waits for it and reads its results."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from etl.athena._engine import StatementFailed
from etl.athena._select import PARTITION
from etl.errors import BadParameter, UsageError, first_line

if TYPE_CHECKING:
    import boto3


@dataclass(frozen=True)
class WrangledAthena:
    """A workgroup's Athena. Results and manifests go where the workgroup says, or to `results` where it does not.

    The place that a workgroup enforces is for those alone: UNLOAD writes where its statement says
    (https://docs.aws.amazon.com/athena/latest/ug/unload.html).
    """

    database: str
    workgroup: str
    results: str
    session: boto3.Session | None = None
    """boto3's default if None."""

    def select(self, sql: str) -> list[tuple[str, ...]]:
        """The rows of a SELECT as texts, from the CSV file that Athena writes anyway.

        Raises `BadParameter` for a workgroup that keeps its results to itself, where there is none
        (https://docs.aws.amazon.com/athena/latest/ug/managed-results.html).
        """
        place = self._start(sql).get("ResultConfiguration", {}).get("OutputLocation")
        if not place:
            reason = f"{self.workgroup} has managed query results, so it writes none to S3, where they are read"
            raise BadParameter("--workgroup", reason, hint="name one that writes its results to S3")
        return read_rows(self._fetch(place))

    def unload(self, sql: str, folder: str) -> list[str]:
        """The files that the data manifest lists: what a failed or ended worker has left in the folder is in none."""
        with _as_failed(wr := _awswrangler()):
            done = wr.athena.unload(
                sql=sql,
                path=folder,
                database=self.database,
                file_format="PARQUET",
                compression="ZSTD",
                partitioned_by=[PARTITION],
                workgroup=self.workgroup,
                boto3_session=self.session,
            )
        return read_manifest(self._fetch(done.manifest_location)) if done.manifest_location else []

    def run(self, sql: str) -> None:
        """A statement of the DDL."""
        self._start(sql)

    def _start(self, sql: str) -> dict[str, Any]:
        """The execution of a statement that has succeeded."""
        with _as_failed(wr := _awswrangler()):
            done: dict[str, Any] = wr.athena.start_query_execution(
                sql,
                database=self.database,
                workgroup=self.workgroup,
                s3_output=self.results,
                boto3_session=self.session,
                wait=True,
            )
            return done

    def _fetch(self, address: str) -> bytes:
        fetched = io.BytesIO()
        with _as_failed(wr := _awswrangler()):
            wr.s3.download(path=address, local_file=fetched, boto3_session=self.session)
        return fetched.getvalue()


def read_rows(data: bytes) -> list[tuple[str, ...]]:
    """Rows of a result as Athena writes it: CSV, names first, every value in quotes."""
    _, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
    return [tuple(row) for row in rows]


def read_manifest(data: bytes) -> list[str]:
    """Addresses of files from a data manifest, which has one a line."""
    return [address for line in data.decode().splitlines() if (address := line.strip().strip('"'))]


@contextmanager
def _as_failed(wr: ModuleType) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    names = ("QueryFailed", "QueryCancelled", "InvalidArgumentValue", "NoFilesFound", "ServiceApiError")
    known = tuple(getattr(wr.exceptions, name) for name in names)
    try:
        yield
    except (*known, ClientError, BotoCoreError) as error:
        raise StatementFailed(first_line(error)) from error


def _awswrangler() -> ModuleType:
    try:
        import awswrangler
    except ModuleNotFoundError:
        raise UsageError("awswrangler", "is not installed", hint="pip install 'accesslake[pandas]'") from None
    return awswrangler
