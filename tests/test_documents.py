"""A row's document says what the row says, in one line, whatever a client sent."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_lakes import raw_row

from etl.schema import FIELDS, JSON_KEYS, SCHEMA, Kind
from etl.sinks import to_documents

HOSTILE = st.sampled_from(
    [
        *(
            "",
            '"',
            "\\",
            '\\"',
            "\\u0022",
            "\n",
            "\r\n",
            "\t",
            "\0",
            "\x1f\x7f\x85",
            "\u2028\u2029",
            "\ufeff",
            "\ufffd",
        ),
        *("\U0001f600", "é", "日本", '"}\n{"o":"forged', "</script>", "null", "-", "a b"),
    ]
)
TEXT = st.none() | HOSTILE | st.text(max_size=12) | st.lists(HOSTILE, max_size=4).map("".join)
INT = st.none() | st.integers(0, 2**31 - 1)
BIGINT = st.none() | st.integers(0, 2**63 - 1)
TIME = st.datetimes(dt.datetime(2006, 3, 14), dt.datetime(9999, 12, 31, 23, 59, 59)).map(
    lambda time: time.replace(microsecond=0)
)
VALUES = {Kind.STRING: TEXT, Kind.INT: INT, Kind.BIGINT: BIGINT, Kind.TIMESTAMP: TIME}
ROWS = st.fixed_dictionaries(
    {field.name: VALUES[field.kind] for field in FIELDS}
    | {"parse_status": st.sampled_from(["clean", "short", "ambiguous"]), "source_key": st.just("s3://b/k")}
)


def documents_of(rows: list[dict[str, Any]]) -> list[str]:
    documents: list[str] = to_documents(pa.Table.from_pylist(rows, SCHEMA)).to_pylist()
    return documents


def expected(row: dict[str, Any]) -> dict[str, Any]:
    said = {name: row[name] for name in JSON_KEYS if row[name] is not None}
    if said["parse_status"] == "clean":
        del said["parse_status"]
    said["request_time"] = said["request_time"].isoformat(" ")
    return {JSON_KEYS[name]: value for name, value in said.items()}


@given(st.lists(ROWS, min_size=1, max_size=5))
@settings(max_examples=150)
def test_a_document_is_its_row(rows: list[dict[str, Any]]) -> None:
    documents = documents_of(rows)
    assert [json.loads(document) for document in documents] == [expected(row) for row in rows]
    for document in documents:
        assert document[0] == "{"
        assert document[-2:] == "}\n"
        assert not any(character < " " for character in document[:-1])


@given(st.lists(ROWS, min_size=2, max_size=6), st.data())
@settings(max_examples=50)
def test_slices_and_chunks_give_the_same_documents(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    """The parser's tables are cut and joined without copying."""
    table = pa.Table.from_pylist(rows, SCHEMA)
    cut = data.draw(st.integers(0, len(rows)))
    parts = [table.slice(0, cut), table.slice(cut)]
    assert to_documents(pa.concat_tables(parts)).to_pylist() == documents_of(rows)
    assert [text for part in parts for text in to_documents(part).to_pylist()] == documents_of(rows)


def test_what_a_document_looks_like() -> None:
    (document,) = documents_of([raw_row("s3://b/k", 7, http_status=200, bytes_sent_size=None, user_agent='say "é"')])
    assert document == (
        '{"t":"2024-05-02 10:00:00","b":"b1","a":"REST.GET.OBJECT","s":200,"g":"say \\"é\\"","l":"s3://b/k","ln":7}\n'
    )


def test_an_empty_text_is_not_null() -> None:
    (document,) = documents_of([raw_row("k", 1, referer="", user_agent=None)])
    assert json.loads(document)[JSON_KEYS["referer"]] == ""
    assert JSON_KEYS["user_agent"] not in json.loads(document)


def test_no_rows_give_no_documents() -> None:
    assert documents_of([]) == []


@pytest.mark.parametrize("year", [2006, 2026, 2262, 2263, 9999])
def test_times_of_any_year_that_the_parser_takes(year: int) -> None:
    (document,) = documents_of([raw_row("k", 1, time=f"{year}-12-31T23:59:59")])
    assert json.loads(document)[JSON_KEYS["request_time"]] == f"{year}-12-31 23:59:59"


def test_every_column_but_the_derivable_has_a_short_key_that_is_no_column() -> None:
    assert set(SCHEMA.names) - set(JSON_KEYS) == {"event_date", "object_key"}
    keys = list(JSON_KEYS.values())
    assert len(set(keys)) == len(keys)
    assert not set(keys) & set(SCHEMA.names)
    assert all(key.isascii() and key.isalpha() and key.islower() and len(key) <= 2 for key in keys)
