"""Documents back to rows: exactly what `to_documents` wrote, and nothing that does not fit the schema."""

from __future__ import annotations

import base64
import datetime as dt
import json
import string
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_lakes import entry, record_of
from small_lakes import line, log_text, text

from etl import SCHEMA, parse
from etl.replay import Unfit, read_error_object, read_record
from etl.replay._documents import to_table
from etl.schema import FIELDS, JSON_KEYS, Kind
from etl.sinks import Packer, to_documents

LOG = "s3://amzn-s3-demo-logs/1"
GOOD = {"t": "2024-05-02 10:00:00", "l": LOG, "ln": 1}


def rows_back(table: pa.Table) -> pa.Table:
    packer = Packer()
    records = [*packer.add(to_documents(table), "owner"), *packer.flush()]
    found = read_error_object(b"".join(entry(record.data) for record in records))
    assert found.unfit() == ()
    return pa.concat_tables([SCHEMA.empty_table(), *found.tables()])


def said_of(document: object) -> str:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    (item,) = read_record(data, position="line 7")
    if not isinstance(item, Unfit):
        return ""
    assert item.position == "line 7, document 1"
    return item.reason


def _values(field: Any) -> st.SearchStrategy[Any]:
    if field.kind is Kind.TIMESTAMP:
        return st.datetimes(dt.datetime(2006, 3, 14), dt.datetime(9998, 1, 1)).map(
            lambda time: time.replace(microsecond=0)
        )
    if field.kind is Kind.INT:
        return st.none() | st.integers(-(2**31), 2**31 - 1)
    if field.kind is Kind.BIGINT:
        return st.integers(1, 2**63 - 1) if field.name == "line_no" else st.none() | st.integers(-(2**63), 2**63 - 1)
    if field.name == "parse_status":
        return st.sampled_from(["clean", "short", "ambiguous"])
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text('"\\\n\x00{}\u2028é', max_size=9)
    return texts if field.name == "source_key" else st.none() | texts


ROWS = st.lists(st.fixed_dictionaries({field.name: _values(field) for field in FIELDS}), min_size=1, max_size=6)


@settings(max_examples=120)
@given(ROWS)
def test_any_row_comes_back_as_it_was(rows: list[dict[str, Any]]) -> None:
    """But for what documents leave out, which is derived as the parser derives it."""
    table = pa.Table.from_pylist(rows, SCHEMA)
    back = rows_back(table)
    carried = [name for name in SCHEMA.names if name in JSON_KEYS]
    assert back.select(carried).equals(table.select(carried))
    assert back.column("event_date").to_pylist() == [f"{row['request_time']:%Y-%m-%d}" for row in rows]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.text(string.printable.replace("\n", ""), max_size=20), st.booleans()), max_size=20))
def test_parsed_lines_come_back_with_their_derived_columns(agents: list[tuple[str, bool]]) -> None:
    lines = [
        line(
            key="a%2Bb%2520c+d" if encoded else "k%zz",
            agent=agent,
            operation="S3.X.Y" if encoded else "REST.GET.OBJECT",
        )
        for agent, encoded in agents
    ]
    table = parse(text(*lines), source_key=LOG).table
    assert rows_back(table).equals(table)


def test_the_corpus_of_generated_lines_comes_back() -> None:
    table = parse(log_text(600, bad_every=50), source_key=LOG).table
    assert rows_back(table).equals(table)


def test_documents_may_follow_each_other_with_nothing_between() -> None:
    table = parse(log_text(3), source_key=LOG).table
    record = record_of(table)
    for data in (
        record,
        record.replace(b"}\n{", b"}{"),
        record.replace(b"}\n{", b"}  {"),
        record.replace(b"\n", b"\r\n"),
    ):
        rows = [item for item in read_record(data, position="x") if not isinstance(item, Unfit)]
        assert to_table(rows).equals(table)


