"""A connection shows exactly the snapshot, under AWS's names and types, and lets SQL reach nothing else."""

from __future__ import annotations

import datetime as dt
import gc
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.fs as pafs
import pytest
from query_lake import as_remote, ask, connect_rows, make_row, snapshot_of, write_compacted, write_raw, write_table

from etl.errors import BadParameter, QueryError
from etl.lake._snapshot import DataFile, Snapshot
from etl.query import connect, run_query, to_duckdb
from etl.query._failures import query_failure
from etl.schema import COMPACTED_SCHEMA, FIELDS, QUARANTINE_SCHEMA, RECIPE_COLUMNS, TABLES

HIVE = {
    "string": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "timestamp": pa.timestamp("ms"),
    "binary": pa.binary(),
}
ROW_FIELDS = [(field.name, HIVE[field.kind.hive]) for field in FIELDS if field.name != "event_date"]
VIEWS = {
    **{t.name: [*((name, HIVE[kind]) for name, kind, _ in t.columns), (t.partition_key, pa.string())] for t in TABLES},
    "access_logs": [*ROW_FIELDS, ("event_date", pa.string()), ("batch_id", pa.string())],
    "access_logs_exact": [*ROW_FIELDS, ("event_date", pa.string()), ("batch_id", pa.string())],
    '"default"."s3accesslog"': [(name, HIVE[kind]) for name, kind, _ in RECIPE_COLUMNS],
}

Move = Callable[[Snapshot, Path], Snapshot]


@pytest.fixture(params=["local", "remote"])
def move(request: pytest.FixtureRequest) -> Move:
    """Leaves a snapshot local, or moves it to a file system of its own."""
    return as_remote if request.param == "remote" else lambda snapshot, _: snapshot


def full_snapshot(root: Path) -> Snapshot:
    """Some of everything: days 1 to 4 compacted, 4 and 5 in raw, from our own parser and from Firehose."""
    days = [make_row(f"2024-03-0{day}T12:00:00", source_key=f"s3://logs/{day}") for day in range(1, 6)]
    late = make_row("2024-03-02T23:59:59", source_key="s3://logs/late", object_key="k")
    quarantine = pa.table(
        {"source_key": ["s3://logs/1"], "line_no": [9], "reason": ["cut_line"], "raw_line": [b"\xff"]},
        schema=QUARANTINE_SCHEMA,
    )
    findings = pa.table({"detection": ["sigv2"], "source_key": ["s3://logs/1"], "line_no": [1], "severity": ["low"]})
    return snapshot_of(
        compacted=write_compacted(root, days[:4]),
        raw=[
            write_raw(root, days[4:], day="2024-03-06", name="firehose", firehose=True),
            write_raw(root, [late, make_row("2024-03-04T00:00:00", source_key="s3://logs/4b")], day="2024-03-07"),
        ],
        quarantine=[write_table(root, quarantine, folder="quarantine", key="ingest_date", day="2024-03-06")],
        findings=[write_table(root, findings, folder="findings", key="detected_date", day="2024-03-08")],
    )


def days_of(connection: duckdb.DuckDBPyConnection, view: str = "access_logs") -> list[str]:
    return [row[0] for row in ask(connection, f"SELECT event_date FROM {view} ORDER BY event_date, source_key")]


# --- Names and types --------------------------------------------------------------------------------------------------


def test_columns_and_types_are_those_of_aws(tmp_path: Path, move: Move) -> None:
    for snapshot in (move(full_snapshot(tmp_path), tmp_path), snapshot_of()):
        connection = connect(snapshot)
        for view, columns in VIEWS.items():
            schema = run_query(connection, to_duckdb(f"SELECT * FROM {view}")).read_all().schema
            assert list(zip(schema.names, schema.types, strict=True)) == columns, view


def test_an_empty_lake_has_every_table() -> None:
    connection = connect(snapshot_of())
    assert [ask(connection, f"SELECT * FROM {view}") for view in VIEWS] == [[] for _ in VIEWS]


