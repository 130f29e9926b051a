"""What reaches CloudWatch: the recipe's fields, a bounded number of bounded lines, and counts that add up."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from detect_rows import SECRET, make_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.detect import build_sigv2_findings, detect_sigv2, measure, render_line, write_lines, write_undecidable_lines
from etl.schema import SCHEMA

FIELDS = [
    *("Bucket", "Timestamp", "RemoteIP", "Requester", "Operation", "Key", "RequestURI", "UserAgent"),
    *("SignatureVersion", "AuthenticationType", "LastTimestamp", "Count"),
]
QUERIES = Path(__file__).parents[1] / "queries" / "logs-insights"
RECIPE_FIELDS = ("Bucket", "Timestamp", "RemoteIP", "Operation", "Key", "RequestURI", "UserAgent", "SignatureVersion")


def findings_of(*rows: dict[str, Any]) -> pa.Table:
    made = make_rows(*({"signature_version": "SigV2"} | row for row in rows))
    return build_sigv2_findings(detect_sigv2(pa.Table.from_pylist(made, SCHEMA)))


def test_a_whole_line_has_the_fields_of_the_recipe_and_four_more() -> None:
    (line,) = write_lines(findings_of({"request_uri": f"GET /k?Signature={SECRET}&x=1 HTTP/1.1"}))
    assert list(line) == FIELDS
    assert set(RECIPE_FIELDS) | {"Requester", "AuthenticationType", "LastTimestamp", "Count"} == set(FIELDS)
    assert line == {
        "Bucket": "b1",
        "Timestamp": "2024-05-02T10:00:01.000Z",
        "RemoteIP": "192.0.2.3",
        "Requester": "arn:aws:iam::123456789012:user/alice",
        "Operation": "REST.GET.OBJECT",
        "Key": "k",
        "RequestURI": "GET /k?Signature=***&x=1 HTTP/1.1",
        "UserAgent": "Boto3/1.4.0 Python/2.7 Botocore/1.5.0",
        "SignatureVersion": "SigV2",
        "AuthenticationType": "AuthHeader",
        "LastTimestamp": "2024-05-02T10:00:01.000Z",
        "Count": 1,
    }


def test_a_noisy_client_gets_its_cap_and_one_line_for_the_rest() -> None:
    rows = [{"remote_ip": "192.0.2.9", "key_name": f"k{number}"} for number in range(500)]
    quiet = [{"remote_ip": "192.0.2.1"}, {"remote_ip": "192.0.2.1", "operation": "REST.PUT.OBJECT"}]
    lines = list(write_lines(findings_of(*rows, *quiet), cap=3))
    assert [line["Count"] for line in lines] == [1, 1, 1, 1, 1, 497]
    assert [line["RemoteIP"] for line in lines[:5]] == ["192.0.2.9"] * 3 + ["192.0.2.1"] * 2
    grouped = lines[-1]
    assert (grouped["RemoteIP"], grouped["Key"], grouped["RequestURI"]) == ("192.0.2.9", None, None)
    assert (grouped["SignatureVersion"], grouped["UserAgent"]) == ("SigV2", "Boto3/1.4.0 Python/2.7 Botocore/1.5.0")
    assert grouped["Timestamp"] == "2024-05-02T10:00:04.000Z"


def test_grouped_lines_say_how_they_were_authenticated_so_that_presigned_urls_are_all_counted() -> None:
    kinds = ["QueryString", "AuthHeader"]
    rows = [{"authentication_type": kinds[number % 2], "user_agent": f"a/{number}"} for number in range(100)]
    alike = [{"authentication_type": kinds[number % 2]} for number in range(50)]
    crowd = [{"authentication_type": kinds[number % 2], "remote_ip": f"2001:db8::{number:x}"} for number in range(50)]
    for made, most in ((rows, 1000), (alike, 1000), (crowd, 3)):
        counted: Counter[str] = Counter()
        for line in write_lines(findings_of(*made), cap=1, most=most):
            counted[line["AuthenticationType"]] += line["Count"]
        assert counted == {kind: len(made) // 2 for kind in kinds}


def test_grouped_lines_have_their_first_time_and_their_last_whatever_their_order() -> None:
    times = [f"2024-05-{day:02}T10:00:00" for day in (9, 5, 3, 8, 4)]
    whole, grouped = write_lines(findings_of(*({"time": time} for time in times)), cap=1)
    assert (whole["Timestamp"], whole["LastTimestamp"]) == ("2024-05-09T10:00:00.000Z",) * 2
    assert (grouped["Timestamp"], grouped["LastTimestamp"]) == ("2024-05-03T10:00:00.000Z", "2024-05-08T10:00:00.000Z")


@pytest.mark.parametrize("path", sorted(QUERIES.glob("*.txt")), ids=lambda path: path.stem)
def test_a_saved_query_filters_by_nothing_that_grouped_lines_lack(path: Path) -> None:
    *_, grouped = write_lines(findings_of(*[{"authentication_type": "QueryString"}] * 3), cap=1)
    query = path.read_text(encoding="utf-8").partition("\n")[2]
    asked = re.sub(r"'[^']*'|/[^/]*/", "", " ".join(re.findall(r"filter (.*)", query)))
    fields = re.findall(r"\b[A-Z][A-Za-z]+\b", asked)
    assert fields
    assert [name for name in fields if grouped[name] is None] == []
    assert "max(Timestamp)" not in query, "the first of a group"


def test_a_client_that_varies_its_user_agent_gets_no_more_groups() -> None:
    lines = list(write_lines(findings_of(*({"user_agent": f"a/{number}"} for number in range(400))), cap=2))
    assert len(lines) == 2 + 5 + 1
    assert lines[-1]["UserAgent"] is None
    assert sum(line["Count"] for line in lines) == 400


def test_clients_without_number_get_one_line_a_bucket() -> None:
    rows = [{"remote_ip": f"2001:db8::{number:x}", "bucket_name": f"b{number % 2}"} for number in range(300)]
    lines = list(write_lines(findings_of(*rows), cap=1, most=10))
    assert len(lines) == 10 + 10 + 2
    assert [(line["Bucket"], line["RemoteIP"], line["SignatureVersion"]) for line in lines[-2:]] == [
        ("b0", None, "SigV2"),
        ("b1", None, "SigV2"),
    ]
    assert sum(line["Count"] for line in lines) == 300


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "remote_ip": st.sampled_from(["192.0.2.1", "192.0.2.2", None]),
                "requester": st.sampled_from(["a", None]),
                "bucket_name": st.sampled_from(["b1", "b2"]),
                "operation": st.sampled_from(["REST.GET.OBJECT", "REST.PUT.OBJECT"]),
                "user_agent": st.none() | st.text(max_size=5),
            }
        ),
        max_size=60,
    ),
    st.integers(0, 5),
    st.integers(0, 20),
)
def test_counts_add_up_and_lines_are_few(rows: list[dict[str, Any]], cap: int, most: int) -> None:
    lines = list(write_lines(findings_of(*rows), cap=cap, most=most))
    buckets = Counter(row["bucket_name"] for row in rows)
    assert (
        Counter({name: sum(line["Count"] for line in lines if line["Bucket"] == name) for name in buckets}) == buckets
    )
    assert len(lines) <= 2 * most + len(buckets)
    whole = Counter((line["Requester"], line["RemoteIP"]) for line in lines if line["Key"] is not None)
    assert all(count <= cap for count in whole.values())


@pytest.mark.parametrize("text", ["\U0001f600" * 9000, '"' * 9000, "\x00\n\r\u2028" * 3000, "\udcff" * 10])
def test_a_line_is_one_short_line_of_ascii_whatever_a_client_sends(text: str) -> None:
    row = dict.fromkeys(("user_agent", "key_name", "request_uri", "remote_ip", "requester", "operation"), text)
    details = json.dumps(row | {"bucket_name": "b", "request_time": "t", "signature_version": "SigV2"})
    (line,) = write_lines(pa.table({"details": [details]}))
    rendered = render_line(line)
    assert len(rendered.encode()) < 128_000
    assert rendered.isascii()
    assert rendered.isprintable()
    assert json.loads(rendered) == line


def test_undecidable_lines_of_a_bucket_are_one_that_no_saved_query_counts() -> None:
    hostile = {"parse_status": "ambiguous", "raw_line": '" - H SigV2 x', "remote_ip": "forged", "user_agent": SECRET}
    rows = make_rows(*({**hostile, "bucket_name": f"b{number % 3}"} for number in range(30)))
    found = build_sigv2_findings(detect_sigv2(pa.Table.from_pylist(rows, SCHEMA)))
    lines = list(write_undecidable_lines(found))
    assert [(line["Bucket"], line["Timestamp"], line["LastTimestamp"], line["Count"]) for line in lines] == [
        (f"b{number}", f"2024-05-02T10:00:0{number + 1}.000Z", f"2024-05-02T10:00:{number + 28}.000Z", 10)
        for number in range(3)
    ]
    for line in lines:
        assert list(line) == [*FIELDS, "Undecidable"]
        assert {name for name, value in line.items() if value is not None} == {
            *("Bucket", "Timestamp", "LastTimestamp", "Count", "Undecidable")
        }
    few = list(write_undecidable_lines(found, most=2))
    assert [(line["Bucket"], line["Count"]) for line in few] == [("b0", 10), ("b1", 10), (None, 10)]
    assert not list(write_undecidable_lines(found.slice(0, 0)))


def test_metrics() -> None:
    rows = make_rows(
        {"signature_version": "SigV2"},
        {},
        {"parse_status": "ambiguous", "raw_line": '" - H SigV2 x'},
        {"parse_status": "ambiguous", "raw_line": '" - H SigV4 C A'},
    )
    found = detect_sigv2(pa.Table.from_pylist(rows, SCHEMA))
    metrics = measure([found, found])
    assert metrics == {
        "DetectedObjects": 2,
        "DetectedRows": 8,
        "SigV2Requests": 2,
        "AmbiguousRows": 4,
        "UndecidableRows": 2,
    }
    assert measure([])["SigV2Requests"] == 0


def test_metrics_count_what_their_names_say_and_a_row_once() -> None:
    rows = make_rows(
        {"signature_version": "SigV2"},
        {
            "parse_status": "short",
            "signature_version": None,
            "raw_line": 'o b "GET / HTTP/1.1" 200 - 1 2 3 4 "-" "a" -',
        },
        {"parse_status": "ambiguous", "raw_line": '" - H SigV2 x'},
    )
    assert measure([detect_sigv2(pa.Table.from_pylist(rows + rows, SCHEMA))]) == {
        "DetectedObjects": 1,
        "DetectedRows": 6,
        "SigV2Requests": 1,
        "AmbiguousRows": 1,
        "UndecidableRows": 2,
    }
