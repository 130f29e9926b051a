"""Trino in the place of Athena: its SELECT is Athena's, and a table made by it stands for an UNLOAD."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trino_server import Answer, Read, Trino, TrinoError

from etl.athena import StatementFailed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CREATE = re.compile(
    r"CREATE EXTERNAL TABLE IF NOT EXISTS `(\w+)`\.`(\w+)` \((.*)\) STORED AS PARQUET LOCATION '(.*)/'"
)
_NUMBERS = itertools.count()


@dataclass
class TrinoAthena:
    """Runs what a rewrite asks for, in one schema; remembers the statements."""

    trino: Trino
    client: S3Client
    schema: str
    statements: list[str] = field(default_factory=list)
    reads: list[dict[str, Read]] = field(default_factory=list)
    """What each SELECT and each UNLOAD has read, by table."""

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows."""
        answer = self._run(sql)
        self.reads.append(self.trino.reads(answer))
        return answer.rows

    def unload(self, sql: str, folder: str) -> list[str]:
        """A partitioned table of the rows; its files, brought to the folder."""
        # A metastore of files has its own tables in its own folder alone.
        self._run("CREATE SCHEMA IF NOT EXISTS unloaded")
        table = f"unloaded.part_{next(_NUMBERS)}"
        made = f"CREATE TABLE {table} WITH (format = 'PARQUET', partitioned_by = ARRAY['event_date']) AS {sql}"
        self.reads.append(self.trino.reads(self._run(made)))
        addresses = []
        for (path,) in self._run(f'SELECT DISTINCT "$path" FROM {table}').rows:
            bucket, _, key = path.removeprefix("s3://").partition("/")
            address = folder + "/".join(key.split("/")[-2:])
            target = address.removeprefix(f"s3://{bucket}/")
            self.client.copy_object(Bucket=bucket, Key=target, CopySource={"Bucket": bucket, "Key": key})
            addresses.append(address)
        self._run(f"DROP TABLE {table}")
        return addresses

    def run(self, sql: str) -> None:
        """A statement of Athena's DDL, as Trino says it."""
        if found := _CREATE.fullmatch(sql):
            schema, table, columns, location = found.groups()
            columns = columns.replace("`", '"').replace(" string", " varchar")
            sql = (
                f'CREATE TABLE IF NOT EXISTS "{schema}"."{table}" ({columns}) '
                f"WITH (format = 'PARQUET', external_location = '{location}')"
            )
        self._run(sql.replace("`", '"'))

    def _run(self, sql: str) -> Answer:
        self.statements.append(sql)
        try:
            return self.trino.run(sql, schema=self.schema)
        except TrinoError as error:
            raise StatementFailed(str(error)) from error