def test_every_table_shows_its_rows(tmp_path: Path, move: Move) -> None:
    connection = connect(move(full_snapshot(tmp_path), tmp_path))
    assert days_of(connection) == [f"2024-03-0{day}" for day in (1, 2, 2, 3, 4, 4, 5)]
    assert ask(connection, "SELECT batch_id, count(*) FROM access_logs GROUP BY 1 ORDER BY 1") == [
        ("000001", 4),
        (None, 3),
    ]
    assert ask(connection, "SELECT ingest_date, object_key, request_time FROM access_logs_raw ORDER BY 1, 2") == [
        ("2024-03-06", None, dt.datetime(2024, 3, 5, 12)),
        ("2024-03-07", "k", dt.datetime(2024, 3, 2, 23, 59, 59)),
        ("2024-03-07", None, dt.datetime(2024, 3, 4)),
    ]
    assert ask(connection, "SELECT * FROM access_logs_quarantine") == [
        ("s3://logs/1", 9, "cut_line", b"\xff", "2024-03-06")
    ]
    assert ask(connection, "SELECT * FROM access_logs_findings") == [
        ("sigv2", "s3://logs/1", 1, "low", None, "2024-03-08")
    ]


def test_the_recipes_table_has_texts_where_the_recipe_had_texts(tmp_path: Path) -> None:
    rows = [
        make_row("2024-03-01T00:00:00", http_status=200, total_duration=70, signature_version="SigV2", key_name="k"),
        make_row("2024-03-01T00:00:01", signature_version="SigV2", parse_status="ambiguous"),
    ]
    found = ask(
        connect_rows(tmp_path, rows),
        "SELECT Key, HTTPstatus, TotalTime, BytesSent, SignatureVersion FROM default.s3accesslog ORDER BY Timestamp",
    )
    assert found == [("k", "200", "70", None, "SigV2"), (None, None, None, None, None)]


# --- Each row once ----------------------------------------------------------------------------------------------------


def test_the_exact_view_folds_what_arrived_twice(tmp_path: Path, move: Move) -> None:
    twice = make_row("2024-03-05T00:00:00", source_key="s3://logs/5", line_no=2)
    twin = twice | {"line_no": 3}
    snapshot = snapshot_of(
        compacted=write_compacted(
            tmp_path, [make_row("2024-03-01T00:00:00"), make_row("2024-03-01T00:00:00", line_no=2)]
        ),
        raw=[
            write_raw(tmp_path, [twice, twin], day="2024-03-05"),
            write_raw(tmp_path, [twice], day="2024-03-06", name="again", firehose=True),
        ],
    )
    connection = connect(move(snapshot, tmp_path))
    assert ask(connection, "SELECT count(*) FROM access_logs") == [(5,)]
    assert ask(connection, "SELECT source_key, line_no FROM access_logs_exact ORDER BY 1, 2") == [
        ("s3://logs/5", 2), ("s3://logs/5", 3), ("s3://logs/a", 1), ("s3://logs/a", 2)
    ]  # fmt: skip


def test_files_outside_the_snapshot_are_not_read(tmp_path: Path) -> None:
    snapshot = full_snapshot(tmp_path)
    write_compacted(tmp_path, [make_row("2024-03-01T00:00:00")], batch="000002")
    write_raw(tmp_path, [make_row("2024-03-01T00:00:00")], day="2024-03-06", name="later")
    assert len(days_of(connect(snapshot))) == 7


# --- Days -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2024-03-04", None, [4, 4, 5]),
        (None, "2024-03-02", [1, 2, 2]),
        ("2024-03-02", "2024-03-04", [2, 2, 3, 4, 4]),
        ("2024-03-05", "2024-03-05", [5]),
        ("2024-04-01", None, []),
    ],
)
def test_since_and_until_limit_what_all_views_show(
    since: str | None, until: str | None, expected: list[int], tmp_path: Path, move: Move
) -> None:
    connection = connect(move(full_snapshot(tmp_path), tmp_path), since=since, until=until)
    days = [f"2024-03-0{day}" for day in expected]
    assert days_of(connection) == days_of(connection, "access_logs_exact") == days
    counts = ask(
        connection,
        "SELECT (SELECT count(*) FROM access_logs_raw) + (SELECT count(*) FROM access_logs_compacted), "
        '(SELECT count(*) FROM "default"."s3accesslog")',
    )
    assert counts == [(len(days), len(days))]


@pytest.mark.parametrize("day", ["yesterday", "2024-02-30", "-7d", "today", "' OR 1=1 --"])
def test_a_limit_that_is_no_day_is_named(day: str) -> None:
    with pytest.raises(BadParameter, match=r"^since: .* is no date"):
        connect(snapshot_of(), since=day)
    with pytest.raises(BadParameter, match=r"^until: .* is no date"):
        connect(snapshot_of(), until=day)


