"""A raw object that cannot be read holds up nothing, and trouble with the store is never taken for one."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from compact_cases import lake as lake
from compact_cases import truth as truth
from hostile_keys import put_firehose
from small_lakes import (
    DAY_1,
    DAY_2,
    MUCH_LATER,
    Truth,
    add_logs,
    all_files,
    difference,
    line,
    log_text,
    put_raw,
    raw_row,
    read_lake,
    rows_of,
    text,
)

from etl.audit import audit
from etl.compact import (
    compact,
    inspect_inputs,
    read_or_create_plan,
)
from etl.errors import LakeUnusable, ObjectNotFound
from etl.lake import create_lake, open_lake
from etl.parse import parse
from etl.schema import SCHEMA, WIRE_FIELDS, Field

ROOT = Path(__file__).parent.parent


# --- Raw objects that cannot be read ----------------------------------------------------------------------------------


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def fill_with_rubbish(path: Path) -> None:
    path.write_bytes(b"rubbish " * 100)


def damage_footer(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-200:-100] = b"\xa5" * 100
    path.write_bytes(data)


def damage_pages(path: Path) -> None:
    """The footer is whole, so that only reading the rows shows it."""
    data = bytearray(path.read_bytes())
    data[4 : len(data) // 3] = b"\xa5" * (len(data) // 3 - 4)
    path.write_bytes(data)


def drop_column(path: Path) -> None:
    with pq.ParquetFile(path) as file:
        pq.write_table(file.read().drop_columns("request_time"), path)


def change_column(path: Path) -> None:
    with pq.ParquetFile(path) as file:
        table = file.read()
    pq.write_table(table.set_column(2, "request_time", pc.cast(table.column("request_time"), pa.string())), path)


DAMAGES = [cut, empty, fill_with_rubbish, damage_footer, damage_pages, drop_column, change_column]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("when", ["before the plan", "after the plan"])
def test_a_damaged_raw_object_is_left_out_and_reported_and_readers_go_on(
    lake: Path, truth: Truth, damage: Callable[[Path], None], when: str
) -> None:
    path = put_raw(lake, "damaged", [raw_row("s3://logs/x", number, request_id=str(number)) for number in range(900)])
    if when == "after the plan":
        read_or_create_plan(open_lake(str(lake)))
    damage(path)
    done = compact(str(lake), now=DAY_1)
    assert done.left_out == ("raw/ingest_date=2024-05-02/damaged.parquet",)
    assert (done.rows_in, done.rows_out) == (68, 68)
    assert difference(read_lake(lake), truth) == ""
    found = audit(str(lake))
    assert not found.ok
    assert [day.unreadable for day in found.days] == [1]
    assert any("damaged.parquet" in problem for problem in found.problems)
    later = add_logs(lake, late=log_text(10, seed="late"))
    assert compact(str(lake), now=DAY_2).rows_in == 10, "the next batch is not held up"
    assert compact(str(lake), now=MUCH_LATER).collected == 4
    assert difference(read_lake(lake), later) == ""
    assert path.exists(), "it is kept: somebody may mend it"


@pytest.mark.parametrize("lacks", [WIRE_FIELDS[18:], WIRE_FIELDS[-1:]], ids=["of 18 fields", "all but the last"])
def test_a_raw_object_from_before_a_field_was_known_is_no_damaged_one(
    lake: Path, truth: Truth, lacks: tuple[Field, ...]
) -> None:
    names = tuple(field.name for field in lacks)
    older = parse(log_text(30, seed="older"), source_key="s3://logs/older").table
    put_firehose(lake, "older", older, day="2024-05-02", lacks=("object_key", *names))
    nulls = older.drop_columns(names).to_pylist()
    whole = pa.Table.from_pylist([row | dict.fromkeys(names) for row in nulls], SCHEMA)
    done = compact(str(lake), now=DAY_1)
    assert done.left_out == ()
    assert difference(read_lake(lake), truth + rows_of(whole)) == ""


def test_a_raw_object_that_is_gone_after_the_plan_holds_up_nothing(lake: Path, truth: Truth) -> None:
    path = put_raw(lake, "gone", [raw_row("s3://logs/x", 1)])
    read_or_create_plan(open_lake(str(lake)))
    path.unlink()
    assert compact(str(lake), now=DAY_1).left_out == ("raw/ingest_date=2024-05-02/gone.parquet",)
    assert difference(read_lake(lake), truth) == ""


def test_a_lake_of_only_damaged_objects_is_readable_again(tmp_path: Path) -> None:
    create_lake(str(tmp_path))
    for name, damage in (("a", cut), ("b", damage_pages)):
        damage(put_raw(tmp_path, name, [raw_row(name, number) for number in range(900)]))
    assert len(compact(str(tmp_path), now=DAY_1).left_out) == 2
    assert read_lake(tmp_path) == Truth()
    assert compact(str(tmp_path), now=DAY_1).batch is None


def test_trouble_with_the_store_is_never_taken_for_a_damaged_object(
    lake: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left out of a batch is hidden for good; a network that failed for a moment must not do that."""
    read_metadata = pq.read_metadata
    opened = open_lake(str(lake))

    def fail_on_paths(where: Any, **options: Any) -> Any:
        if isinstance(where, str):
            raise OSError("When reading information for key: AWS Error SLOW_DOWN")
        return read_metadata(where, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pq, "read_metadata", fail_on_paths)
        readable, unreadable = inspect_inputs(opened.store, opened.uncompacted())
        assert (len(readable), unreadable) == (3, [])

        def fail(store: Any, key: str) -> bytes:
            if key.startswith("raw/"):
                raise LakeUnusable(key, "slow down")
            raise ObjectNotFound(key, "no such object")

        patch.setattr(type(opened.store), "read", fail)
        with pytest.raises(LakeUnusable, match="slow down"):
            inspect_inputs(opened.store, opened.uncompacted())
        with pytest.raises(LakeUnusable, match="slow down"):
            read_or_create_plan(opened)
    assert not any("meta/plan" in name for name in all_files(lake))
    compact(str(lake), now=DAY_1)
    assert difference(read_lake(lake), truth) == ""


# --- A disk that is full ----------------------------------------------------------------------------------------------


def test_a_full_disk_is_one_error_and_the_lake_stays_as_it_is(lake: Path) -> None:
    noise = random.Random(7)
    truth = add_logs(lake, big=text(*(line(key=noise.randbytes(60).hex()) for _ in range(1500))))
    before = {name: data for name, data in all_files(lake).items() if not name.startswith(("staging/", "meta/plan/"))}
    script = f"""
        import json, resource
        from etl.compact import compact
        from etl.errors import AccessLakeError
        import duckdb
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
        try:
            compact({str(lake)!r})
        except AccessLakeError as error:
            print(json.dumps([type(error).__name__, str(error)]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    kind, message = json.loads(done.stdout)
    assert kind == "LakeUnusable"
    assert "too large" in message
    assert "\n" not in message
    assert done.stderr == ""
    after = {name: data for name, data in all_files(lake).items() if not name.startswith(("staging/", "meta/plan/"))}
    assert after == before
    assert difference(read_lake(lake), truth) == ""
    compact(str(lake), now=DAY_2)
    assert difference(read_lake(lake), truth) == ""
