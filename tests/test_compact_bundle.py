"""Batches of many raw files: the same rewrite as of few, in memory that does not follow their number."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backfill_cases import LOGS, planned
from hostile_keys import put_firehose
from small_lakes import (
    DAY_1,
    DAY_2,
    all_files,
    difference,
    line,
    log_text,
    put_raw,
    raw_row,
    read_lake,
    text,
    truth_of,
    write_logs,
)

from etl.compact import _bundle, _damaged, _inspect, compact, read_or_create_plan, rewrite
from etl.errors import LakeUnusable
from etl.lake import Plan, Winner, create_lake, open_lake
from etl.parse import parse
from etl.schema import WIRE_FIELDS

ROOT = Path(__file__).parent.parent
MANY = 23
BAD = "raw/ingest_date=2024-05-02/b07.parquet"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Raw files of every kind, some rows in two of them, and a batch before that holds some already."""
    lake = tmp_path / "lake"
    create_lake(str(lake))
    _put(lake, "a", 3)
    compact(str(lake), now=DAY_1)
    for number in range(MANY):
        _put(lake, f"b{number:02}", number)
    old = parse(log_text(30, seed="old"), source_key="s3://logs/old").table
    put_firehose(lake, "c0", old, day="2024-05-02", lacks=("object_key", *(field.name for field in WIRE_FIELDS[18:])))
    put_firehose(
        lake, "c1", parse(log_text(9, seed="c", bad_every=4), source_key="s3://logs/c").table, day="2024-05-03"
    )
    put_raw(lake, "d", [], day="2024-05-03")
    return lake


def _put(lake: Path, name: str, number: int) -> Path:
    rows = [
        raw_row(
            f"s3://logs/{number // 2}", line, f"2024-05-0{1 + line % 2}T10:00:0{line % 3}", host_id=f"{name} {line}"[1:]
        )
        for line in range(number % 5 * 3)
    ]
    return put_raw(lake, name, [*rows, *rows[:2], raw_row(f"s3://logs/x{number % 3}", 1)], int96=bool(number % 2))


def rewritten(lake: Path | str, plan: Plan, most: int, patch: pytest.MonkeyPatch) -> tuple[Winner, dict[str, bytes]]:
    """What a rewrite that reads so many files at once makes of a plan."""
    patch.setattr(_bundle, "MOST_FILES", most)
    opened = open_lake(str(lake))
    done = rewrite(opened, plan, attempt=f"most-{most}", target_bytes=1)
    names = [f"staging/{plan.batch}/most-{most}/{output.key}" for output in done.outputs]
    found = {
        stored.key: opened.store.read(stored.key) for stored in opened.store.list(f"staging/{plan.batch}/most-{most}/")
    }
    assert len(found) == len(names)
    return done, {key.partition(f"most-{most}/")[2]: data for key, data in found.items()}


def plan_of(lake: Path | str) -> Plan:
    plan = read_or_create_plan(open_lake(str(lake)))
    assert plan is not None
    return plan


