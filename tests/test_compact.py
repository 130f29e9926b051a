"""Compaction loses no row and doubles none, and puts each where a reader of its day finds it."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from compact_cases import lake as lake
from compact_cases import staged
from compact_cases import truth as truth
from small_lakes import (
    DAY_1,
    DAY_2,
    DAY_3,
    MUCH_LATER,
    Truth,
    add_logs,
    all_files,
    difference,
    line,
    local_truth,
    log_text,
    put_raw,
    raw_row,
    read_lake,
    read_rows,
    text,
    write_logs,
)

from etl.audit import audit
from etl.compact import (
    Compacted,
    _outputs,
    _rewrite,
    collect,
    compact,
    read_or_create_plan,
    rewrite,
)
from etl.errors import LakeNotFound
from etl.ingest import ingest
from etl.lake import create_lake, open_lake, read_commits
from etl.schema import COMPACTED_SCHEMA, SCHEMA

ROOT = Path(__file__).parent.parent
GRACE = dt.timedelta(days=7)


def compacted_tables(lake: Path) -> Iterator[tuple[str, pa.Table]]:
    """(day, table) of every committed file."""
    snapshot = open_lake(str(lake)).snapshot()
    for file in snapshot.compacted:
        with pq.ParquetFile(file.path) as parquet:
            yield file.day, parquet.read()


# --- What it writes ---------------------------------------------------------------------------------------------------


def test_every_row_is_there_once_and_in_its_new_place(lake: Path, truth: Truth) -> None:
    done = compact(str(lake), now=DAY_2)
    snapshot = open_lake(str(lake)).snapshot()
    assert difference(read_rows(snapshot), truth) == ""
    assert (snapshot.batch_id, snapshot.raw) == ("0000000001", ())
    assert done == Compacted(
        batch="0000000001",
        rows_in=68,
        rows_out=68,
        duplicates=0,
        files=2,
        bytes=sum(file.size for file in snapshot.compacted),
        left_out=(),
        collected=0,
    )
    assert [Path(file.path).relative_to(lake.resolve()).as_posix() for file in snapshot.compacted] == [
        "compacted/event_date=2024-05-01/0000000001-0001.parquet",
        "compacted/event_date=2024-05-02/0000000001-0001.parquet",
    ]
    assert [file.size for file in snapshot.compacted] == [Path(file.path).stat().st_size for file in snapshot.compacted]


def test_the_files_have_the_compacted_schema_in_int64_milliseconds_and_zstd(lake: Path) -> None:
    compact(str(lake), now=DAY_2)
    for file in open_lake(str(lake)).snapshot().compacted:
        metadata = pq.read_metadata(file.path)
        assert metadata.schema.to_arrow_schema().equals(COMPACTED_SCHEMA)
        time = metadata.schema.column(COMPACTED_SCHEMA.get_field_index("request_time"))
        assert time.physical_type == "INT64"
        assert "isAdjustedToUTC=false, timeUnit=milliseconds" in str(time.logical_type)
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                column: Any = metadata.row_group(group).column(number)
                assert column.compression == "ZSTD"
                assert column.statistics is not None


def test_the_rows_are_sorted_so_that_a_reader_can_skip(lake: Path) -> None:
    compact(str(lake), now=DAY_2)
    names = ("bucket_name", "operation", "request_time")
    for _, table in compacted_tables(lake):
        found = [tuple(row[name] for name in names) for row in table.to_pylist()]
        assert found == sorted(found)


def test_equal_raw_objects_give_equal_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        create_lake(str(tmp_path / name))
        put_raw(tmp_path / name, "a", [raw_row("s", 1, http_status=status) for status in (3, 1, 2, None)] * 2)
        put_raw(tmp_path / name, "b", [raw_row("s", 1, http_status=status) for status in (5, 2, 4)])
        compact(str(tmp_path / name), now=DAY_1)
    one, two = (
        {name: data for name, data in all_files(tmp_path / each).items() if "compacted/" in name}
        for each in ("one", "two")
    )
    assert one == two


def test_a_day_is_cut_into_files_of_about_the_target_size(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = add_logs(lake, many=log_text(600, seed="m", days=2))
    monkeypatch.setattr(_outputs, "ROWS_PER_GROUP", 50)
    monkeypatch.setattr(_rewrite, "_ROWS_PER_BATCH", 50)
    done = compact(str(lake), target_bytes=1, now=DAY_2)
    assert difference(read_lake(lake), truth) == ""
    names = [Path(file.path).name for file in open_lake(str(lake)).snapshot().compacted]
    assert done.files == len(names) > 8
    assert names[:3] == ["0000000001-0001.parquet", "0000000001-0002.parquet", "0000000001-0003.parquet"]
    times: dict[str, list[dt.datetime]] = {"2024-05-01": [], "2024-05-02": []}
    for day, table in compacted_tables(lake):
        assert 0 < table.num_rows <= 100
        times[day] += table.column("request_time").to_pylist()
    for found in times.values():
        assert found == sorted(found), "a day is sorted over all its files"


def test_the_target_is_a_target(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_logs(lake, many=log_text(600, seed="m", days=1))
    monkeypatch.setattr(_outputs, "ROWS_PER_GROUP", 50)
    monkeypatch.setattr(_rewrite, "_ROWS_PER_BATCH", 25)
    assert compact(str(lake), target_bytes=1 << 30, now=DAY_2).files == 2
    sizes = [pq.read_metadata(file.path) for file in open_lake(str(lake)).snapshot().compacted]
    groups = [each.row_group(number).num_rows for each in sizes for number in range(each.num_row_groups)]
    assert len(groups) > 8
    assert max(groups) <= 50


def test_long_lines_make_row_groups_of_fewer_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_lake(str(tmp_path))
    put_raw(tmp_path, "a", [raw_row("s", number, user_agent=f"{number}" + "x" * 8000) for number in range(200)])
    monkeypatch.setattr(_outputs, "BYTES_PER_GROUP", 1 << 16)
    monkeypatch.setattr(_rewrite, "_ROWS_PER_BATCH", 10)
    compact(str(tmp_path), now=DAY_1)
    (file,) = open_lake(str(tmp_path)).snapshot().compacted
    metadata = pq.read_metadata(file.path)
    assert metadata.num_row_groups > 10
    assert sum(read_lake(tmp_path).values()) == 200


def test_rows_of_many_days_go_to_their_days_the_first_and_the_last_there_are_too(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    times = [*(f"2024-{1 + number % 12:02d}-{1 + number % 28:02d}T12:00:00" for number in range(100))]
    times += ["2006-03-14T00:00:00", "9999-12-31T23:59:59", "2024-02-29T23:59:59", "2024-03-01T00:00:00"]
    logs = write_logs(tmp_path / "logs", {"a": text(*(line(time, key=str(n)) for n, time in enumerate(times)))})
    assert ingest([str(logs)], lake=str(lake), now=DAY_1).rows == len(times)
    done = compact(str(lake), now=DAY_1)
    assert difference(read_lake(lake), local_truth(logs)) == ""
    days = [file.day for file in open_lake(str(lake)).snapshot().compacted]
    assert done.files == len(days) == len({time[:10] for time in times})
    assert days == sorted(days)
    assert (days[0], days[-1]) == ("2006-03-14", "9999-12-31")
    assert "9999-12-31" in audit(str(lake), now=DAY_1).days_beyond_today


def test_what_firehose_writes_is_taken(tmp_path: Path) -> None:
    """Its timestamps are INT96, and what a reader can derive is left out; ours may lie beside it, or not."""
    lake = tmp_path / "lake"
    create_lake(str(lake))
    rows = [raw_row("s3://logs/f", number, f"2024-05-0{number}T23:59:59.987") for number in (1, 2)]
    put_raw(lake, "firehose", rows, drop=["object_key", "event_date"], int96=True)
    compact(str(lake), now=DAY_1)
    put_raw(
        lake,
        "firehose2",
        [raw_row("s3://logs/g", 1, request_id="G")],
        drop=["object_key", "event_date"],
        int96=True,
        day="2024-05-03",
    )
    put_raw(lake, "ours", [raw_row("s3://logs/h", 1, object_key="k")], day="2024-05-03")
    compact(str(lake), now=DAY_1)
    seen = read_lake(lake)
    assert sum(seen.values()) == 4
    by_name = {(row[SCHEMA.names.index("source_key")], row[SCHEMA.names.index("line_no")]): row for row in seen}
    first = by_name["s3://logs/f", 1]
    assert first[SCHEMA.names.index("request_time")] == dt.datetime(2024, 5, 1, 23, 59, 59, 987000)
    assert first[-1] == "2024-05-01"
    assert by_name["s3://logs/h", 1][SCHEMA.names.index("object_key")] == "k"


@pytest.mark.parametrize("name", ["la[k]e", "l*ke?", 'it\'s a "lake"', "ein See é", "a=b", "{x}"])
def test_a_lake_may_have_any_name(lake: Path, truth: Truth, name: str) -> None:
    moved = lake.parent / name
    lake.rename(moved)
    compact(str(moved), now=DAY_2)
    assert difference(read_lake(moved), truth) == ""
    write_logs(
        lake.parent / "logs", {"a.log": b"", "new.log": (lake.parent / "logs" / "a.log").read_bytes() + text(line())}
    )
    ingest([str(lake.parent / "logs")], lake=str(moved), now=DAY_2)
    compact(str(moved), now=DAY_2)
    assert sum(read_lake(moved).values()) == sum(truth.values()) + 37
    assert audit(str(moved)).ok


# --- Nothing to do ----------------------------------------------------------------------------------------------------


NOTHING = Compacted(None, 0, 0, 0, 0, 0, (), 0)


def test_a_second_compaction_has_nothing_to_do(lake: Path) -> None:
    compact(str(lake), now=DAY_2)
    before = all_files(lake)
    assert compact(str(lake), now=DAY_2) == NOTHING
    assert all_files(lake) == before


def test_a_new_lake_has_nothing_to_do(tmp_path: Path) -> None:
    create_lake(str(tmp_path))
    assert compact(str(tmp_path)) == NOTHING
    assert sorted(all_files(tmp_path)) == ["meta/lake.json"]


def test_where_no_lake_is_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(LakeNotFound):
        compact(str(tmp_path / "none"))
    assert list(tmp_path.iterdir()) == []


def test_a_lake_of_only_quarantined_lines_is_compacted_to_nothing(tmp_path: Path) -> None:
    logs = write_logs(tmp_path / "logs", {"a.log": b"bad\nworse\n", "empty.log": b""})
    lake = tmp_path / "lake"
    ingest([str(logs)], lake=str(lake), now=DAY_1)
    done = compact(str(lake), now=DAY_2)
    assert (done.batch, done.rows_in, done.files) == ("0000000001", 0, 0)
    assert read_lake(lake) == Truth()
    assert compact(str(lake), now=DAY_2) == NOTHING
    found = audit(str(lake))
    assert found.ok
    assert [day.quarantined for day in found.days] == [2]


# --- Over time --------------------------------------------------------------------------------------------------------


def test_a_later_batch_takes_what_is_new_and_adds_files_to_old_days(lake: Path) -> None:
    compact(str(lake), now=DAY_1)
    before = {name: data for name, data in all_files(lake).items() if name.startswith("compacted/")}
    truth = add_logs(lake, late=log_text(10, seed="late"))
    done = compact(str(lake), now=DAY_2)
    assert (done.batch, done.rows_in) == ("0000000002", 10)
    assert difference(read_lake(lake), truth) == ""
    after = {name: data for name, data in all_files(lake).items() if name.startswith("compacted/")}
    assert after.items() >= before.items(), "final names are never rewritten"
    assert "compacted/event_date=2024-05-01/0000000002-0001.parquet" in after


def test_a_reader_goes_on_with_what_it_saw_while_a_batch_is_committed(lake: Path, truth: Truth) -> None:
    reader = open_lake(str(lake)).snapshot()
    compact(str(lake), now=DAY_1)
    assert difference(read_rows(reader), truth) == ""
    later = open_lake(str(lake)).snapshot()
    compact(str(lake), now=DAY_1 + GRACE - dt.timedelta(seconds=1))
    assert difference(read_rows(reader), truth) == "", "raw objects stay for the time of grace"
    compact(str(lake), now=DAY_1 + GRACE)
    assert difference(read_rows(later), truth) == ""


def test_raw_objects_are_deleted_only_when_they_were_committed_the_time_of_grace_ago(lake: Path) -> None:
    add_logs(lake, late=log_text(10, seed="late"), now=DAY_1)
    compact(str(lake), now=DAY_1)
    truth = add_logs(lake, later=log_text(10, seed="later"), now=DAY_2)
    opened = open_lake(str(lake))
    compact(str(lake), now=DAY_2)
    add_logs(lake, last=log_text(10, seed="last"), now=DAY_3)
    assert collect(opened, now=DAY_1 + GRACE - dt.timedelta(microseconds=1), grace=GRACE) == 0
    assert collect(opened, now=DAY_1 + GRACE, grace=GRACE) == 4
    assert collect(opened, now=DAY_1 + GRACE, grace=GRACE) == 0
    assert collect(opened, now=MUCH_LATER, grace=GRACE) == 1
    assert len(list(opened.store.list("raw/"))) == 1, "what is in no committed batch is never deleted"
    assert read_lake(lake) > truth
    assert audit(str(lake)).ok


def test_a_slow_clock_ends_no_grace_before_that_of_the_batch_before(lake: Path) -> None:
    """Ten days behind, and the time of its record is beyond the grace at once. One far ahead holds up its own batch alone."""
    slow = DAY_2 - dt.timedelta(days=10)
    compact(str(lake), now=DAY_1)
    add_logs(lake, slow=log_text(10, seed="slow"), now=DAY_2)
    opened = open_lake(str(lake))
    assert compact(str(lake), now=slow).batch == "0000000002"
    assert collect(opened, now=DAY_1 + GRACE - dt.timedelta(microseconds=1), grace=GRACE) == 0
    add_logs(lake, fast=log_text(10, seed="fast"), now=DAY_2)
    compact(str(lake), now=DAY_2 + dt.timedelta(days=4000), grace=dt.timedelta(days=9999))
    add_logs(lake, last=log_text(10, seed="last"), now=DAY_2)
    compact(str(lake), now=DAY_2)
    assert collect(opened, now=DAY_1 + GRACE, grace=GRACE) == 4
    assert collect(opened, now=DAY_2 + GRACE, grace=GRACE) == 1
    assert [batch.committed_at[:4] for batch in read_commits(opened.store)] == ["2024", "2024", "2035", "2024"]
    assert audit(str(lake)).ok


def test_what_attempts_left_in_staging_goes_with_the_raw_objects(lake: Path) -> None:
    opened = open_lake(str(lake))
    plan = read_or_create_plan(opened)
    assert plan is not None
    rewrite(opened, plan, attempt="abandoned")
    compact(str(lake), now=DAY_1)
    assert any("abandoned" in name for name in staged(lake))
    collect(opened, now=MUCH_LATER, grace=GRACE)
    assert staged(lake) == []


def test_the_time_of_a_commit_is_utc(lake: Path) -> None:
    east = dt.timezone(dt.timedelta(hours=9))
    compact(str(lake), now=DAY_1.astimezone(east))
    (found,) = read_commits(open_lake(str(lake)).store)
    assert found.committed_at == DAY_1.isoformat()
    assert found.committed_at.endswith("+00:00")


def test_nothing_is_printed_whatever_the_program_is(lake: Path) -> None:
    """Run by `python -c`, DuckDB takes the program for a person at a prompt and draws progress bars."""
    code = "from etl.compact._duckdb import connect; from pathlib import Path; import sys\n"
    code += "print(connect(Path(sys.argv[1])).execute(\"SELECT current_setting('enable_progress_bar')\").fetchall())"
    done = subprocess.run([sys.executable, "-c", code, str(lake)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[(False,)]\n"
