"""What findings show of their rows: the same as JSON of each row by itself, though most of it is made a column at a time."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.detect import build_findings, mask_secrets

PIECES = (
    *(
        "a",
        "?",
        "&",
        ";",
        "=",
        "%3D",
        "%3d",
        "%253D",
        "%25253D",
        "%26",
        "%2526",
        "%3F",
        "%73",
        "%",
        "#",
        "/",
        "[",
        '"',
        "'",
        "\\",
        "\n",
        "\x7f",
        "\x1b",
        " ",
        "ü",
        "日",
        "\u2028",
        "😀",
    ),
    *(
        "key",
        "Token",
        "SECRET",
        "passwd",
        "sig",
        "ig",
        "Signature",
        "AWSAccessKeyId",
        "X-Amz-Credential",
        "-",
        ".",
        "_",
        "ſig",
    ),
    *(
        ":",
        "%3A",
        "'password'",
        "pass",
        "sid",
        "code",
        "//a",
        "@",
        "%40",
        "Bearer ",
        "x" * 20,
        "eyJhbGciOi.eyJz",
        "AWS a:",
    ),
    *("AKIAIOSFODNN7EXAMPLE", "ASIA", "x" * 2040, "ü" * 1030),
)
COLUMNS = {
    "source_key": pa.string(),
    "line_no": pa.int64(),
    "user_agent": pa.string(),
    "request_uri": pa.string(),
    "http_status": pa.int32(),
    "request_time": pa.timestamp("ms"),
    "undecidable": pa.bool_(),
    'a "name"': pa.dictionary(pa.int32(), pa.string()),
}
texts = st.none() | st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
rows_of_any_kind = st.fixed_dictionaries(
    {
        "source_key": st.just("s"),
        "line_no": st.integers(0, 9),
        "user_agent": texts,
        "request_uri": texts,
        "http_status": st.none() | st.integers(-5, 999),
        "request_time": st.none()
        | st.datetimes().map(lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)),
        "undecidable": st.none() | st.booleans(),
        'a "name"': texts,
    }
)


def write_plainly(row: dict[str, Any]) -> str:
    """JSON of one row."""
    shown = {}
    for name in COLUMNS:
        value = row[name]
        if isinstance(value, dt.datetime):
            shown[name] = f"{value.isoformat(timespec='milliseconds')}Z"
        elif isinstance(value, str):
            masked = mask_secrets(value)
            shown[name] = masked if len(masked) <= 2048 else masked[:2047] + "…"
        elif value is not None:
            shown[name] = value
    return json.dumps({name: value for name, value in shown.items() if name not in ("source_key", "line_no")})


def details(table: pa.Table) -> list[str]:
    found: list[str] = build_findings(table, detection="d", severity="low").column("details").to_pylist()
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(rows_of_any_kind, max_size=8))
def test_details_are_json_of_the_row(rows: list[dict[str, Any]]) -> None:
    table = pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in COLUMNS.items()})
    assert details(table) == [write_plainly(row) for row in rows]
    assert details(pa.concat_tables([table, table])) == [write_plainly(row) for row in rows * 2]


def test_a_finding_that_shows_nothing_of_its_row() -> None:
    assert details(pa.table({"source_key": ["s"], "line_no": [1]})) == ["{}"]


def test_a_time_that_python_has_no_date_for() -> None:
    """Whoever wrote the file may have written anything."""
    table = pa.table({"source_key": ["s"], "line_no": [1], "request_time": pa.array([10**15], pa.timestamp("ms"))})
    (written,) = details(table)
    assert set(json.loads(written)) == {"request_time"}
