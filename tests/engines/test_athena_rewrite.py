"""The statements of a rewrite on Athena, on Trino: what they give is what the rewrite on this machine gives."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trino_server
from athena_service import kept_by_glue, upload
from conftest import S3Server
from hostile_keys import hostile_log, put_firehose
from query_lake import random_rows
from small_lakes import difference, line, put_raw, raw_row, rows_of, text
from trino_athena import TrinoAthena
from trino_server import Trino, started_trino
from trino_tables import trino_table

from etl import SCHEMA, parse
from etl.athena import _rewrite as athena_rewrite
from etl.athena import _slices, rewrite_on_athena
from etl.compact import compact, read_or_create_plan, rewrite, verify
from etl.ddl import ddl
from etl.lake import Lake, Winner, create_lake, open_lake
from etl.lake._layout import day_of, staged_key
from etl.schema import COMPACTED_TABLE, RAW_TABLE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "rewrite"
NOW = dt.datetime(2026, 8, 5, 12, tzinfo=dt.UTC)
FIRST_DAY = "2024-01-01"
ORDER = ("event_date", "bucket_name", "operation", "request_time", "source_key", "line_no")
_NUMBERS = itertools.count(1)
ARRIVAL, NEXT, BEFORE = "2026-08-02", "2026-08-03", "2026-08-01"


@pytest.fixture(scope="module")
def trino(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server) -> Iterator[Trino]:
    s3_server.client().create_bucket(Bucket=BUCKET)
    folder = tmp_path_factory.mktemp("trino")
    with started_trino(folder, s3_endpoint=s3_server.endpoint, bucket=BUCKET) as server:
        yield server


class World:
    """A lake made in a folder, then in the bucket, where Trino has its tables and Athena's stand-in writes."""

    def __init__(self, folder: Path, name: str, trino: Trino, client: S3Client) -> None:
        self.folder, self.name, self.client = folder / name, name, client
        self.athena = TrinoAthena(trino, client, name)
        create_lake(str(self.folder))

    def put_batches(self, batches: Sequence[Iterable[Path]]) -> None:
        """Compact once after each, but for the last."""
        for number, batch in enumerate(batches, 1):
            list(batch)
            if number < len(batches):
                assert compact(str(self.folder), now=NOW).batch

    def open(self) -> Lake:
        """The lake in the bucket, as if Glue kept its state."""
        upload(self.folder, self.client, BUCKET, self.name)
        location = f"s3://{BUCKET}/{self.name}"
        self.athena.trino.run(f"CREATE SCHEMA \"{self.name}\" WITH (location = 's3://{BUCKET}/databases/{self.name}')")
        tables = [each for each in ddl(location=location, database=self.name, first_day=FIRST_DAY) if "TABLE" in each]
        for table in tables:
            if f"`{RAW_TABLE.name}`" in table or f"`{COMPACTED_TABLE.name}`" in table:
                self.athena.trino.run(trino_table(table))
        return kept_by_glue(open_lake(location), database=self.name)

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=f"{self.name}/{key}", Body=data)


@pytest.fixture
def world(tmp_path: Path, trino: Trino, s3: S3Client) -> World:
    return World(tmp_path, f"lake_{next(_NUMBERS)}", trino, s3)


def on_both(world: World, lake: Lake, **options: Any) -> Winner:
    """What Athena makes of the lake's plan: it conserves rows, and holds what this machine makes of it."""
    plan = read_or_create_plan(lake, now=NOW)
    assert plan is not None
    local = rewrite(lake, plan, attempt="local")
    found = rewrite_on_athena(lake, plan, attempt="athena", athena=world.athena, **options)
    for winner in (local, found):
        verify(lake, plan, winner)
    assert not difference(rows(lake, found), rows(lake, local))
    assert found.folded == {day: count for day, count in local.folded.items() if count}
    assert found.left_out == local.left_out
    return found


def rows(lake: Lake, winner: Winner) -> Counter[tuple[Any, ...]]:
    """All rows of the attempt, all their columns; the day is that of their folder."""
    seen: Counter[tuple[Any, ...]] = Counter()
    for output in winner.outputs:
        table = staged(lake, winner, output.key)
        assert set(table.column("batch_id").to_pylist()) == {winner.batch}
        seen += rows_of(table.append_column("event_date", pa.repeat(pa.scalar(day_of(output.key)), len(table))))
    return seen