# --- The same files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 2, 7, MANY + 2])
def test_many_raw_files_give_the_files_that_few_give(lake: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    plan = plan_of(lake)
    few, files = rewritten(lake, plan, 1000, monkeypatch)
    assert few.duplicates > 20
    many, same = rewritten(lake, plan, most, monkeypatch)
    assert same == files
    assert (many.folded, many.left_out, many.outputs) == (few.folded, (), few.outputs)


def test_many_raw_files_of_a_bucket_give_the_same_files_and_leave_no_copies(
    lake: Path, new_bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"s3://{new_bucket()}/lake"
    opened = create_lake(uri)
    for name in all_files(lake):
        if name.startswith("raw/"):
            opened.store.move_in(name, _copy(lake / name))
    plan = plan_of(uri)
    few, files = rewritten(uri, plan, 1000, monkeypatch)
    held: list[int] = []
    remove = _bundle.remove_copies

    def count(copies: Any, scratch: Path) -> None:
        remove(copies, scratch)
        held.append(len(list(scratch.rglob("raw/*/*.parquet"))))

    monkeypatch.setattr(_bundle, "remove_copies", count)
    many, same = rewritten(uri, plan, 4, monkeypatch)
    assert same == files
    assert many.outputs == few.outputs
    assert set(held) == {0}


def _copy(file: Path) -> Path:
    copy = file.with_name("copy")
    copy.write_bytes(file.read_bytes())
    return copy


@pytest.mark.parametrize("most", [1, 2, 4])
def test_many_log_objects_of_a_back_fill_give_the_files_that_few_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    logs = write_logs(tmp_path / "logs", LOGS)
    create_lake(str(tmp_path / "lake"))
    gone = write_logs(tmp_path / "gone", {"gone.log": log_text(3)})
    plan = planned(tmp_path / "lake", logs, gone)
    (gone / "gone.log").unlink()
    few, files = rewritten(tmp_path / "lake", plan, 1000, monkeypatch)
    many, same = rewritten(tmp_path / "lake", plan, most, monkeypatch)
    assert same == files
    assert (many.inputs, many.left_out, many.reasons) == (few.inputs, few.left_out, few.reasons)
    assert len(many.left_out) == 1


# --- Damage and trouble -----------------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def drop_rows(path: Path) -> None:
    with pq.ParquetFile(path) as file:
        pq.write_table(file.read().slice(1), path)


def damage_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4:200] = b"\xa5" * 196
    path.write_bytes(data)


def write_times_as_text(path: Path) -> None:
    with pq.ParquetFile(path) as file:
        table = file.read()
    pq.write_table(table.set_column(2, "request_time", table.column("request_time").cast(pa.string())), path)


@pytest.mark.parametrize("damage", [cut, drop_rows, damage_pages, write_times_as_text, Path.unlink])
@pytest.mark.parametrize("most", [1, 4, 1000])
def test_a_damaged_raw_file_among_many_is_left_out_alone_and_named(
    lake: Path, monkeypatch: pytest.MonkeyPatch, most: int, damage: Any
) -> None:
    plan = plan_of(lake)
    damage(lake / BAD)
    looked_at: list[str] = []
    find = _inspect.find_damage

    def look(store: Any, item: Any) -> str:
        looked_at.append(item.key)
        return find(store, item)

    monkeypatch.setattr(_damaged, "find_damage", look)
    done, _ = rewritten(lake, plan, most, monkeypatch)
    assert done.left_out == (BAD,)
    assert list(done.reasons) == [BAD]
    assert done.rows + done.duplicates == sum(item.rows for item in plan.inputs if item.key != BAD)
    assert len(looked_at) <= min(most, len(plan.inputs)), "those beside it were read again, no others"


def test_of_many_raw_files_all_may_be_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_lake(str(tmp_path))
    paths = [put_raw(tmp_path, f"{number}", [raw_row("s", number)]) for number in range(5)]
    plan = plan_of(tmp_path)
    for path in paths:
        cut(path)
    done, files = rewritten(tmp_path, plan, 2, monkeypatch)
    assert (len(done.left_out), files) == (5, {})


def test_a_disk_that_is_full_for_bundles_is_one_error_and_leaves_nobody_out(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    noise = random.Random(7)
    logs = {
        f"s3://logs/{number}": text(*(line(key=noise.randbytes(60).hex()) for _ in range(30))) for number in range(40)
    }
    create_lake(str(lake))
    for number, (key, data) in enumerate(logs.items()):
        put_raw(lake, f"{number:02}", parse(data, source_key=key).table.to_pylist())
    plan_of(lake)
    before = {name: data for name, data in all_files(lake).items() if not name.startswith("staging/")}
    script = f"""
        import json, resource
        from etl.compact import _bundle, compact
        from etl.errors import AccessLakeError
        _bundle.MOST_FILES = 20
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
        try:
            compact({str(lake)!r})
        except AccessLakeError as error:
            print(json.dumps([type(error).__name__, str(error), error.subject]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    kind, message, subject = json.loads(done.stdout)
    assert kind == LakeUnusable.__name__
    assert "too large" in message
    assert "\n" not in message
    assert subject.startswith(str(lake))
    assert done.stderr == ""
    assert {name: data for name, data in all_files(lake).items() if not name.startswith("staging/")} == before
    assert compact(str(lake), now=DAY_2).left_out == ()
    assert difference(read_lake(lake), truth_of(logs)) == ""


# --- Memory -----------------------------------------------------------------------------------------------------------


def test_memory_does_not_follow_the_number_of_raw_files(tmp_path: Path) -> None:
    """DuckDB, left to find the columns of 3,000 files by itself, takes some 220 MB more for them than for 300."""
    took = {}
    for files in (300, 3000):
        lake = tmp_path / str(files)
        create_lake(str(lake))
        first = put_raw(lake, "0", [raw_row("s3://logs/a", 1)])
        for number in range(1, files):
            os.link(first, first.parent / f"{number}.parquet")
        took[files] = _peak(lake, files)
    assert took[3000] - took[300] < 120e6


def _peak(lake: Path, rows: int) -> int:
    script = f"""
        from etl.compact import compact
        done = compact({str(lake)!r})
        assert (done.rows_in, done.rows_out) == ({rows}, 1), done
        lines = open("/proc/self/status").read().splitlines()
        print([int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")][0])
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    return int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