def test_only_files_of_the_asked_days_are_opened(tmp_path: Path, move: Move) -> None:
    snapshot = full_snapshot(tmp_path)
    for file in (*snapshot.compacted[1:], *snapshot.quarantine, *snapshot.findings):
        Path(file.path).write_bytes(b"no Parquet")
    connection = connect(move(snapshot, tmp_path))
    asked = "SELECT count(*) FROM access_logs WHERE event_date >= '2024-03-01' AND event_date <= '2024-03-01'"
    assert ask(connection, asked) == [(1,)]
    with pytest.raises(QueryError):
        ask(connection, "SELECT count(bucket_name) FROM access_logs WHERE event_date <= '2024-03-02'")


def test_row_groups_are_skipped_and_columns_left_out(tmp_path: Path) -> None:
    rows = [make_row(f"2024-03-01T{hour:02}:00:00", line_no=hour) for hour in range(24)]
    connection = connect(snapshot_of(compacted=write_compacted(tmp_path, rows)))
    sql = to_duckdb("SELECT sum(line_no) FROM access_logs WHERE request_time >= timestamp '2024-03-02 00:00:00'")
    plan = connection.sql(f"EXPLAIN ANALYZE {sql}").fetchall()[0][1]
    assert re.search(r"Row Groups Scanned: 0 / 1", plan)
    assert "bucket_name" not in plan


def test_filters_and_columns_are_pushed_into_a_remote_lake(tmp_path: Path) -> None:
    connection = connect(as_remote(full_snapshot(tmp_path), tmp_path))
    sql = (
        "SELECT sum(line_no) FROM {} WHERE event_date = '2024-03-01' AND request_time > timestamp '2024-03-01 00:00:00'"
    )
    plan = connection.sql(f"EXPLAIN {to_duckdb(sql.format('access_logs_compacted'))}").fetchall()[0][1]
    assert "\"event_date\" = '2024-03-01'" in plan
    assert '"request_time" > ' in plan
    assert "bucket_name" not in plan


# --- Places -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["a'b", 'a"b', "a b", "requester=x", "event_date=1999-01-01", "ü", "a;b", "$x", "~"])
def test_a_lake_can_lie_in_any_folder(folder: str, tmp_path: Path) -> None:
    assert days_of(connect(full_snapshot(tmp_path / folder)))[0] == "2024-03-01"


@pytest.mark.parametrize(("folder", "neighbour"), [("l[ab]ke", "lake"), ("l*ke", "lxke"), ("l?ke", "lzke")])
def test_a_folder_that_reads_like_a_pattern_is_no_pattern(folder: str, neighbour: str, tmp_path: Path) -> None:
    mine, other = full_snapshot(tmp_path / folder), tmp_path / neighbour
    write_compacted(other, [make_row("2024-03-01T00:00:00", requester="neighbour")] * 9)
    connection = connect(mine)
    assert len(days_of(connection)) == 7
    assert ask(connection, "SELECT count(*) FROM access_logs WHERE requester = 'neighbour'") == [(0,)]


def test_the_day_is_the_snapshots_even_in_another_layout(tmp_path: Path) -> None:
    file = write_table(
        tmp_path,
        pa.Table.from_pylist([make_row("2024-03-01T00:00:00") | {"batch_id": "1"}], schema=COMPACTED_SCHEMA),
        folder="elsewhere",
        key="day",
        day="2024-03-01",
    )
    assert days_of(connect(snapshot_of(compacted=[file]))) == ["2024-03-01"]


def test_a_relative_path_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = full_snapshot(tmp_path)
    monkeypatch.chdir(tmp_path)
    relative = [DataFile(os.path.relpath(file.path, tmp_path), file.day, file.size) for file in snapshot.compacted]
    connection = connect(snapshot_of(compacted=relative))
    monkeypatch.chdir("/")
    assert len(days_of(connection)) == 4


def test_a_file_that_is_gone_is_one_clear_line(tmp_path: Path, move: Move) -> None:
    snapshot = full_snapshot(tmp_path)
    connection = connect(move(snapshot, tmp_path))
    Path(snapshot.raw[0].path).unlink()
    with pytest.raises(QueryError, match=r"firehose\.parquet") as raised:
        ask(connection, "SELECT * FROM access_logs")
    assert str(raised.value).isprintable()