def staged(lake: Lake, winner: Winner, key: str) -> pa.Table:
    path = lake.store.path(staged_key(winner.batch, winner.attempt, key))
    with pq.ParquetFile(path, filesystem=lake.store.filesystem) as file:
        return file.read()


# --- Every kind of row ------------------------------------------------------------------------------------------------


def test_rows_of_every_kind_are_those_of_this_machine(world: World) -> None:
    folder = world.folder
    varied = random_rows(400, days=6, last="2024-05-06", seed=5)
    table = pa.Table.from_pylist(varied, SCHEMA)
    older = parse(text(*(line(key=f"o{n}", request_id=str(n)) for n in range(40))), source_key="s3://logs/older").table
    midnight = [
        raw_row("s3://logs/midnight", number, time, request_id=str(number))
        for number, time in enumerate(("2024-05-01T23:59:59", "2024-05-02T00:00:00", "2024-05-02T23:59:59"), 1)
    ]
    hostile = parse(hostile_log(), source_key="s3://logs/hostile").table

    def first() -> Iterator[Path]:
        yield put_raw(folder, "part", varied[:150], day=BEFORE)
        yield put_raw(folder, "other", random_rows(50, days=3, last="2024-05-04", seed=6), day=BEFORE)

    def second() -> Iterator[Path]:
        put_firehose(folder, "stream-1", table, day=ARRIVAL)
        put_firehose(folder, "stream-2", table, day=NEXT)
        put_firehose(folder, "older", older, day=NEXT, lacks=("object_key", "acl_required", "source_region"))
        put_firehose(folder, "hostile", hostile, day=ARRIVAL)
        yield put_raw(folder, "copies", [row | {"source_key": "s3://logs/~copy"} for row in varied[100:200]], day=NEXT)
        yield put_raw(folder, "midnight", midnight, day=ARRIVAL)
        yield put_raw(folder, "empty", [], day=ARRIVAL)

    world.put_batches([first(), second()])
    lake = world.open()
    kinds = {
        pq.read_schema(path, memory_map=False).field("request_time").type for path in folder.glob("raw/*/*.parquet")
    }
    assert kinds == {pa.timestamp("ns"), pa.timestamp("ms")}
    found = on_both(world, lake)
    assert found.duplicates > 400
    assert {day_of(output.key) for output in found.outputs} >= {"2024-05-01", "2024-05-02"}
    # Trino has no order for a table that it makes; Athena has one for each file that UNLOAD writes.
    (unloaded,) = [each.partition(" AS WITH ")[2] for each in world.athena.statements if "partitioned_by" in each]
    answer = world.athena.trino.run(f"WITH {unloaded}", schema=world.name)
    rows = [dict(zip((name for name, _ in answer.columns), row, strict=True)) for row in answer.rows]
    sought = [row["signature_version"] == "SigV2" or row["parse_status"] != "clean" for row in rows]
    keys = [
        (row["event_date"], not first, *("" if row[name] is None else row[name] for name in ORDER[1:]))
        for row, first in zip(rows, sought, strict=True)
    ]
    assert keys == sorted(keys)
    assert len(set(keys)) > 500
    assert 0 < sum(sought) < len(sought)


