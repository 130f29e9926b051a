"""What the rewriting refuses of one raw object, whoever wrote it, holds up nothing; what it cannot do without is named."""

from __future__ import annotations

import datetime as dt
import os
import random
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from compact_cases import lake as lake
from compact_cases import truth as truth
from small_lakes import DAY_1, DAY_2, Truth, add_logs, difference, log_text, put_raw, raw_row, read_lake

from etl.compact import _damaged, _inspect, _rewrite, compact, inspect_inputs, is_intact, read_or_create_plan, read_raw
from etl.errors import LakeUnusable, RowsNotConserved
from etl.lake import Input, create_lake, open_lake, read_winner
from etl.schema import SCHEMA

ROOT = Path(__file__).parent.parent
BAD = "raw/ingest_date=2024-05-02/bad.parquet"


# --- Raw objects that one library takes and another refuses -----------------------------------------------------------


def put_changed(lake: Path, name: str, column: str, values: pa.Array) -> Path:
    """A raw object of nine rows whose column holds these values instead, footer and all."""
    path = put_raw(lake, name, [raw_row("s3://logs/bad", number, request_id=str(number)) for number in range(9)])
    with pq.ParquetFile(path) as file:
        table = file.read()
    pq.write_table(table.set_column(SCHEMA.get_field_index(column), column, values), path)
    return path


def nine(value: object, type_: pa.DataType) -> pa.Array:
    """Nulls, or zeros where there must be something, and the value."""
    return pa.array([*([0] * 8 if pa.types.is_timestamp(type_) else [None] * 8), value], type_)


REFUSED = {
    "text that is none": ("user_agent", pc.cast(nine(b"a\xffb", pa.binary()), pa.string(), safe=False), "UTF8|UTF-8"),
    "a number too large": ("http_status", nine(2**31, pa.int64()), "2147483648"),
    "a line number too large": ("line_no", nine(2**63, pa.uint64()), "9223372036854775808"),
    "a time after the last day": (
        "request_time",
        nine(253_402_300_800_000, pa.timestamp("ms")),
        "years? from 1 to 9999",
    ),
    "a time before the first day": ("request_time", nine(-(2**62), pa.timestamp("us")), "years? from 1 to 9999"),
    "no time": ("request_time", nine(None, pa.timestamp("ms")), "without a time"),
}