def test_a_document_that_is_none_costs_its_line_and_no_more() -> None:
    good = json.dumps(GOOD).encode()
    found = list(read_record(good + b"{bad" + good + b"\n" + good, position="line 1"))
    assert [isinstance(item, Unfit) for item in found] == [False, True, False]
    assert found[1] == Unfit("line 1, document 2", "is no JSON")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (GOOD, ""),
        (GOOD | {"s": 200, "n": 2**63 - 1, "b": None, "ps": "short"}, ""),
        ({"t": GOOD["t"], "l": LOG}, "line_no is missing"),
        (GOOD | {"l": None}, "source_key is missing"),
        (GOOD | {"t": None}, "request_time is missing"),
        (GOOD | {"t": "2024-05-02T10:00:00"}, "request_time is no time as yyyy-MM-dd HH:mm:ss"),
        (GOOD | {"t": "2024-05-02 10:00:00+00:00"}, "request_time is no time as yyyy-MM-dd HH:mm:ss"),
        (GOOD | {"t": "2024-02-30 10:00:00"}, "request_time is no time as yyyy-MM-dd HH:mm:ss"),
        (GOOD | {"t": "２024-05-02 10:00:00"}, "request_time is no time as yyyy-MM-dd HH:mm:ss"),
        (GOOD | {"t": 1714644000}, "request_time is no time as yyyy-MM-dd HH:mm:ss"),
        (GOOD | {"t": "2006-03-13 23:59:59"}, "request_time is before S3 was there"),
        (GOOD | {"t": "2006-03-14 00:00:00"}, ""),
        (GOOD | {"ln": 0}, "line_no is below 1"),
        (GOOD | {"ln": True}, "line_no is no whole number"),
        (GOOD | {"ln": "1"}, "line_no is no whole number"),
        (GOOD | {"ln": 1.0}, "line_no is no whole number"),
        (GOOD | {"s": 2**31}, "http_status is too large a number"),
        (GOOD | {"n": 2**63}, "bytes_sent_size is too large a number"),
        (GOOD | {"b": 1}, "bucket_name is no text"),
        (GOOD | {"b": {"x": 1}}, "bucket_name is no text"),
        (b'{"t":"2024-05-02 10:00:00","l":"\\ud800","ln":1}', "source_key is not UTF-8"),
        (GOOD | {"ps": "fine"}, "parse_status is none that there is"),
        (GOOD | {"line_no": 1}, "has a key that is no column's"),
        (GOOD | {"T": GOOD["t"]}, "has a key that is no column's"),
        (b'{"t":"2024-05-02 10:00:00","l":"a","l":"b","ln":1}', "has a name twice"),
        ([GOOD], "is no JSON object"),
        (b"NaN", "is no JSON object"),
        (b"\xff", "is not UTF-8"),
        (b"{", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"ln":' + b"9" * 5000 + b"}", "is no JSON"),
    ],
)
def test_what_does_not_fit_says_why(document: object, reason: str) -> None:
    assert said_of(document) == reason


@settings(max_examples=150)
@given(
    st.binary(max_size=60)
    | st.text(max_size=30).map(str.encode)
    | st.builds(lambda b: entry(b), st.binary(max_size=40))
)
def test_an_error_object_may_hold_anything(data: bytes) -> None:
    """Every non-blank line is a row, or is told."""
    found = read_error_object(data)
    rows = sum(table.num_rows for table in found.tables())
    lines = [each for each in data.split(b"\n") if each.strip()]
    assert rows + len(found.unfit()) >= len(lines)
    assert all(item.position for item in found.unfit())


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_byte_loses_no_document_in_silence(data: st.DataObject) -> None:
    """Each of the documents is a row or is told, wherever the damage is."""
    record = record_of(parse(log_text(4), source_key=LOG).table)
    place = data.draw(st.integers(0, len(record) - 1))
    damaged = record[:place] + bytes([data.draw(st.integers(0, 255))]) + record[place + 1 :]
    items = list(read_record(damaged, position="line 1"))
    assert len(items) >= 4
    rows = [item for item in items if not isinstance(item, Unfit)]
    assert len(rows) >= 2
    assert len(rows) == 4 or len(items) - len(rows) >= 1


def test_error_codes_are_counted_under_either_spelling() -> None:
    record = json.dumps(GOOD).encode()
    data = entry(record, code="A") + entry(record, spelling="lastErrorCode", code="A") + entry(record, spelling="x")
    assert read_error_object(data + b'{"ErrorCode": 5}').codes() == {"A": 2, "no error code": 2}


def test_base64_with_anything_else_in_it_is_refused() -> None:
    good = base64.b64encode(json.dumps(GOOD).encode()).decode()
    for raw_data in (good[:-1], good + "!", good + "\n ", None, 5, "é"):
        found = read_error_object(json.dumps({"rawData": raw_data}).encode())
        assert [item.reason for item in found.unfit()] == ["its rawData is no base64 text"]
        assert list(found.tables()) == []
