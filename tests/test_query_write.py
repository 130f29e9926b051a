"""Results on paper: aligned and harmless for people, exact for programs."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import io
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_lake import ask_json, snapshot_of

from etl.errors import QueryError
from etl.query import Format, connect, write_result
from etl.terminal import escape

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none() | TEXT,
            "number": st.none() | st.integers(-(2**63), 2**63 - 1),
            "ratio": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "flag": st.none() | st.booleans(),
            "day": st.none() | st.dates(),
            "time": st.none()
            | st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2200, 1, 1)).map(
                lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
            ),
        }
    ),
    max_size=6,
)
SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("number", pa.int64()),
        ("ratio", pa.float64()),
        ("flag", pa.bool_()),
        ("day", pa.date32()),
        ("time", pa.timestamp("ms")),
    ]
)


def write(table: pa.Table, format: Format, *, rows_per_batch: int = 2) -> bytes:
    out = io.BytesIO()
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=rows_per_batch))
    assert write_result(reader, format=format, out=out) == table.num_rows
    return out.getvalue()


def iso(time: dt.datetime) -> str:
    return time.isoformat(timespec="milliseconds") + "Z"


# --- JSON and CSV -----------------------------------------------------------------------------------------------------


@given(ROWS)
@settings(max_examples=100, deadline=None)
def test_json_gives_back_every_value(rows: list[dict[str, Any]]) -> None:
    written = write(pa.Table.from_pylist(rows, schema=SCHEMA), "json")
    expected = [
        row | {"day": row["day"] and row["day"].isoformat(), "time": row["time"] and iso(row["time"])} for row in rows
    ]
    assert json.loads(written) == expected


@given(ROWS)
@settings(max_examples=100, deadline=None)
def test_csv_gives_back_every_value(rows: list[dict[str, Any]]) -> None:
    written = write(pa.Table.from_pylist(rows, schema=SCHEMA), "csv")
    header, *found = list(csv.reader(io.StringIO(written.decode(), newline=""), strict=True))
    assert header == SCHEMA.names
    assert found == [
        [
            row["text"] or "",
            "" if row["number"] is None else str(row["number"]),
            "" if row["ratio"] is None else repr(row["ratio"]),
            "" if row["flag"] is None else str(row["flag"]).lower(),
            "" if row["day"] is None else row["day"].isoformat(),
            "" if row["time"] is None else iso(row["time"]),
        ]
        for row in rows
    ]
    assert written.endswith(b"\r\n")


@given(st.lists(st.none() | TEXT, max_size=5))
@settings(max_examples=100, deadline=None)
def test_a_column_alone_keeps_its_rows_in_csv(values: list[str | None]) -> None:
    written = write(pa.table({"a": pa.array(values, pa.string())}), "csv").decode()
    assert [row[0] for row in csv.reader(io.StringIO(written, newline=""), strict=True)][1:] == [
        v or "" for v in values
    ]


def test_csv_tells_null_from_empty() -> None:
    table = pa.table({"a": ["", None, 'x"y', "a,b", "line\nbreak", " x", "=1+1"], "b": [1, None, 2, 3, 4, 5, 6]})
    assert write(table, "csv").decode() == (
        'a,b\r\n"",1\r\n,\r\n"x""y",2\r\n"a,b",3\r\n"line\nbreak",4\r\n" x",5\r\n=1+1,6\r\n'
    )


def test_json_is_one_array_with_a_row_a_line() -> None:
    table = pa.table({"a": [1, 2, 3], "b": ["x", None, "日本"]})
    assert write(table, "json").decode() == ('[\n{"a": 1, "b": "x"},\n{"a": 2, "b": null},\n{"a": 3, "b": "日本"}\n]\n')
    assert write(table.slice(0, 0), "json") == b"[]\n"


def test_all_kinds_of_values_have_a_text() -> None:
    table = pa.table(
        {
            "wide": pa.array([2**63 - 1]),
            "decimal": pa.array([decimal.Decimal("12.30")]),
            "big": pa.array([decimal.Decimal("1E+3")], pa.decimal128(38, 0)),
            "nan": pa.array([float("nan")]),
            "infinity": pa.array([float("-inf")]),
            "bytes": pa.array([b"a\xff\n"]),
            "list": pa.array([["x", None]]),
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "struct": pa.array([{"t": dt.datetime(2024, 1, 1), "d": decimal.Decimal("1.5"), "e": []}]),
            "zoned": pa.array([dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], pa.timestamp("ms", "UTC")),
            "clock": pa.array([dt.time(1, 2, 3)]),
            "nothing": pa.array([None], pa.null()),
        }
    )
    written = write(table, "json").decode()
    assert '"decimal": 12.30, "big": 1000,' in written
    assert json.loads(written) == [
        {
            "wide": 2**63 - 1,
            "decimal": 12.3,
            "big": 1000,
            "nan": "NaN",
            "infinity": "-Infinity",
            "bytes": "a\\xff\n",
            "list": ["x", None],
            "map": {"k": 1},
            "struct": {"t": "2024-01-01T00:00:00.000Z", "d": 1.5, "e": []},
            "zoned": "2024-01-01T00:00:00.000Z",
            "clock": "01:02:03",
            "nothing": None,
        }
    ]
    row = next(iter(csv.DictReader(io.StringIO(write(table, "csv").decode(), newline=""))))
    assert (row["wide"], row["decimal"], row["nan"]) == (str(2**63 - 1), "12.30", "NaN")
    assert (row["map"], row["bytes"], row["nothing"]) == ('{"k": 1}', "a\\xff\n", "")


def test_columns_of_one_name_are_kept_apart() -> None:
    assert ask_json(connect(snapshot_of()), "SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a") == [
        {"a": 1, "a_1": 2, "a_1_1": 3, "a_2": 4}
    ]


@given(TEXT)
@settings(max_examples=200, deadline=None)
def test_json_holds_nothing_that_drives_a_terminal(value: str) -> None:
    written = write(pa.table({value: [value]}), "json").decode()
    assert json.loads(written) == [{value: value}]
    bidirectional = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    for character in written.replace("\n", ""):
        assert unicodedata.category(character) != "Cc"
        assert unicodedata.bidirectional(character) not in bidirectional


# --- Table ------------------------------------------------------------------------------------------------------------


def test_a_table_is_aligned() -> None:
    table = pa.table({"name": ["a", "日本", None, ""], "count": [1, 1000, None, 7]})
    assert write(table, "table").decode() == (
        "name  count\n"
        "----  -----\n"
        "a         1\n"
        "日本   1000\n"
        "-         -\n"
        "          7\n"
    )  # fmt: skip


def test_a_table_without_rows_has_a_header() -> None:
    assert write(pa.table({"a": pa.array([], pa.string())}), "table") == b"a\n-\n"


HOSTILE = [
    ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
    ("a\nb\rc\td\x00", r"a\x0ab\x0dc\x09d\x00"),
    ("\x9b31m\x7f", r"\x9b31m\x7f"),
    ("user\u202etxt.exe", r"user\u202etxt.exe"),
    ("\u2066\u2069\u200b\ufeff\u2028", r"\u2066\u2069\u200b\ufeff\u2028"),
    ("\U000e0041\ue000", r"\U000e0041\ue000"),
    ("\u3164\uffa0\u115f\u1160\u2800\u034f\u17b4\u17b5", r"\u3164\uffa0\u115f\u1160\u2800\u034f\u17b4\u17b5"),
    ("a\ufe0f\ufe00\U000e0100\U000e01ef\u180b\u180f", r"a\ufe0f\ufe00\U000e0100\U000e01ef\u180b\u180f"),
    ("a b\xa0\u1680\u2003\u202f\u205f\u3000", r"a b\xa0\u1680\u2003\u202f\u205f\u3000"),
    ("plain é 日本 C:\\x", "plain é 日本 C:\\x"),
]


@pytest.mark.parametrize(("text", "shown"), HOSTILE)
def test_hostile_text_is_shown_and_not_obeyed(text: str, shown: str) -> None:
    assert escape(text) == shown
    lines = write(pa.table({"agent": [text], text: ["x"]}), "table").decode().split("\n")
    assert lines[0].split("  ")[-1].strip() == shown
    assert lines[2].startswith(shown)
    assert len(lines) == 4


@pytest.mark.parametrize("text", [*(text for text, _ in HOSTILE), "soft\xadhyphen \ufff9note\ufffb \U0001d173slur"])
def test_hostile_text_in_json_is_escaped_and_read_as_it_was(text: str) -> None:
    written = write(pa.table({"agent": [text]}), "json").decode()
    assert json.loads(written) == [{"agent": text}]
    assert not {unicodedata.category(each) for each in written.replace("\n", "")} & {"Cc", "Cf", "Zl", "Zp"}
    assert not set(written) & set(
        "\u3164\uffa0\u115f\u1160\u2800\u034f\u17b4\u17b5\ufe00\ufe0f\U000e0100\U000e01ef\u180b"
    )


@given(TEXT, st.integers(1, 80))
@settings(max_examples=200, deadline=None)
def test_no_text_breaks_out_of_its_line(text: str, repeat: int) -> None:
    written = write(pa.table({"a": [text * repeat]}), "table").decode()
    assert written.count("\n") == 3
    for character in written.replace("\n", ""):
        assert character == " " or unicodedata.category(character) not in {
            "Cc",
            "Cf",
            "Cs",
            "Co",
            "Cn",
            "Zl",
            "Zp",
            "Zs",
        }
    assert max(len(line) for line in written.split("\n")) <= 60


def test_long_values_are_cut_with_an_ellipsis() -> None:
    values = ["x" * 60, "x" * 61, "日" * 31, "é" + "\u0301" * 5000, "x" * 10_000_000]
    lines = write(pa.table({"a": values}), "table").decode().splitlines()[2:]
    assert lines[:3] == ["x" * 60, "x" * 59 + "…", "日" * 29 + "…"]
    assert lines[3] == "é" + "\u0301" * 58 + "…"
    assert lines[4] == "x" * 59 + "…"


def test_rows_have_no_limit_and_late_ones_may_stick_out() -> None:
    table = pa.table({"a": ["x"] * 1500 + ["wider"], "b": [1] * 1501})
    lines = write(table, "table", rows_per_batch=400).decode().splitlines()
    assert (len(lines), lines[2], lines[-1]) == (1503, "x  1", "wider  1")


# --- Parquet, and what goes wrong -------------------------------------------------------------------------------------


def test_parquet_keeps_types_and_compresses_with_zstd() -> None:
    table = pa.table({"a": [1, None], "t": pa.array([dt.datetime(2024, 1, 1)] * 2, pa.timestamp("ms"))})
    written = write(table, "parquet", rows_per_batch=1)
    assert pq.read_table(pa.BufferReader(written)).equals(table)
    assert pq.ParquetFile(pa.BufferReader(written)).metadata.row_group(0).column(0).compression == "ZSTD"
    assert pq.read_table(pa.BufferReader(write(table.slice(0, 0), "parquet"))).schema == table.schema


def test_parquet_can_be_piped() -> None:
    read, into = os.pipe()
    with os.fdopen(into, "wb") as out, os.fdopen(read, "rb") as source:
        table = pa.table({"a": [1, 2]})
        assert write_result(table.to_reader(), format="parquet", out=out) == 2
        out.close()
        assert pq.read_table(pa.BufferReader(source.read())).equals(table)


def test_a_type_that_parquet_lacks_is_one_clear_line() -> None:
    table = pa.table({"a": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    with pytest.raises(QueryError, match=r"^parquet: .* \(cast the column to varchar\)$"):
        write(table, "parquet")
    assert json.loads(write(table, "json"))


@pytest.mark.parametrize("format", ["table", "csv", "json", "parquet"])
def test_a_query_that_fails_halfway_and_an_output_that_is_full_stay_apart(format: Format) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"a": [1]})
        raise QueryError("SQL", "it broke")

    reader = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), batches())
    with pytest.raises(QueryError, match=r"^SQL: it broke$"):
        write_result(reader, format=format, out=io.BytesIO())

    class Full(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_result(pa.table({"a": [1]}).to_reader(), format=format, out=cast(BinaryIO, Full()))


def test_a_local_query_does_not_load_what_only_remote_ones_need() -> None:
    code = "import etl.query, sys; print([m for m in ('pyarrow.dataset', 'pandas', 'boto3') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
