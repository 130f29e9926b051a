"""Columns and files whose names mean two things, or nothing: they are damage, and hold up nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from compact_cases import lake as lake
from compact_cases import truth as truth
from small_lakes import DAY_1, DAY_2, Truth, difference, put_raw, raw_row, read_lake, rows_of

import etl
from etl.audit import audit
from etl.cli._main import main
from etl.compact import _inspect, compact, inspect_inputs, read_or_create_plan, read_raw
from etl.detect import detect_file
from etl.errors import LakeUnusable, RowsNotConserved
from etl.lake import Input, create_lake, open_lake, read_winner
from etl.schema import SCHEMA

Change = Callable[[pa.Table], pa.Table]
BAD = "raw/ingest_date=2024-05-02/bad.parquet"


def put_changed(lake: Path, change: Change) -> pa.Table:
    """A raw object of three rows whose table was changed; the table."""
    signed = {"signature_version": "SigV2", "authentication_type": "AuthHeader"}
    path = put_raw(lake, "bad", [raw_row("s3://logs/bad", at, request_id=f"{at}", **signed) for at in range(3)])
    with pq.ParquetFile(path) as file:
        table = change(file.read())
    pq.write_table(table, path)
    return table


def add(name: str) -> Change:
    return lambda table: table.append_column(name, pa.array(["other"] * table.num_rows))


def rename(name: str, other: str) -> Change:
    return lambda table: table.rename_columns([other if each == name else each for each in table.column_names])


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


# --- Columns ----------------------------------------------------------------------------------------------------------

AMBIGUOUS = {
    "twice": add("key_name"),
    "in other letters": add("Bucket_Name"),
    "in other letters alone": rename("acl_required", "ACL_REQUIRED"),
    "before its twin": lambda table: table.add_column(0, "REQUEST_ID", pa.array(["other"] * table.num_rows)),
}
ambiguous = pytest.mark.parametrize("change", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())


@ambiguous
def test_an_ambiguous_column_is_damage(
    lake: Path, truth: Truth, change: Change, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    put_changed(lake, change)
    store = open_lake(str(lake)).store
    assert [item.key for item in inspect_inputs(store, store.list(BAD))[1]] == [BAD]
    assert f"{BAD}: cannot be read" in audit(str(lake)).problems
    code, _, told = run(capsys, "detect", "--lake", str(lake))
    assert code == 1
    assert "bad.parquet" in told
    with pytest.raises(LakeUnusable, match="no table of log lines"):
        detect_file(str(lake / BAD))
    with pytest.raises(RowsNotConserved, match="lacks a column, or has one twice"):
        list(read_raw(open_lake(str(lake)), Input(BAD, "", 0, 3, 3, 0)))  # what Spark's tasks call
    page = tmp_path / "page.html"
    assert run(capsys, "report", "--lake", str(lake), "-o", str(page))[0] == 0
    assert "bad.parquet" in page.read_text()
    done = compact(str(lake), now=DAY_1)
    assert done.left_out == (BAD,)
    assert difference(read_lake(lake), truth) == ""
    assert etl.read(str(lake)).num_rows == 68


def test_other_columns_may_have_any_name(lake: Path, truth: Truth) -> None:
    """Also one within another, and one that is like ours but for a dot."""
    nested = pa.array([{"key_name": "x", "signature_version": "SigV4"}] * 3)
    table = put_changed(
        lake,
        lambda table: add("more")(add("more")(add("key_name.x")(table))).append_column("nested", nested),
    )
    assert etl.read(str(lake)).num_rows == 71
    assert detect_file(str(lake / BAD)).hits.num_rows == 3
    assert compact(str(lake), now=DAY_1).left_out == ()
    assert difference(read_lake(lake), truth + rows_of(table.select(SCHEMA.names))) == ""


# --- Text that its writer held otherwise ------------------------------------------------------------------------------

TEXTS = {
    "large": pa.large_string(),
    "views": pa.string_view(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "small dictionary": pa.dictionary(pa.int8(), pa.large_string()),
}


@pytest.mark.parametrize("type_", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("folder", ["plain", "a[b]"])
def test_text_is_text_however_its_writer_held_it(tmp_path: Path, type_: pa.DataType, folder: str) -> None:
    lake = tmp_path / folder
    create_lake(str(lake))
    texts = [name for name in SCHEMA.names if SCHEMA.field(name).type == pa.string()]
    rows = [
        raw_row("s3://logs/bad", number, key_name=key, object_key=key, user_agent="ü" if number % 3 else None)
        for number, key in enumerate(["k0", "k1"] * 25)
    ]
    plain = pa.Table.from_pylist(rows, SCHEMA)
    put_raw(lake, "bad", rows)
    seen = detect_file(str(lake / BAD))
    held = pa.schema([field.with_type(type_) if field.name in texts else field for field in SCHEMA])
    pq.write_table(plain.cast(held), lake / BAD, row_group_size=20)
    noted = pq.read_metadata(lake / BAD).schema.to_arrow_schema().field("key_name").type
    assert noted != pa.string(), "the file says how its writer held it"
    again = detect_file(str(lake / BAD))
    assert (again.rows, again.hits, again.unsure) == (seen.rows, seen.hits, seen.unsure)
    assert rows_of(etl.read(str(lake))) == rows_of(plain)
    store = open_lake(str(lake)).store
    (item,), _ = inspect_inputs(store, store.list(BAD))
    read = pa.Table.from_batches(read_raw(open_lake(str(lake)), item))
    assert read.schema == SCHEMA
    assert rows_of(read) == rows_of(etl.read(str(lake)))
    assert compact(str(lake), now=DAY_1).left_out == ()
    assert difference(rows_of(etl.read(str(lake))), rows_of(read)) == ""


def test_a_dictionary_of_numbers_or_bytes_is_no_text(lake: Path, truth: Truth) -> None:
    place = SCHEMA.get_field_index("user_agent")
    held = pa.array([b"a", b"b", b"a"], pa.binary()).dictionary_encode()
    put_changed(lake, lambda table: table.set_column(place, "user_agent", held))
    assert compact(str(lake), now=DAY_1).left_out == (BAD,)
    assert difference(read_lake(lake), truth) == ""


# --- Files ------------------------------------------------------------------------------------------------------------

MISNAMED = "raw/ingest_date=2024-05-02/caf\udce9.parquet"
SHOWN = r"caf\udce9.parquet"


def put_misnamed(lake: Path) -> Path:
    path = put_raw(lake, "bad", [raw_row("s3://logs/bad", number) for number in range(3)])
    return path.rename(os.fsdecode(os.fsencode(path.parent) + b"/caf\xe9.parquet"))


def test_a_file_name_that_is_no_text_is_damage_to_every_reader(
    lake: Path, truth: Truth, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = put_misnamed(lake)
    code, out, told = run(capsys, "audit", "--lake", str(lake), "--json")
    assert code == 1
    assert any(SHOWN in problem for problem in json.loads(out)["problems"]), "no half of a character"
    assert SHOWN in told
    code, out, told = run(capsys, "query", "--sql", "SELECT 1 FROM access_logs", "--lake", str(lake))
    assert (code, out) == (1, "")
    assert f"{SHOWN}: its name is not UTF-8" in told
    code, out, told = run(capsys, "detect", "--json", "--lake", str(lake))
    assert code == 1
    assert f"{SHOWN}: its name is not UTF-8" in told
    assert [SHOWN in line for line in json.loads(out)["failed"]] == [True], "it costs no other file's findings"
    with pytest.raises(LakeUnusable):
        detect_file(str(path))
    page = tmp_path / "page.html"
    assert run(capsys, "report", "--lake", str(lake), "-o", str(page))[0] == 0
    assert SHOWN in page.read_text()
    code, out, told = run(capsys, "compact", "--lake", str(lake), "--json")
    assert code == 1
    assert f"{SHOWN}: cannot be read and is left out of batch 0000000001" in told
    assert json.loads(out)["left_out"] == [MISNAMED.replace("\udce9", r"\udce9")]
    assert difference(read_lake(lake), truth) == ""
    assert etl.read(str(lake)).num_rows == 68
    assert compact(str(lake), now=DAY_1).batch is None
    path.rename(path.with_name("cafe.parquet"))
    assert compact(str(lake), now=DAY_1).rows_in == 3, "with another name it is another object"


def test_a_plan_that_names_one_is_carried_out_without_it(
    lake: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions made such plans, and stood still."""
    put_misnamed(lake)
    with monkeypatch.context() as patch:
        patch.setattr(_inspect, "find_misnamed", lambda keys: {})
        plan = read_or_create_plan(open_lake(str(lake)))
    assert plan is not None
    assert MISNAMED in [item.key for item in plan.inputs]
    done = compact(str(lake), now=DAY_2)
    assert done.left_out == (MISNAMED,)
    assert read_winner(open_lake(str(lake)).store, plan.batch).reasons == {MISNAMED: "its name is not UTF-8"}
    assert difference(read_lake(lake), truth) == ""
    (item,) = (item for item in plan.inputs if item.key == MISNAMED)
    with pytest.raises(RowsNotConserved, match="its name is not UTF-8"):
        list(read_raw(open_lake(str(lake)), item))  # what Spark's tasks call
