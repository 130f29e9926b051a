"""A rewrite on Athena, but for its SQL: what is asked, which files are taken, and what failures and crashes leave."""

from __future__ import annotations

import datetime as dt
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from athena_service import AthenaService, answer_with, kept_by_glue, upload
from hypothesis import given, settings
from hypothesis import strategies as st
from small_lakes import (
    DAY_1,
    DAY_2,
    Crashed,
    CrashingStore,
    Truth,
    add_logs,
    difference,
    log_text,
    make_lake,
    read_lake,
    rows_of,
)

from etl.athena import StatementFailed, _adopt, read_manifest, rewrite_on_athena
from etl.athena import _rewrite as athena_rewrite
from etl.athena._engine import Trouble
from etl.athena._slices import DAYS_PER_STATEMENT, cut_hours
from etl.athena._wrangler import read_rows
from etl.compact import carry_out, compact, read_or_create_plan, verify
from etl.errors import BadParameter, LakeMismatch, LakeUnusable, QueryError, RowsNotConserved, UsageError
from etl.lake import Lake, Plan, PlannedLog, Winner, open_lake
from etl.lake._layout import day_of, staged_key
from etl.schema import COMPACTED_SCHEMA

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass
class World:
    """A lake in a bucket with one batch committed and the next one planned, and an Athena for it."""

    lake: Lake
    plan: Plan
    service: AthenaService
    truth: Truth

    def rewrite(self, attempt: str = "one", **options: Any) -> Winner:
        return rewrite_on_athena(self.lake, self.plan, attempt=attempt, workgroup="wg", **options)

    def staged(self) -> list[str]:
        return [
            stored.key for stored in self.lake.store.list(f"staging/{self.plan.batch}/") if "/truth/" not in stored.key
        ]

    def raw(self, number: int = 0) -> tuple[str, str]:
        """Bucket and key of a planned object."""
        bucket, _, prefix = self.lake.uri.removeprefix("s3://").partition("/")
        return bucket, f"{prefix}/{self.plan.inputs[number].key}"


