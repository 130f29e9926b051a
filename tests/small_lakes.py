"""Small lakes for the tests of the pipeline: log lines in, and a plain reading of what a reader of the lake sees."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from etl import SCHEMA, parse
from etl.ingest import ingest
from etl.lake import ObjectStore, Snapshot, StoredObject, open_lake
from etl.schema import WIRE_FIELDS

DAY_1 = dt.datetime(2024, 5, 2, 12, tzinfo=dt.UTC)
DAY_2 = DAY_1 + dt.timedelta(days=1)
DAY_3 = DAY_1 + dt.timedelta(days=2)
MUCH_LATER = DAY_1 + dt.timedelta(days=40)

Truth = Counter[tuple[Any, ...]]
_T = TypeVar("_T")


# --- Lines ------------------------------------------------------------------------------------------------------------


def line(
    time: str = "2024-05-02T10:00:00",
    *,
    key: str = "a.txt",
    bucket: str = "b1",
    request_id: str = "R1",
    operation: str = "REST.GET.OBJECT",
    agent: str = "curl/8",
    status: int | str = 200,
) -> bytes:
    """A log line of 27 fields, without its end."""
    moment = dt.datetime.fromisoformat(time).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return (
        f'owner {bucket} [{moment}] 192.0.2.1 - {request_id} {operation} {key} "GET /{key} HTTP/1.1" {status} - 7 7 3 2 '
        f'"-" "{agent}" - hostid= SigV4 ECDHE AuthHeader {bucket}.s3.amazonaws.com TLSv1.2 - - us-east-1'
    ).encode()


def text(*lines: bytes) -> bytes:
    """A log object of these lines."""
    return b"".join(each + b"\n" for each in lines)


def log_text(count: int, *, seed: str = "x", days: int = 2, bad_every: int = 0) -> bytes:
    """A log object of `count` different lines over some days; every `bad_every`-th cannot be read."""
    lines = []
    for number in range(count):
        if bad_every and number % bad_every == bad_every - 1:
            lines.append(f"no log line {seed} {number}".encode())
        else:
            time = dt.datetime(2024, 5, 1 + number % days, number % 24, number % 60)
            lines.append(line(time.isoformat(), key=f"{seed}/{number % 13}", request_id=f"{seed}{number}"))
    return text(*lines)


def write_logs(folder: Path, logs: Mapping[str, bytes]) -> Path:
    """A folder with these files."""
    for name, data in logs.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def make_lake(folder: Path) -> Path:
    """A lake in `folder/lake` of the three objects in `folder/logs`: 68 rows of two event days, and 4 lines that are none."""
    logs = write_logs(
        folder / "logs",
        {
            "a.log": log_text(40, seed="a", bad_every=9),
            "b.log": log_text(30, seed="b"),
            "c.log": text(line("2024-05-02T23:59:59", key="z"), line("2024-05-01T00:00:00", key="a")),
        },
    )
    ingest([str(logs)], lake=str(folder / "lake"), now=DAY_1)
    return folder / "lake"


def add_logs(lake: Path, *, now: dt.datetime = DAY_2, **logs: bytes) -> Truth:
    """Ingest more logs into a lake that `make_lake` made; what the lake must then hold."""
    folder = write_logs(lake.parent / "logs", {f"{name}.log": data for name, data in logs.items()})
    ingest([str(folder)], lake=str(lake), now=now)
    return local_truth(folder)


# --- What must be seen ------------------------------------------------------------------------------------------------


def rows_of(table: pa.Table) -> Truth:
    """The rows as a multiset, in the column order of the schema."""
    return Counter(tuple(row[name] for name in SCHEMA.names) for row in table.to_pylist())


def truth_of(logs: Mapping[str, bytes]) -> Truth:
    """What the parser makes of these objects (by source key): what a lake of them must hold, each row once."""
    truth: Truth = Counter()
    for source_key, data in logs.items():
        truth += rows_of(parse(data, source_key=source_key).table)
    return truth


def local_truth(folder: Path) -> Truth:
    """What a lake of all files under the folder must hold."""
    return truth_of({str(path.resolve()): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()})


# --- What is seen -----------------------------------------------------------------------------------------------------


def read_table(snapshot: Snapshot, path: str) -> pa.Table:
    with pq.ParquetFile(path, filesystem=snapshot.filesystem) as file:
        return file.read()


def read_rows(snapshot: Snapshot) -> Truth:
    """Every row that a reader of the snapshot sees; fails if a compacted row lies in another day's folder."""
    seen: Truth = Counter()
    for file in snapshot.compacted:
        table = read_table(snapshot, file.path)
        assert set(table.column("batch_id").to_pylist()) == {Path(file.path).name.split("-")[0]}
        day = pa.repeat(pa.scalar(file.day), table.num_rows)
        assert table.column("request_time").cast(pa.date32()).cast(pa.string()).to_pylist() == day.to_pylist()
        seen += rows_of(table.append_column("event_date", day))
    for file in snapshot.raw:
        seen += rows_of(read_table(snapshot, file.path))
    return seen


