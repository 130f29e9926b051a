"""Which columns of a row are those of all requests that it counts."""

from __future__ import annotations

import re

import pytest

from etl.query import Query, list_queries, settled_columns
from etl.query._catalog import read_query

DETECTIONS = [query for query in list_queries() if query.name.startswith("detections/")]
WORDS = {
    "address": "remote_ip",
    "bucket": "bucket_name",
    "day": "event_date",
    "hour": "hour",
    "operation": "operation",
    "parameter": "parameter",
    "Region": "source_region",
    "requester": "requester",
    "TLS version": "tls",
    "user agent": "user_agent",
}
"""How the files call the columns that make a group."""
ACTORS = {"requester", "remote_ip", "user_agent", "bucket_name", "operation", "parameter", "tls", "source_region"}


def settled(sql: str) -> set[str]:
    return set(settled_columns(read_query("x", f"-- Who?\n{sql}")))


@pytest.mark.parametrize("query", DETECTIONS, ids=[query.name for query in DETECTIONS])
def test_the_sql_groups_by_what_its_file_says(query: Query) -> None:
    said = re.search(r"A row for each (.*?)(?:[;.(]| whose | with )", query.notes)
    assert said is not None
    named = {column for word, column in WORDS.items() if re.search(rf"\b{word}\b", said[1])}
    found = set(settled_columns(query))
    assert named <= found
    # A condition says of these two that nobody was authenticated.
    pinned = {"requester"} if "unauthenticated" in query.name else set()
    assert found & ACTORS == (named & ACTORS) | pinned


def test_what_a_group_or_a_condition_leaves_open_is_not_settled() -> None:
    window = "count(*) OVER (PARTITION BY a, day) AS requests"
    found = "WITH found AS (SELECT a, b, day FROM t WHERE c IS NULL AND (e = 'x' AND f = g))"
    placed = f"{found}, placed AS (SELECT a, b, day, {window} FROM found)"
    assert settled(f"{placed} SELECT a, b, requests FROM placed") == {"a", "day", "c", "e"}
    assert settled("SELECT a, b, count(*) AS requests FROM t WHERE b IS NOT NULL GROUP BY a, lower(d)") == {"a"}
    assert settled("SELECT a, CAST(1 AS bigint) AS requests FROM t WHERE a > 1 OR b IS NULL") == set()


def test_a_condition_on_the_line_that_is_shown_says_nothing_of_the_group() -> None:
    placed = "WITH placed AS (SELECT a, b, count(*) OVER (PARTITION BY a) AS requests FROM t)"
    assert settled(f"{placed} SELECT a, b, requests FROM placed WHERE b IS NULL") == {"a"}
    assert settled(f"{placed} SELECT b AS a, requests FROM placed") == set()


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a, count(*) AS requests FROM t GROUP BY a UNION ALL SELECT b, 1 AS requests FROM t WHERE b IS NULL",
        "SELECT t.a, count(*) AS requests FROM t JOIN u ON t.a = u.a WHERE t.b IS NULL GROUP BY t.a",
        "WITH x AS (SELECT a, count(*) AS requests FROM t GROUP BY a) SELECT b, sum(requests) AS requests FROM x GROUP BY b",
        "SELECT a FROM t WHERE b IS NULL",
    ],
)
def test_where_the_sql_does_not_show_it_nothing_is_settled(sql: str) -> None:
    assert settled(sql) == set()
