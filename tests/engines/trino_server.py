"""A Trino server on loopback: one process, a hive connector over an S3 server, and the few calls of its HTTP protocol."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import ACCESS_KEY, SECRET_KEY
from servers import running
from trino_files import VERSION, trino_files

START = Path(__file__).parent / "trino/Start.java"
START_SECONDS = 120
QUERY_SECONDS = 60
CATALOG = "awsdatacatalog"
"""As Athena calls Glue, and the views name it."""
_HEADERS = {"X-Trino-User": "tests", "X-Trino-Catalog": CATALOG, "X-Trino-Time-Zone": "UTC"}
# Else the precision of times is not told.
_HEADERS["X-Trino-Client-Capabilities"] = "PARAMETRIC_DATETIME"


class TrinoError(Exception):
    """A statement that Trino refused."""


@dataclass(frozen=True)
class Read:
    """What a query read of one table."""

    partitions: frozenset[str]
    """Values of the partition key that were listed."""
    rows: int
    """-1, like the bytes, where it was read together with another table."""
    bytes: int


@dataclass(frozen=True)
class Answer:
    """What a statement gave."""

    rows: list[tuple[Any, ...]]
    columns: tuple[tuple[str, str], ...]
    """(name, type) of each."""
    query_id: str


@dataclass(frozen=True)
class Trino:
    """A running server."""

    address: str
    log: Path

    def run(self, sql: str, *, schema: str = "logs") -> Answer:
        """Runs a statement to its end; times come as naive datetimes. Raises `TrinoError`.

        A server that has just started, or gets no time from its machine, may not know of itself as a worker; a statement that
        it refuses for that has not begun.
        """
        deadline = time.monotonic() + QUERY_SECONDS
        while True:
            try:
                return self._run(sql, schema, deadline)
            except TrinoError as error:
                if not str(error).startswith("NO_NODES_AVAILABLE") or time.monotonic() > deadline:
                    raise
            time.sleep(0.5)  # polling; nothing is assumed about how long it takes

    def _run(self, sql: str, schema: str, deadline: float) -> Answer:
        found = self._call("/v1/statement", {"X-Trino-Schema": schema}, sql.encode())
        rows: list[list[Any]] = []
        columns: list[Mapping[str, str]] = []
        while True:
            if error := found.get("error"):
                raise TrinoError(f"{error['errorName']}: {error['message']}")
            rows += found.get("data") or []
            columns = found.get("columns") or columns
            if "nextUri" not in found:
                break
            if time.monotonic() > deadline:
                pytest.fail(f"no answer within {QUERY_SECONDS} s: {sql[:500]}")
            found = self._call(found["nextUri"].removeprefix(self.address), {})
        types = [column["type"] for column in columns]
        values = [tuple(map(_value, row, types)) for row in rows]
        return Answer(values, tuple((column["name"], column["type"]) for column in columns), found["id"])

    def reads(self, answer: Answer) -> dict[str, Read]:
        """By table, what it read to answer; a table that it had not to look at is missing."""
        query = self._call(f"/v1/query/{answer.query_id}", {})
        scans = dict(_scans(query["outputStage"]))
        found: dict[str, Read] = {}
        for each in query["inputs"]:
            days = frozenset(
                value.partition("=")[2] for value in (each["connectorInfo"] or {}).get("partitionIds") or ()
            )
            rows, size = scans[each["planNodeId"]]
            before = found.get(each["table"], Read(frozenset(), 0, 0))
            alone = min(rows, before.rows) >= 0
            found[each["table"]] = Read(
                before.partitions | days, before.rows + rows if alone else -1, before.bytes + size if alone else -1
            )
        return found

    def starting(self) -> bool:
        """Whether it does not take statements yet."""
        try:
            return bool(self._call("/v1/info", {})["starting"])
        except (urllib.error.URLError, OSError, ValueError):
            return True

    def _call(self, path: str, headers: Mapping[str, str], data: bytes | None = None) -> Any:
        request = urllib.request.Request(self.address + path, data, {**_HEADERS, **headers})
        with urllib.request.urlopen(request, timeout=QUERY_SECONDS) as response:
            return json.load(response)


def _value(value: Any, kind: str) -> Any:
    return dt.datetime.fromisoformat(value) if kind.startswith("timestamp") and value is not None else value


def _scans(stage: Any) -> Iterator[tuple[str, tuple[int, int]]]:
    """By plan node of a table, rows and bytes that were read: what its stage read, if no other table was read there."""
    tables = list(stage["tables"] or {})
    stats = stage["stageStats"]
    read = int(stats["physicalInputPositions"]), _bytes(stats["physicalInputDataSize"])
    for node in tables:
        yield node, read if len(tables) == 1 else (-1, -1)
    for below in stage["subStages"]:
        yield from _scans(below)


def _bytes(size: str | int) -> int:
    return int(str(size).removesuffix("B"))


@contextmanager
def started_trino(folder: Path, *, s3_endpoint: str, bucket: str) -> Iterator[Trino]:
    """A server whose metastore lies in `metastore/` of the bucket; ended with the context, or with this process."""
    files = trino_files()
    with running(
        "Trino",
        lambda attempt: _start(folder / str(attempt), files, s3_endpoint, bucket),
        answers=_answers,
        stop=_stop,
        output=lambda server: server.log.read_text(errors="replace")[-4000:],
        seconds=START_SECONDS,
    ) as server:
        yield server


def _answers(process: subprocess.Popen[bytes], server: Trino, deadline: float) -> bool:
    while server.starting() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)  # polling a process that starts; nothing is assumed about how long it takes
    return process.poll() is None and not server.starting()


def _start(folder: Path, files: Path, s3_endpoint: str, bucket: str) -> tuple[subprocess.Popen[bytes], Trino]:
    java = shutil.which("java")
    if java is None:
        pytest.fail("Trino runs on Java 17: apt-get install openjdk-17-jdk-headless")
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    server = Trino(f"http://127.0.0.1:{port}", folder / "server.log")
    catalogs = folder / "catalogs"
    catalogs.mkdir(parents=True)
    config = {
        "node.id": "one",
        "node.environment": "tests",
        "node.bind-ip": "127.0.0.1",
        "node.internal-address": "127.0.0.1",
        "coordinator": "true",
        "node-scheduler.include-coordinator": "true",
        "http-server.http.port": str(port),
        "discovery.uri": server.address,
        "plugin.dir": str(files / "plugin"),
        "catalog.config-dir": str(catalogs),
        "query.max-memory": "400MB",
    }
    hive = {
        "connector.name": "hive",
        "hive.metastore": "file",
        "hive.metastore.catalog.dir": f"s3://{bucket}/metastore",
        "hive.partition-projection-enabled": "true",
        "hive.security": "allow-all",
        # The files do not change, and a listing of every projected day for each query takes most of the time.
        "hive.file-status-cache-tables": "*",
        "hive.file-status-cache-expire-time": "1h",
        "fs.hadoop.enabled": "false",
        "fs.native-s3.enabled": "true",
        "s3.endpoint": s3_endpoint,
        "s3.region": "us-east-1",
        "s3.path-style-access": "true",
        "s3.aws-access-key": ACCESS_KEY,
        "s3.aws-secret-key": SECRET_KEY,
        # Else a file of less than 3 MB is read whole, and the files here are small.
        "parquet.small-file-threshold": "0B",
        # Nor is what lies between two columns read along.
        "parquet.max-merge-distance": "0B",
        # Wrong results before 436 (https://trino.io/docs/current/release/release-436.html).
        "parquet.use-column-index": "false",
    }
    _write_properties(folder / "config.properties", config)
    _write_properties(catalogs / f"{CATALOG}.properties", hive)
    command = [
        java,
        "-Xmx1500m",
        "-XX:TieredStopAtLevel=1",
        "-Dfile.encoding=UTF-8",
        "-Duser.timezone=UTC",
        "-Djdk.attach.allowAttachSelf=true",
    ]
    command += [f"-Dconfig={folder / 'config.properties'}", f"-Djava.io.tmpdir={folder}"]
    command += ["-cp", f"{files / 'lib'}/*", str(START), VERSION]
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return process, server


def _write_properties(path: Path, properties: Mapping[str, str]) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.kill()
    process.wait()