@pytest.mark.parametrize(("column", "values", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_rewriting_would_refuse_of_one_object_is_left_out_with_its_reason(
    lake: Path, truth: Truth, column: str, values: pa.Array, reason: str
) -> None:
    path = put_changed(lake, "bad", column, values)
    store = open_lake(str(lake)).store
    readable, unreadable = inspect_inputs(store, store.list(BAD))
    assert unreadable == [], "the footer is that of a raw object"
    assert not is_intact(store, readable[0])
    with pytest.raises(RowsNotConserved, match=reason):
        list(read_raw(open_lake(str(lake)), readable[0]))
    done = compact(str(lake), now=DAY_1)
    assert done.left_out == (BAD,)
    assert difference(read_lake(lake), truth) == ""
    assert done.batch is not None
    assert re.search(reason, read_winner(store, done.batch).reasons[BAD])
    assert path.exists()
    later = add_logs(lake, late=log_text(10, seed="late"))
    assert compact(str(lake), now=DAY_2).left_out == (), "the next batch is not held up"
    assert difference(read_lake(lake), later) == ""


def test_whichever_byte_is_another_the_batch_goes_on(tmp_path: Path) -> None:
    """One bit of each object, after it was planned. Arrow takes some of them that DuckDB refuses, and the other way round."""
    create_lake(str(tmp_path))
    noise = random.Random(1)
    rows = [raw_row("s3://logs/a", number, user_agent=f"ü{number % 7}", http_status=number) for number in range(50)]
    paths = [put_raw(tmp_path, f"flipped-{number:02}", rows) for number in range(60)]
    put_raw(tmp_path, "good", [raw_row("s3://logs/good", number, request_id=str(number)) for number in range(30)])
    assert read_or_create_plan(open_lake(str(tmp_path)))
    for number, path in enumerate(paths):
        data = bytearray(path.read_bytes())
        first = 4 if number % 2 else len(data) - 6000
        data[noise.randrange(first, len(data))] ^= 1 << noise.randrange(8)
        path.write_bytes(data)
    done = compact(str(tmp_path), now=DAY_1)
    assert 10 < len(done.left_out) < 60
    assert (
        sum(row[SCHEMA.names.index("source_key")] == "s3://logs/good" for row in read_lake(tmp_path).elements()) == 30
    )


def _item_of(lake: Path) -> Input:
    store = open_lake(str(lake)).store
    (item,), _ = inspect_inputs(store, store.list(BAD))
    return item


def test_an_object_is_looked_at_by_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A giant log object is a giant raw one: neither its bytes nor its rows may be held at once."""
    lake = create_lake(str(tmp_path))
    put_raw(tmp_path, "bad", [raw_row("s3://logs/bad", number) for number in range(25_000)])
    item = _item_of(tmp_path)
    held = []

    class Watched(pq.ParquetFile):  # type: ignore[misc]
        def iter_batches(self, *arguments: Any, **options: Any) -> Any:
            for batch in super().iter_batches(*arguments, **options):
                held.append(batch.num_rows)
                yield batch

    monkeypatch.setattr(pq, "ParquetFile", Watched)
    monkeypatch.setattr(type(lake.store), "read", lambda store, key: pytest.fail("all of it"))
    assert is_intact(lake.store, item)
    assert sum(held) == 25_000
    assert max(held) <= 10_000


@pytest.mark.parametrize("trouble", [OSError(5, "Input/output error"), pa.ArrowMemoryError("malloc failed")])
def test_trouble_of_this_machine_is_never_taken_for_a_damaged_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    lake = create_lake(str(tmp_path))
    put_raw(tmp_path, "bad", [raw_row("s3://logs/bad", 1)])
    item = _item_of(tmp_path)

    def fail(*arguments: Any, **options: Any) -> Any:
        raise trouble

    monkeypatch.setattr(pq, "ParquetFile", fail)
    with pytest.raises(LakeUnusable, match=r"bad\.parquet: .*(Input/output|malloc)"):
        is_intact(lake.store, item)


def test_a_disk_that_is_full_for_duckdb_is_not_taken_for_a_damaged_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = create_lake(str(tmp_path))
    put_raw(tmp_path, "bad", [raw_row("s3://logs/bad", 1)])
    item = _item_of(tmp_path)
    full = duckdb.IOException('IO Error: Could not write all bytes to file "x": No space left on device')

    def fail(*arguments: Any) -> Any:
        raise full

    monkeypatch.setattr(_damaged, "raw_rows", fail)
    with pytest.raises(LakeUnusable, match="No space left"):
        _damaged.find_refusal(lake.store, item)


@pytest.mark.parametrize("find", [_inspect.find_damage, _damaged.find_refusal])
def test_a_temporary_folder_that_is_gone_is_not_taken_for_an_object_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, find: Callable[[Any, Input], str]
) -> None:
    lake = create_lake(str(tmp_path))
    put_raw(tmp_path, "bad", [raw_row("s3://logs/bad", 1)])
    item = _item_of(tmp_path)
    assert find(lake.store, item) == ""
    monkeypatch.setattr(type(lake.store), "scratch", lambda store: tmp_path / "gone")
    with pytest.raises(LakeUnusable, match=r"gone.*No such file"):
        find(lake.store, item)


def test_names_of_columns_that_are_no_text_are_damage(lake: Path, truth: Truth) -> None:
    path = put_raw(lake, "bad", [raw_row("s3://logs/bad", number) for number in range(9)])
    path.write_bytes(path.read_bytes().replace(b"user_agent", b"user\xffagent"))
    assert compact(str(lake), now=DAY_1).left_out == (BAD,)
    assert difference(read_lake(lake), truth) == ""


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00", "0500-05-02T10:00:00", "9999-12-31T23:59:59"])
def test_a_time_of_any_year_that_has_four_digits_is_compacted(lake: Path, truth: Truth, moment: str) -> None:
    row = raw_row("s3://logs/old", 1, moment)
    put_raw(lake, "old", [row])
    done = compact(str(lake), now=DAY_1)
    assert done.left_out == ()
    assert (lake / "compacted" / f"event_date={moment[:10]}").is_dir()
    assert difference(read_lake(lake), truth + Truth([tuple(row[name] for name in SCHEMA.names)])) == ""


# --- Committed files --------------------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def put_bad_text(path: Path) -> None:
    with pq.ParquetFile(path) as file:
        table = file.read()
    bad = pc.cast(pa.array([b"\xff"] * table.num_rows), pa.string(), safe=False)
    pq.write_table(table.set_column(table.schema.get_field_index("referer"), "referer", bad), path)


@pytest.mark.parametrize("damage", [cut, put_bad_text, Path.unlink], ids=["cut", "bad text", "gone"])
def test_a_damaged_committed_file_stops_compaction_and_is_named(lake: Path, damage: Any) -> None:
    done = compact(str(lake), now=DAY_1)
    assert done.files == 2
    path = sorted((lake / "compacted").rglob("*.parquet"))[0]
    with pq.ParquetFile(path) as file:
        again = file.read().slice(0, 1).to_pylist()[0]
    damage(path)
    put_raw(lake, "again", [again | {"event_date": "2024-05-01", "line_no": 10_000}], day="2024-05-03")
    with pytest.raises(LakeUnusable, match="committed file") as caught:
        compact(str(lake), now=DAY_2)
    assert caught.value.subject == f"{lake}/{path.relative_to(lake)}"
    assert "accesslake audit" in caught.value.hint
    assert "\n" not in str(caught.value)


# --- This machine -----------------------------------------------------------------------------------------------------


def test_a_full_local_disk_does_not_read_as_if_the_bucket_were_full(
    new_bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"s3://{new_bucket()}/lake"
    opened = create_lake(uri)
    opened.store.move_in("raw/ingest_date=2024-05-02/a.parquet", put_raw(tmp_path, "a", [raw_row("s", 1)]))

    def full(*arguments: Any, **options: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_rewrite, "Parts", full)
    with pytest.raises(LakeUnusable, match="No space left on device") as caught:
        compact(uri, now=DAY_1)
    assert "s3://" not in str(caught.value)
    assert caught.value.subject.startswith("/")


def test_a_time_with_a_zone_is_the_same_moment_wherever_this_runs(tmp_path: Path) -> None:
    """Foreign writers mark their times as adjusted to UTC; half an hour before midnight there is the next day in Berlin."""
    create_lake(str(tmp_path))
    moment = dt.datetime(2024, 5, 2, 23, 30)
    path = put_raw(tmp_path, "a", [raw_row("s", 1, moment.isoformat())])
    with pq.ParquetFile(path) as file:
        table = file.read()
    times = table.column("request_time").cast(pa.timestamp("us", "UTC"))
    pq.write_table(table.set_column(SCHEMA.get_field_index("request_time"), "request_time", times), path)
    assert pq.read_schema(path).field("request_time").type == pa.timestamp("us", "UTC")
    script = f"""
        from etl.compact import compact
        compact({str(tmp_path)!r})
    """
    environment = os.environ | {"TZ": "Europe/Berlin"}
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, check=True, env=environment)
    (row,) = read_lake(tmp_path)
    assert row[SCHEMA.names.index("request_time")] == moment
    assert row[SCHEMA.names.index("event_date")] == "2024-05-02"