def test_random_rows_that_stand_twice_are_folded_alike(world: World) -> None:
    """Many small worlds in one lake: rows of one are never equal to those of another."""
    chance = random.Random(11)
    batches: list[dict[str, list[Mapping[str, Any]]]] = [{}, {}, {}]
    for number in range(120):
        pool = []
        for source in chance.sample("abc", chance.randint(1, 3)):
            for line_no in range(1, chance.randint(2, 5)):
                time = chance.choice(["2024-05-01T23:59:59", "2024-05-02T00:00:00"])
                values = {
                    "request_id": chance.choice(["R1", "R2", None]),
                    "http_status": chance.choice([200, None]),
                    "extra_fields": chance.choice([None, "", "x"]),
                    "referer": chance.choice([None, ""]),
                    "raw_line": chance.choice([None, None, "one", "two"]),
                    "bucket_name": f"b{number}",
                    "key_name": f"k{number}",
                }
                pool.append(raw_row(f"s3://logs/{number}/{source}", line_no, time, **values))
                if chance.random() < 0.5:
                    pool.append(pool[-1] | {"source_key": f"s3://logs/{number}/{chance.choice('abc')}"})
        for batch in batches:
            for _ in range(chance.randint(0, 3)):
                name = f"{chance.randint(0, 2)}"
                batch.setdefault(name, []).extend(chance.choices(pool, k=chance.randint(1, 4)))

    def put(number: int) -> Iterator[Path]:
        for name, found in sorted(batches[number].items()):
            yield put_raw(world.folder, f"{number}-{name}", found, day=(ARRIVAL, NEXT, BEFORE)[int(name)])

    world.put_batches([put(number) for number in range(3)])
    found = on_both(world, world.open())
    assert min(found.folded.values()) > 10
    assert set(found.folded) == {ARRIVAL, NEXT, BEFORE}


# --- What is read -----------------------------------------------------------------------------------------------------


def test_only_planned_days_and_objects_are_read(world: World) -> None:
    row = [raw_row("s3://logs/a", number, request_id=str(number)) for number in range(1, 40)]

    def batch(name: str, *days: str) -> Iterator[Path]:
        for day in days:
            yield put_raw(world.folder, name, [each | {"source_key": f"s3://{name}/{day}"} for each in row], day=day)

    world.put_batches([batch("old", BEFORE, ARRIVAL), batch("new", ARRIVAL, NEXT)])
    lake = world.open()
    plan = read_or_create_plan(lake, now=NOW)
    assert plan is not None
    late = world.folder / f"raw/ingest_date={ARRIVAL}/late.parquet"
    put_raw(world.folder, "late", [raw_row("s3://late", 1)], day=ARRIVAL)
    world.put(f"raw/ingest_date={ARRIVAL}/late.parquet", late.read_bytes())
    found = on_both(world, lake)
    assert found.rows + found.duplicates == 2 * len(row)
    assert not [each for each in rows(lake, found) if "s3://late" in each]
    for reads in world.athena.reads:
        if RAW_TABLE.name in reads:
            assert reads[RAW_TABLE.name].partitions == {ARRIVAL, NEXT}
    assert world.athena.reads[0][RAW_TABLE.name].rows == 2 * len(row), "of the planned objects alone"
    compacted = [reads[COMPACTED_TABLE.name] for reads in world.athena.reads if COMPACTED_TABLE.name in reads]
    assert {read.partitions for read in compacted} == {frozenset({"2024-05-02"})}
    assert len(compacted) == 1, "no log object comes again: only that is asked"


def test_many_days_and_rows_are_cut_into_statements(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_slices, "DAYS_PER_STATEMENT", 6)
    start = dt.datetime(2024, 1, 1)
    found_rows = [
        raw_row("s3://logs/a", number + 1, (start + dt.timedelta(hours=7 * number)).isoformat(), request_id=str(number))
        for number in range(41)
    ]

    def batch() -> Iterator[Path]:
        yield put_raw(world.folder, "days", [*found_rows, *found_rows[:9]], day=ARRIVAL)

    world.put_batches([batch()])
    lake = world.open()
    found = on_both(world, lake)
    assert len({day_of(output.key) for output in found.outputs}) == 12
    assert sum("partitioned_by" in each for each in world.athena.statements) == 2
    world.athena.statements.clear()
    plan = read_or_create_plan(lake, now=NOW)
    assert plan is not None
    more = rewrite_on_athena(lake, plan, attempt="more", athena=world.athena, rows_per_statement=11)
    verify(lake, plan, more)
    assert not difference(rows(lake, more), rows(lake, found))
    assert sum("partitioned_by" in each for each in world.athena.statements) == 5
    assert len({output.key for output in more.outputs}) == len(more.outputs) == 12