@pytest.fixture
def world(tmp_path: Path, s3: S3Client, new_bucket: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> World:
    pytest.importorskip("awswrangler")
    folder = make_lake(tmp_path)
    compact(str(folder), now=DAY_1)
    truth = add_logs(folder, d=log_text(50, seed="d"), e=log_text(30, seed="e", days=3), f=log_text(9, seed="e"))
    bucket = new_bucket()
    upload(folder, s3, bucket, "lake")
    lake = kept_by_glue(open_lake(f"s3://{bucket}/lake"))
    plan = read_or_create_plan(lake, now=DAY_2)
    assert plan is not None
    service = AthenaService(lake, plan, s3)
    answer_with(service, monkeypatch)
    return World(lake, plan, service, truth)


def rows(lake: Lake, winner: Winner) -> Truth:
    seen: Truth = Counter()
    for output in winner.outputs:
        path = lake.store.path(staged_key(winner.batch, winner.attempt, output.key))
        with pq.ParquetFile(path, filesystem=lake.store.filesystem) as file:
            table = file.read()
        assert (len(table), table.schema) == (output.rows, COMPACTED_SCHEMA)
        seen += rows_of(table.append_column("event_date", pa.repeat(pa.scalar(day_of(output.key)), len(table))))
    return seen


# --- What is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("int96", [True, False])
def test_an_attempt_holds_what_this_machine_writes_and_leaves_nothing_else(world: World, int96: bool) -> None:
    world.service.int96 = int96
    told: list[tuple[int, int]] = []
    winner = world.rewrite(on_rows=lambda done, planned: told.append((done, planned)))
    verify(world.lake, world.plan, winner)
    assert not difference(rows(world.lake, winner), rows(world.lake, world.service.winner))
    assert winner.duplicates == world.service.winner.duplicates == 4
    assert (winner.batch, winner.attempt) == (world.plan.batch, "one")
    days = Counter(day_of(output.key) for output in winner.outputs)
    # Files that are as they must be are taken as they are; others are written anew, and a day's become one.
    assert days == dict.fromkeys(["2024-05-01", "2024-05-02", "2024-05-03"], 1 if int96 else 2)
    left = [key for key in world.staged() if not key.endswith(".csv")]
    assert left == sorted(staged_key(winner.batch, "one", output.key) for output in winner.outputs)
    planned = sum(item.rows for item in world.plan.inputs)
    assert told == sorted(told)
    assert (told[0], told[-1]) == ((0, planned), (winner.rows, planned))


def test_a_batch_is_carried_out_to_its_commit(world: World) -> None:
    carry_out(world.lake, world.plan, rewrite=partial(rewrite_on_athena, workgroup="wg"), now=DAY_2)
    assert world.lake.snapshot().batch_id == world.plan.batch
    lost = world.truth - read_lake(world.lake.uri)
    assert lost.total() == world.service.winner.duplicates
    assert not read_lake(world.lake.uri) - world.truth


def test_large_or_foreign_files_are_not_copied(world: World) -> None:
    world.service.int96 = False
    winner = world.rewrite(target_bytes=1000)
    verify(world.lake, world.plan, winner)
    assert not difference(rows(world.lake, winner), rows(world.lake, world.service.winner))


# --- What is asked ----------------------------------------------------------------------------------------------------


def test_what_is_asked_of_athena(world: World) -> None:
    world.rewrite()
    for request in world.service.requests:
        assert request["WorkGroup"] == "wg"
        assert request["QueryExecutionContext"] == {"Database": "logs"}
        place = request["ResultConfiguration"]["OutputLocation"]
        assert place.startswith(f"{world.lake.uri}/staging/{world.plan.batch}/one/")
    (unload,) = [sql for sql in world.service.statements if sql.startswith("UNLOAD")]
    assert unload.startswith("UNLOAD (WITH input AS (SELECT ")
    folder = f"TO '{world.lake.uri}/staging/{world.plan.batch}/one/unload-"
    options = "WITH (  format='PARQUET'  , compression='ZSTD'  , partitioned_by=ARRAY['event_date'])"
    assert folder in unload
    assert unload.endswith(options)
    for item in world.plan.inputs:
        assert f"'{world.lake.uri}/{item.key}'" in unload
    assert f"'{world.plan.batch}' AS batch_id, event_date FROM kept ORDER BY event_date" in unload
    assert f"batch_id < '{world.plan.batch}'" in unload


def test_a_place_that_the_workgroup_enforces_holds_results_and_manifests(world: World) -> None:
    place = f"{world.lake.uri}/athena-results/"
    world.service.workgroup = {
        "EnforceWorkGroupConfiguration": True,
        "ResultConfiguration": {"OutputLocation": place},
    }
    winner = world.rewrite()
    verify(world.lake, world.plan, winner)
    assert not [key for key in world.staged() if key.endswith(".csv")]
    assert [stored.key for stored in world.lake.store.list("athena-results/") if stored.key.endswith("manifest.csv")]


def test_a_short_statement_limit_makes_a_table_of_the_objects_that_is_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = replace(
        world.plan, inputs=tuple(replace(world.plan.inputs[0], key=key) for key in long_keys(3000)), left_out=()
    )
    engine = Recording()
    with pytest.raises(LakeUnusable, match="connection"):
        rewrite_on_athena(world.lake, made, attempt="long", athena=engine)
    create, *selects, drop = engine.statements
    assert "`address` string" in create
    assert f"LOCATION '{world.lake.uri}/staging/{made.batch}/long/planned-" in create
    assert drop.startswith("DROP TABLE IF EXISTS `logs`.`accesslake_plan_")
    assert len(selects) == 3
    assert all("IN (SELECT address FROM " in each and len(each) < 10_000 for each in selects)
    (key,) = [key for key in world.staged() if "/planned-" in key]
    with pq.ParquetFile(world.lake.store.path(key), filesystem=world.lake.store.filesystem) as file:
        assert file.read().column("address").to_pylist() == [f"{world.lake.uri}/{item.key}" for item in made.inputs]
    engine = Recording()
    with pytest.raises(LakeUnusable):
        rewrite_on_athena(world.lake, replace(made, inputs=made.inputs[:900]), attempt="fits", athena=engine)
    assert not [each for each in engine.statements if "TABLE" in each]


def test_damaged_objects_beside_planned_ones_are_named_as_far_as_a_statement_reaches(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [*long_keys(3002), "raw/ingest_date=2024-05-03/elsewhere.parquet", *long_keys(6000)[3002:]]
    *inputs, first, second, elsewhere = (replace(world.plan.inputs[0], key=key) for key in keys[:3003])
    made = replace(world.plan, inputs=tuple(inputs), left_out=(first, second, elsewhere))
    engine = Recording()
    with pytest.raises(LakeUnusable, match="connection"):
        rewrite_on_athena(world.lake, made, attempt="some", athena=engine)
    named = f""" AND "$path" NOT IN ('{world.lake.uri}/{first.key}', '{world.lake.uri}/{second.key}'))"""
    assert named in engine.statements[1]
    more = tuple(replace(first, key=key) for key in keys[3003:])
    engine = Recording()
    with pytest.raises(LakeUnusable, match="connection"):
        rewrite_on_athena(world.lake, replace(made, left_out=more), attempt="many", athena=engine)
    assert engine.statements[1].count(f"'{world.lake.uri}/raw/") == 900
    monkeypatch.setattr(athena_rewrite, "STATEMENT_BYTES", 50_000)
    engine = Recording()
    with pytest.raises(LakeUnusable, match="connection"):
        rewrite_on_athena(world.lake, replace(made, left_out=more), attempt="short", athena=engine)
    assert 30_000 < len(engine.statements[1].encode()) < 50_000 - 1024
    engine = Recording()
    with pytest.raises(LakeUnusable, match="connection"):
        rewrite_on_athena(world.lake, replace(made, inputs=made.inputs[:100]), attempt="few", athena=engine)
    assert "NOT IN ('" not in engine.statements[0], "a list of what is to be read opens nothing else"


def test_a_table_that_was_made_by_a_statement_that_failed_is_taken(world: World) -> None:
    made = replace(world.plan, inputs=tuple(replace(world.plan.inputs[0], key=key) for key in long_keys(3000)))
    engine = MadeAndLost()
    with pytest.raises(LakeUnusable, match="connection lost"):
        rewrite_on_athena(world.lake, made, attempt="twice", athena=engine)
    creates = [each for each in engine.statements if each.startswith("CREATE")]
    assert len(creates) == 2
    assert len(engine.statements) == len(creates) + 3 + 1, "a SELECT, tried three times, and DROP"


def long_keys(count: int) -> list[str]:
    return [f"raw/ingest_date=2024-05-02/{number:032d}.parquet" for number in range(count)]


class Recording:
    """An Athena that cannot be reached."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        self.statements.append(sql)
        raise StatementFailed("connection lost")

    def unload(self, sql: str, folder: str) -> list[str]:
        raise AssertionError

    def run(self, sql: str) -> None:
        self.statements.append(sql)


class MadeAndLost(Recording):
    """One that is lost sight of after it has made a table, too."""

    def run(self, sql: str) -> None:
        again = any(each.startswith("CREATE") for each in self.statements)
        super().run(sql)
        if sql.startswith("CREATE") and not again:
            raise StatementFailed("connection lost")
        if sql.startswith("CREATE") and "IF NOT EXISTS" not in sql:
            raise StatementFailed("AlreadyExistsException: Table already exists")


def test_a_day_that_is_cut_is_adopted_as_a_whole(world: World) -> None:
    winner = world.rewrite(rows_per_statement=7)
    verify(world.lake, world.plan, winner)
    assert not difference(rows(world.lake, winner), rows(world.lake, world.service.winner))
    assert sum(sql.startswith("UNLOAD") for sql in world.service.statements) > 8
    assert len({output.key for output in winner.outputs}) == len(winner.outputs) == 3


hours = st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2024, 12, 31)).map(lambda time: f"{time:%Y-%m-%d %H}")


@settings(max_examples=100)
@given(st.dictionaries(hours, st.integers(1, 30), max_size=300), st.integers(1, 100))
def test_every_hour_is_in_one_slice_and_none_is_too_large(found: dict[str, int], most: int) -> None:
    slices = cut_hours(found, rows_per_statement=most)
    assert sum(part.rows for part in slices) == sum(found.values())
    for hour in found:
        assert sum(part.since <= hour < part.until for part in slices) == 1
    for part in slices:
        inside = [hour for hour in found if part.since <= hour < part.until]
        assert part.rows == sum(found[hour] for hour in inside)
        assert part.rows <= most or len(inside) == 1
        assert len({hour[:10] for hour in inside}) <= DAYS_PER_STATEMENT
    assert [part.since for part in slices] == sorted(part.since for part in slices)


def test_days_of_early_years_have_four_digits(tmp_path: Path) -> None:
    """`strftime` gives some of them fewer: such a slice is no time, and such a file never one of its day."""
    assert [part.until for part in cut_hours({"0500-05-02 23": 1})] == ["0500-05-03 00"]
    row = dict.fromkeys(COMPACTED_SCHEMA.names) | {"request_time": dt.datetime(500, 5, 2, 10)}
    pq.write_table(pa.Table.from_pylist([row], COMPACTED_SCHEMA), tmp_path / "a.parquet")
    assert _adopt._fits(pq.read_metadata(tmp_path / "a.parquet"), "0500-05-02")
    assert not _adopt._fits(pq.read_metadata(tmp_path / "a.parquet"), "0500-05-03")


# --- Files that do not count ------------------------------------------------------------------------------------------


def test_a_file_that_is_in_no_manifest_is_not_taken(world: World) -> None:
    world.service.orphans = True
    winner = world.rewrite()
    verify(world.lake, world.plan, winner)
    assert not difference(rows(world.lake, winner), rows(world.lake, world.service.winner))
    assert [key for key in world.staged() if key.endswith("/orphan")], "there was one"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("FAILED", "GENERIC_INTERNAL_ERROR: 503 Slow Down, please reduce your request rate"),
        ("FAILED", "INTERNAL_ERROR_QUERY_ENGINE"),
        ("TooManyRequestsException", "You have exceeded the limit for the number of queries"),
    ],
)
def test_what_passes_is_tried_again_elsewhere(world: World, state: str, reason: str) -> None:
    world.service.failures = [("UNLOAD", state, reason), ("AS folded", state, reason)]
    winner = world.rewrite()
    verify(world.lake, world.plan, winner)
    assert not difference(rows(world.lake, winner), rows(world.lake, world.service.winner))
    folders = [sql.partition(" TO '")[2].partition("'")[0] for sql in world.service.statements if "UNLOAD" in sql]
    assert len(set(folders)) == len(folders) == 2


def test_what_a_person_has_stopped_is_not_started_again(world: World) -> None:
    world.service.failures = [("UNLOAD", "CANCELLED", "Query was cancelled by user")]
    with pytest.raises(LakeUnusable, match="cancelled by user"):
        world.rewrite()
    assert sum(sql.startswith("UNLOAD") for sql in world.service.statements) == 1


def test_what_does_not_pass_ends_the_attempt(world: World) -> None:
    world.service.failures = [("UNLOAD", "FAILED", "INTERNAL_ERROR_QUERY_ENGINE")] * 3
    with pytest.raises(LakeUnusable, match="INTERNAL_ERROR_QUERY_ENGINE") as raised:
        world.rewrite()
    assert raised.value.retryable
    winner = world.rewrite("two")
    verify(world.lake, world.plan, winner)
    assert not difference(rows(world.lake, winner), rows(world.lake, world.service.winner))


@pytest.mark.parametrize(
    ("statement", "state", "reason"),
    [
        ("UNLOAD", "CANCELLED", "Query cancelled! : Bytes scanned limit was exceeded"),
        ("UNLOAD", "FAILED", "Query exhausted resources at this scale factor"),
        ("event_hour", "FAILED", "Query timeout"),
        ("raw_object", "FAILED", "EXCEEDED_LOCAL_MEMORY_LIMIT: no room\nat a.b.c"),
    ],
)
def test_what_is_too_large_says_who_can(world: World, statement: str, state: str, reason: str) -> None:
    world.service.failures = [(statement, state, reason)]
    with pytest.raises(QueryError, match="--engine spark") as raised:
        world.rewrite()
    assert "\n" not in str(raised.value)
    assert not raised.value.retryable
    assert not [sql for sql in world.service.statements if sql.startswith("UNLOAD")][1:]


def test_a_manifest_may_name_nothing_outside_its_statements_folder(world: World) -> None:
    engine = Redirected(world)
    for address in (
        f"{world.lake.uri}/compacted/event_date=2024-05-02/0000000001-0001.parquet",
        "s3://other/event_date=2024-05-02/x",
        "{folder}event_date=2024-05-02/missing",
        "{folder}no-day",
        "{folder}event_date=2024-05-02/deeper/x",
    ):
        engine.address = address
        with pytest.raises(LakeUnusable, match="is listed as written by Athena"):
            rewrite_on_athena(world.lake, world.plan, attempt="astray", athena=engine)


class Redirected:
    """An Athena whose UNLOAD names a file more."""

    def __init__(self, world: World) -> None:
        from etl.athena import WrangledAthena

        self.inner = WrangledAthena("logs", "wg", f"{world.lake.uri}/staging/results/")
        self.world, self.address = world, ""

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        return self.inner.select(sql)

    def unload(self, sql: str, folder: str) -> list[str]:
        named = [*self.inner.unload(sql, folder), self.address.format(folder=folder)]
        for name in ("no-day", "event_date=2024-05-02/deeper/x"):
            self.world.service.put(f"{folder}{name}", b"x")
        return named

    def run(self, sql: str) -> None:
        raise AssertionError


# --- Rows that do not add up ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["a file", "a folded row", "a row counted as folded"])
def test_lost_and_doubled_rows_are_found_before_anything_is_elected(
    world: World, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lost == "a file":
        from etl.athena import _wrangler

        monkeypatch.setattr(_wrangler, "read_manifest", lambda data: read_manifest(data)[1:])
    else:
        more = 1 if lost == "a row counted as folded" else -1
        world.service.answers = lambda kind, rows: [[rows[0][0], rows[0][1] + more]] if kind == "folded" else rows
    winner = world.rewrite()
    with pytest.raises(RowsNotConserved):
        verify(world.lake, world.plan, winner)
    with pytest.raises(RowsNotConserved):
        carry_out(world.lake, world.plan, rewrite=partial(rewrite_on_athena, workgroup="wg"), now=DAY_2)
    assert world.lake.snapshot().batch_id == "0000000001"


def test_an_object_that_athena_does_not_see_whole_ends_the_attempt(world: World) -> None:
    world.service.answers = lambda kind, rows: rows[1:] if kind == "objects" else rows
    with pytest.raises(LakeUnusable, match="Athena sees 0 rows with a time in it") as raised:
        world.rewrite()
    assert world.plan.inputs[0].key in str(raised.value)
    assert not [sql for sql in world.service.statements if sql.startswith("UNLOAD")]


def test_committed_rows_that_athena_does_not_see_end_the_attempt(world: World) -> None:
    world.service.answers = lambda kind, rows: rows[1:] if kind == "committed" else rows
    with pytest.raises(LakeMismatch, match=r"shows 0 rows of 2024-05-0\d to Athena"):
        world.rewrite()


@pytest.mark.parametrize("named", [True, False])
def test_a_damaged_object_is_left_out_and_an_intact_one_never(world: World, named: bool) -> None:
    bucket, key = world.raw()
    world.service.client.put_object(Bucket=bucket, Key=key, Body=b"rubbish")
    name = f"s3://{bucket}/{key}" if named else "a file"
    world.service.failures = [("raw_object", "FAILED", f"HIVE_BAD_DATA: not valid Parquet: {name}")]
    winner = world.rewrite()
    assert winner.left_out == (world.plan.inputs[0].key,)
    assert all(f"{key}'" not in sql for sql in world.service.statements[1:])
    world.service.failures = [("raw_object", "FAILED", f"HIVE_CURSOR_ERROR: at {world.plan.inputs[1].key}")]
    intact = replace(world.plan, inputs=world.plan.inputs[1:])
    with pytest.raises(LakeUnusable, match="compaction failed: HIVE_CURSOR_ERROR"):
        rewrite_on_athena(world.lake, intact, attempt="intact", workgroup="wg")


def test_a_plan_of_damaged_objects_alone_is_carried_out(world: World) -> None:
    for number in range(len(world.plan.inputs)):
        bucket, key = world.raw(number)
        world.service.client.delete_object(Bucket=bucket, Key=key)
    world.service.answers = lambda kind, rows: [] if kind == "objects" else rows
    winner = world.rewrite()
    assert set(winner.left_out) == {item.key for item in world.plan.inputs}
    assert winner.outputs == ()


# --- What Athena cannot do --------------------------------------------------------------------------------------------


def test_what_athena_cannot_see_is_refused_with_the_engines_that_can(world: World, tmp_path: Path) -> None:
    log = PlannedLog("s3://logs/a", "s3://logs/a", 1, "v")
    astray = replace(world.plan.inputs[0], key="raw/astray.parquet")
    folder = replace(open_lake(str(tmp_path / "lake")), state=world.lake.state)
    for lake, plan in (
        (world.lake, replace(world.plan, logs=(log,))),
        (replace(world.lake, state="file"), world.plan),
        (folder, world.plan),
        (world.lake, replace(world.plan, inputs=(astray,))),
    ):
        with pytest.raises(BadParameter, match="--engine local or spark") as raised:
            rewrite_on_athena(lake, plan, attempt="none")
        assert "\n" not in str(raised.value)
    assert not world.service.statements


def test_a_workgroup_that_keeps_its_results_to_itself_is_refused(world: World) -> None:
    world.service.workgroup["ManagedQueryResultsConfiguration"] = {"Enabled": True}
    with pytest.raises(BadParameter, match=r"^--workgroup: wg has managed query results, .* to S3\)$") as raised:
        world.rewrite()
    assert "\n" not in str(raised.value)
    assert len(world.service.statements) == 1


def test_without_awswrangler_it_says_what_to_install(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "awswrangler", None)
    with pytest.raises(UsageError, match="pip install"):
        world.rewrite()


@pytest.mark.parametrize(
    ("reason", "trouble"),
    [
        ("Query exhausted resources at this scale factor", Trouble.TOO_LARGE),
        ("EXCEEDED_MEMORY_LIMIT: Query exceeded per-node memory limit", Trouble.TOO_LARGE),
        ("HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split (Status Code: 503; Error Code: SlowDown)", Trouble.PASSING),
        ("An error occurred (ThrottlingException) when calling", Trouble.PASSING),
        ("Could not connect to the endpoint URL", Trouble.PASSING),
        ("HIVE_CANNOT_OPEN_SPLIT: can not read s3://b/k: is not a Parquet file", Trouble.OTHER),
        ("HIVE_BAD_DATA: not valid Parquet: s3://slow-down/raw/503/throttle/connection.parquet", Trouble.OTHER),
        ("SYNTAX_ERROR: line 1:8: Column 'x' cannot be resolved", Trouble.STOPPED),
        ("Query was cancelled by user", Trouble.STOPPED),
        ("An error occurred (AccessDenied) when calling the GetObject operation", Trouble.STOPPED),
    ],
)
def test_failures_by_their_words(reason: str, trouble: Trouble) -> None:
    assert StatementFailed(reason).trouble is trouble


def test_results_and_manifests_are_read_as_athena_writes_them() -> None:
    assert read_rows(b'"a","b"\n"it""s, x","1"\n"","2"\n') == [('it"s, x', "1"), ("", "2")]
    assert read_rows(b'"a"\n') == []
    assert read_manifest(b"s3://b/x\ns3://b/y\r\n\n") == ["s3://b/x", "s3://b/y"]
    assert read_manifest(b"") == []


# --- Crashes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("int96", [True, False])
def test_a_crash_at_any_change_is_harmless(world: World, int96: bool) -> None:
    world.service.int96 = int96
    counting = CrashingStore(world.lake.store)
    rewrite_on_athena(replace(world.lake, store=counting), world.plan, attempt="counted", workgroup="wg")
    assert len(counting.changes) > 6
    before = read_lake(world.lake.uri)
    for at in range(len(counting.changes)):
        for after in (False, True):
            store = CrashingStore(world.lake.store, at=at, after=after)
            with pytest.raises(Crashed):
                rewrite_on_athena(replace(world.lake, store=store), world.plan, attempt=f"{at}{after}", workgroup="wg")
    assert not difference(read_lake(world.lake.uri), before), "nothing that a reader sees"
    winner = carry_out(world.lake, world.plan, rewrite=partial(rewrite_on_athena, workgroup="wg"), now=DAY_2)
    assert winner.rows == world.service.winner.rows
    assert world.lake.snapshot().batch_id == world.plan.batch