def read_lake(uri: str | Path) -> Truth:
    return read_rows(open_lake(str(uri)).snapshot())


def read_quarantine(uri: str | Path) -> list[tuple[str, int, str, bytes]]:
    snapshot = open_lake(str(uri)).snapshot()
    tables = [read_table(snapshot, file.path) for file in snapshot.quarantine]
    return sorted(tuple(row.values()) for table in tables for row in table.to_pylist())


def difference(seen: Truth, truth: Truth) -> str:
    """What is wrong with what is seen, short enough to read."""
    names = ("bucket_name", "request_time", "request_id", "key_name", "source_key", "line_no")
    places = [SCHEMA.names.index(name) for name in names]
    lost = [tuple(row[place] for place in places) for row in (truth - seen).elements()]
    added = [tuple(row[place] for place in places) for row in (seen - truth).elements()]
    return f"lost {lost[:5]} of {len(lost)}, added {added[:5]} of {len(added)}" if lost or added else ""


def all_files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def visible_files(root: Path) -> list[str]:
    """Files outside staging, where anything may lie."""
    return [name for name in all_files(root) if not name.startswith("staging/")]


# --- Raw objects, written without ingest ------------------------------------------------------------------------------


WIRE_NAMES = tuple(column.name for column in WIRE_FIELDS)


def raw_row(source_key: str, line_no: int, time: str = "2024-05-02T10:00:00", **values: object) -> dict[str, Any]:
    """A row as the parser could have given it; what is not said is null."""
    moment = dt.datetime.fromisoformat(time)
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    row |= {"bucket_name": "b1", "operation": "REST.GET.OBJECT", "parse_status": "clean"}
    row |= {"request_time": moment, "event_date": moment.date().isoformat()}
    return row | {"source_key": source_key, "line_no": line_no} | values


def put_raw(
    root: Path,
    name: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    day: str = "2024-05-02",
    drop: Iterable[str] = (),
    int96: bool = False,
) -> Path:
    """One raw object of a lake in a folder, as the direct sink (or, with `drop` and `int96`, Firehose) would write it."""
    path = root / "raw" / f"ingest_date={day}" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([dict(row) for row in rows], SCHEMA).drop_columns(list(drop))
    pq.write_table(table, path, use_deprecated_int96_timestamps=int96)
    return path


# --- Stores that fail -------------------------------------------------------------------------------------------------


class Crashed(BaseException):
    """The process ends here: no handler for errors may see it as one."""


@dataclass
class CrashingStore:
    """A store that ends the process before, or just after, its n-th change."""

    inner: ObjectStore
    at: int = -1
    after: bool = False
    between: Callable[[], None] = lambda: None
    """Called after every change."""
    changes: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    @property
    def uri(self) -> str:
        return self.inner.uri

    def list(self, prefix: str) -> Iterator[StoredObject]:
        return self.inner.list(prefix)

    def create(self, key: str, data: bytes) -> bool:
        return self._change("create", key, lambda: self.inner.create(key, data))

    def move_in(self, key: str, file: Path) -> None:
        self._change("move_in", key, lambda: self.inner.move_in(key, file))

    def copy(self, source: str, target: str) -> bool:
        return self._change("copy", target, lambda: self.inner.copy(source, target))

    def delete(self, key: str) -> None:
        self._change("delete", key, lambda: self.inner.delete(key))

    def _change(self, verb: str, key: str, change: Callable[[], _T]) -> _T:
        number = len(self.changes)
        self.changes.append(f"{verb} {key}")
        if number == self.at and not self.after:
            raise Crashed(self.changes[-1])
        done = change()
        self.between()
        if number == self.at:
            raise Crashed(self.changes[-1])
        return done
