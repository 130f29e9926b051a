"""Athena's API in this process, for what is around its SQL: workgroups, executions, result files, manifests and failures.

The rows are those that the rewrite on this machine has; Trino shows elsewhere that the SELECT gives them.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from aws_account import refusal
from botocore.client import BaseClient

from etl.compact import rewrite
from etl.lake import GLUE_STATE, FileKeeper, Lake, Plan
from etl.lake._layout import day_of, staged_key
from etl.schema import COMPACTED_SCHEMA

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_UNLOAD = re.compile(r"UNLOAD \((.*)\) TO '(.*)' WITH \((.*)\)", re.DOTALL)
_TIMES = re.compile(r"request_time (?:>=|<) TIMESTAMP '([^']+)'")
_ids = itertools.count(1)


def kept_by_glue(lake: Lake, *, database: str = "logs") -> Lake:
    """A lake in a bucket as it is where Glue keeps the state; here its files do."""
    return replace(lake, state=GLUE_STATE, database=database, glue=FileKeeper(lake.store))


@dataclass
class AthenaService:
    """A workgroup, and a lake whose plan is being rewritten."""

    lake: Lake
    plan: Plan
    client: S3Client
    workgroup: dict[str, Any] = field(default_factory=lambda: {"EnforceWorkGroupConfiguration": False})
    int96: bool = True
    """Whether unloaded times are."""
    orphans: bool = False
    """Whether a worker that was ended leaves a file behind with each UNLOAD that succeeds, too."""
    answers: Callable[[str, list[list[Any]]], list[list[Any]]] = lambda kind, rows: rows
    """What becomes of the rows of a SELECT, by its kind."""
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    """(what a statement has in it, state or error code, reason): the next such statement ends so, after it wrote something."""
    statements: list[str] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    executions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """What this machine makes of the plan."""
        self.winner = rewrite(self.lake, self.plan, attempt="truth")
        self.rows = {
            output.key: self._read(staged_key(self.plan.batch, "truth", output.key)) for output in self.winner.outputs
        }

    def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """One request of the API."""
        if operation == "StartQueryExecution":
            return self._start(arguments)
        if operation == "GetQueryExecution":
            return {"QueryExecution": self.executions[arguments["QueryExecutionId"]]}
        if operation == "GetQueryResults":
            return {"ResultSet": {"ResultSetMetadata": {"ColumnInfo": []}, "Rows": []}}
        assert operation == "GetWorkGroup"
        return {"WorkGroup": {"Name": arguments["WorkGroup"], "Configuration": self.workgroup}}

    def _start(self, given: dict[str, Any]) -> dict[str, Any]:
        sql = given["QueryString"]
        assert len(sql.encode()) <= 262_144
        self.requests.append(given)
        self.statements.append(sql)
        failure = next((each for each in self.failures if each[0] in sql), None)
        if failure:
            self.failures.remove(failure)
            if failure[1] not in ("FAILED", "CANCELLED"):
                raise refusal(failure[1], "StartQueryExecution", failure[2])
        name = f"query-{next(_ids)}"
        if self.workgroup.get("ManagedQueryResultsConfiguration", {}).get("Enabled"):
            assert "ResultConfiguration" not in given
            self.executions[name] = {"QueryExecutionId": name, "Status": {"State": "SUCCEEDED"}, "Statistics": {}}
            return {"QueryExecutionId": name}
        enforced = self.workgroup["EnforceWorkGroupConfiguration"]
        place = (self.workgroup if enforced else given)["ResultConfiguration"]["OutputLocation"].rstrip("/")
        execution: dict[str, Any] = {
            "QueryExecutionId": name,
            "Status": {"State": "SUCCEEDED", "SubmissionDateTime": dt.datetime.now(dt.UTC)},
            "ResultConfiguration": {"OutputLocation": f"{place}/{name}.csv"},
            "Statistics": {},
        }
        if found := _UNLOAD.fullmatch(sql):
            addresses = self._unload(found[1], found[2])
            if self.orphans or failure:
                self.put(f"{found[2]}event_date=2024-05-02/orphan", self._file(next(iter(self.rows.values()))))
            execution["Statistics"]["DataManifestLocation"] = f"{place}/{name}-manifest.csv"
            if not failure:
                self.put(f"{place}/{name}-manifest.csv", "".join(f"{each}\n" for each in addresses).encode())
        elif not sql.startswith(("CREATE", "DROP")):
            text = io.StringIO()
            csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["names"], *self._select(sql)])
            self.put(f"{place}/{name}.csv", text.getvalue().encode())
        if failure:
            execution["Status"] |= {"State": failure[1], "StateChangeReason": failure[2]}
        self.executions[name] = execution
        return {"QueryExecutionId": name}

    def _select(self, sql: str) -> list[list[Any]]:
        if "GROUP BY raw_object" in sql:
            rows = [
                [f"{self.lake.uri}/{item.key}", item.rows]
                for item in self.plan.inputs
                if item.rows and f"/{item.key}'" in sql
            ]
            return self.answers("objects", rows)
        if "AS event_hour" in sql:
            hours = Counter(
                f"{time:%Y-%m-%d %H}"
                for table in self.rows.values()
                for time in table.column("request_time").to_pylist()
            )
            return self.answers("hours", [[hour, rows] for hour, rows in hours.items()])
        if "AS repeated" in sql:
            held = Counter[str]()
            for commit in self.lake.commits():
                for output in commit.outputs:
                    held[day_of(output.key)] += output.rows
            return self.answers("committed", [[day, rows, rows] for day, rows in held.items()])
        assert "AS folded" in sql
        return self.answers("folded", [[day, rows] for day, rows in self.winner.folded.items()])

    def _unload(self, sql: str, folder: str) -> list[str]:
        """Two files for each day that the statement covers, as two of Athena's workers would write them."""
        since, until = sorted(set(_TIMES.findall(sql)))
        assert not list(self.lake.store.list(folder.removeprefix(f"{self.lake.uri}/"))), "UNLOAD wants an empty folder"
        addresses = []
        for number, (key, table) in enumerate(self.rows.items()):
            times = pc.strftime(table.column("request_time"), "%Y-%m-%d %H:%M:%S")
            part = table.filter(pc.and_(pc.greater_equal(times, since), pc.less(times, until)))
            for worker in range(2):
                rows = part.take(pa.array(range(worker, len(part), 2), pa.int64()))
                if len(rows):
                    addresses.append(f"{folder}event_date={day_of(key)}/2026_x_{number}_{worker}")
                    self.put(addresses[-1], self._file(rows))
        return addresses

    def _file(self, table: pa.Table) -> bytes:
        file = io.BytesIO()
        pq.write_table(table, file, compression="zstd", use_deprecated_int96_timestamps=self.int96, store_schema=False)
        return file.getvalue()

    def put(self, address: str, data: bytes) -> None:
        """An object, by its address."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def _read(self, key: str) -> pa.Table:
        with pq.ParquetFile(self.lake.store.path(key), filesystem=self.lake.store.filesystem) as file:
            return file.read().cast(COMPACTED_SCHEMA)


def answer_with(service: AthenaService, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever boto3 asks of Athena goes to the service; the rest goes where it went."""
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def answer(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        if self.meta.service_model.service_name == "athena":
            return service.call(operation, arguments)
        return call(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", answer)


def upload(lake: Path, client: S3Client, bucket: str, prefix: str) -> None:
    """A lake in a folder, into a bucket."""
    for path in sorted(path for path in lake.rglob("*") if path.is_file()):
        client.put_object(Bucket=bucket, Key=f"{prefix}/{path.relative_to(lake).as_posix()}", Body=path.read_bytes())