def test_a_list_that_is_too_long_for_a_statement_is_a_table(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(athena_rewrite, "STATEMENT_BYTES", 1)

    def batch() -> Iterator[Path]:
        for number in range(3):
            yield put_raw(world.folder, f"it's {number}", [raw_row(f"s3://{number}", 1)] * 2, day=ARRIVAL)

    world.put_batches([batch()])
    lake = world.open()
    found = on_both(world, lake)
    assert (found.rows, found.duplicates) == (1, 5)
    assert world.athena.statements[-1].startswith("DROP TABLE IF EXISTS")
    assert "it's" not in "".join(world.athena.statements)
    left = world.athena.trino.run("SHOW TABLES", schema=world.name).rows
    assert sorted(left) == [(COMPACTED_TABLE.name,), (RAW_TABLE.name,)]


def test_a_damaged_object_is_left_out(world: World) -> None:
    rows_ = [raw_row("s3://logs/x", number, request_id=f"{number * number}") for number in range(1, 900)]

    def batch() -> Iterator[Path]:
        yield put_raw(world.folder, "good", [raw_row("s3://logs/good", 1)], day=ARRIVAL)
        yield put_raw(world.folder, "damaged", rows_, day=ARRIVAL)
        yield put_raw(world.folder, "gone", [raw_row("s3://logs/gone", 1)], day=ARRIVAL)

    world.put_batches([batch()])
    lake = world.open()
    read_or_create_plan(lake, now=NOW)
    data = bytearray((world.folder / f"raw/ingest_date={ARRIVAL}/damaged.parquet").read_bytes())
    data[4 : len(data) // 3] = b"\xa5" * (len(data) // 3 - 4)
    world.put(f"raw/ingest_date={ARRIVAL}/damaged.parquet", bytes(data))
    world.client.delete_object(Bucket=BUCKET, Key=f"{world.name}/raw/ingest_date={ARRIVAL}/gone.parquet")
    plan = read_or_create_plan(lake, now=NOW)
    assert plan is not None
    found = rewrite_on_athena(lake, plan, attempt="athena", athena=world.athena)
    verify(lake, plan, found)
    assert sorted(found.left_out) == [f"raw/ingest_date={ARRIVAL}/{name}.parquet" for name in ("damaged", "gone")]
    assert found.rows == 1


def test_damaged_objects_beside_the_planned_ones_are_not_opened(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a table of many paths Trino knows nothing when it opens objects: here of few, which it would look up first."""
    monkeypatch.setattr(athena_rewrite, "_LISTED_MOST", 3)
    monkeypatch.setitem(trino_server._HEADERS, "X-Trino-Session", "enable_dynamic_filtering=false")

    def batch(name: str) -> Iterator[Path]:
        for number in range(5):
            row = raw_row(f"s3://{name}-{number}", 1, request_id=f"{name}{number}")
            yield put_raw(world.folder, f"{name}-{number}", [row], day=ARRIVAL)
        damaged = put_raw(world.folder, f"{name}-damaged", [raw_row("s3://damaged", 1)], day=ARRIVAL)
        damaged.write_bytes(b"\xa5" * damaged.stat().st_size)
        yield damaged

    world.put_batches([batch("committed"), batch("planned")])
    lake = world.open()
    plan = read_or_create_plan(lake, now=NOW)
    assert plan is not None
    late = world.folder / plan.inputs[-1].key
    world.put(plan.inputs[-1].key, b"\xa5" * late.stat().st_size)
    found = rewrite_on_athena(lake, plan, attempt="athena", athena=world.athena)
    verify(lake, plan, found)
    assert found.rows == 4
    assert found.left_out == (plan.inputs[-1].key,)
    (commit,) = lake.commits()
    assert (len(plan.left_out), len(commit.left_out)) == (1, 1)


def test_trino_writes_times_as_int96(world: World) -> None:
    """As Athena is expected to; adopted files have milliseconds, which `verify` has seen in all tests above."""

    def batch() -> Iterator[Path]:
        yield put_raw(world.folder, "one", [raw_row("s3://logs/one", 1)], day=ARRIVAL)

    world.put_batches([batch()])
    lake = world.open()
    folder = f"s3://{BUCKET}/{world.name}/staging/looked-at/"
    (address,) = world.athena.unload("SELECT request_time, '2024-05-02' AS event_date FROM access_logs_raw", folder)
    path = address.removeprefix("s3://")
    assert pq.read_metadata(path, filesystem=lake.store.filesystem).schema.column(0).physical_type == "INT96"