# --- What SQL can reach -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{root}/secret.csv')",
        "SELECT * FROM read_text('{root}/secret.csv')",
        "SELECT * FROM read_parquet('{root}/raw/*/*.parquet')",
        "SELECT * FROM glob('{root}/*')",
        "SELECT * FROM '{root}/secret.csv'",
        "SELECT * FROM stolen",
        "COPY (SELECT 1) TO '{root}/out.csv'",
        "COPY (SELECT 1) TO '{raw}'",
        "ATTACH '{root}/x.db'",
        "SET enable_external_access = true",
        "SET allowed_paths = ['{root}/secret.csv']",
        "SET TimeZone = 'Asia/Tokyo'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CREATE TABLE x AS SELECT 1",
        "SELECT 1; SELECT 2",
    ],
)
def test_sql_reads_the_lake_and_nothing_else(sql: str, locked: tuple[duckdb.DuckDBPyConnection, Path, str]) -> None:
    connection, root, raw = locked
    before = sorted(root.rglob("*"))
    stolen = pa.table({"a": [1]})  # DuckDB would find a Python variable of a table's name
    statement = sql.format(root=root, raw=raw)
    # Past the translation, which refuses most of them already.
    with pytest.raises(QueryError):
        run_query(connection, statement).read_all()
    # Past our own check as well: the lock is DuckDB's. A table in memory and a second statement do no harm there.
    if not statement.startswith(("CREATE", "SELECT 1;")):
        with pytest.raises(duckdb.Error):
            connection.execute(statement)
    assert sorted(root.rglob("*")) == before
    assert len(days_of(connection)) == 7
    assert stolen.num_rows == 1


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> tuple[duckdb.DuckDBPyConnection, Path, str]:
    root = tmp_path_factory.mktemp("locked")
    snapshot = full_snapshot(root)
    (root / "secret.csv").write_text("a\n1\n")
    return connect(snapshot), root, snapshot.raw[0].path


def test_times_are_utc_wherever_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    connection = connect_rows(tmp_path, [make_row("2024-03-01T23:30:00")])
    assert ask(connection, "SELECT current_setting('TimeZone'), event_date FROM access_logs") == [("UTC", "2024-03-01")]
    assert ask(connection, "SELECT cast(now() AS timestamp) - localtimestamp < interval '1' second") == [(True,)]


def test_what_does_not_fit_is_spilled_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    connection = connect(snapshot_of(), memory_limit="80MB")
    rows = "SELECT a, cast(a AS varchar) || 'some more text to sort by' AS b FROM UNNEST(sequence(1, 1000000)) AS t(a)"
    reader = run_query(connection, to_duckdb(f"SELECT * FROM ({rows}) AS u ORDER BY b DESC"))
    reader.read_next_batch()
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    assert list(folder.rglob("*.tmp"))
    del reader, connection
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_memory_limit_that_is_none_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(QueryError) as raised:
        connect(snapshot_of(), memory_limit="much")
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_local_filesystem_given_as_such_is_used(tmp_path: Path) -> None:
    snapshot = full_snapshot(tmp_path)
    given = snapshot_of(raw=snapshot.raw, compacted=snapshot.compacted, filesystem=pafs.LocalFileSystem())
    assert days_of(connect(given)) == days_of(connect(snapshot))


def test_a_file_that_was_collected_meanwhile_is_named(tmp_path: Path) -> None:
    raw = write_raw(tmp_path, [make_row("2024-03-01T12:00:00", source_key="s3://logs/1")], day="2024-03-02")
    connection = connect(snapshot_of(raw=[raw]))
    Path(raw.path).unlink()
    with pytest.raises(QueryError) as caught:
        run_query(connection, "SELECT count(*), max(source_key) FROM access_logs").read_all()
    assert str(caught.value).startswith(f"{raw.path}: is gone")
    assert caught.value.hint == "ask again"


def test_an_object_that_was_collected_meanwhile_is_said_to_be_gone() -> None:
    failure = query_failure(OSError("IO Error: AWS Error RESOURCE_NOT_FOUND during GetObject operation: "))
    assert (str(failure), failure.hint) == (
        "a file of the lake: is gone since the question was asked (ask again)",
        "ask again",
    )


def test_no_bar_is_drawn_on_standard_output_whoever_asks() -> None:
    """DuckDB draws one after two seconds where there is no script, as in `python -c`."""
    look = "connection.execute(\"SELECT current_setting('enable_progress_bar')\").fetchone()"
    script = f"import duckdb\nfrom etl.query._connect import _start\nconnection = _start(None)\nprint(*{look})"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )
