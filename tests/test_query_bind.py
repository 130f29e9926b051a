"""Values take the place of parameters, and stay values whatever they hold."""

from __future__ import annotations

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from query_lake import ask, snapshot_of
from sqlglot import exp

from etl.errors import BadParameter, QueryError
from etl.query import bind, connect, find_query, list_queries, resolve_day
from etl.query._catalog import read_query

EMPTY = connect(snapshot_of())
QUERY = read_query(
    "who",
    "-- Who?\n-- :since date = -7d\n-- :until date = today\n-- :rows integer = 10  how many\n-- :name string\n"
    "SELECT a FROM t WHERE event_date >= :since AND event_date <= :until AND b = :name LIMIT :rows",
)


def test_defaults_and_values_become_literals() -> None:
    sql = bind(QUERY, {"name": "x", "until": "2024-02-29"}, newest_day="2024-03-05")
    expected = "SELECT a FROM t WHERE event_date >= '2024-02-27' AND event_date <= '2024-02-29' AND b = 'x' LIMIT 10"
    assert sqlglot.parse_one(sql, read="athena") == sqlglot.parse_one(expected, read="athena")


@pytest.mark.parametrize(
    "value",
    [
        *(
            "x' OR 1=1 --",
            "'; DROP TABLE t; --",
            "\\",
            "\\'",
            "''",
            '"',
            "/* */",
            "-- x",
            ":rows",
            "$1",
            "?",
            "%s",
            "{}",
        ),
        *("a\nb\r\n\tc", "é\u202e\x1b[31m", "日本", "N'x'", "", " "),
    ],
)
def test_a_hostile_value_is_just_a_string(value: str) -> None:
    assert ask(EMPTY, bind("SELECT :v AS v, '|' AS w", {"v": value}, newest_day="2024-01-01")) == [(value, "|")]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
@settings(max_examples=150, deadline=None)
def test_any_text_comes_back_as_it_was(value: str) -> None:
    assert ask(EMPTY, bind("SELECT :v", {"v": value}, newest_day="2024-01-01")) == [(value,)]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
@settings(max_examples=50, deadline=None)
def test_no_value_changes_the_shape_of_a_query(value: str) -> None:
    plain = sqlglot.parse_one(bind(QUERY, {"name": "x"}, newest_day="2024-01-01"), read="athena")
    bound = sqlglot.parse_one(bind(QUERY, {"name": value}, newest_day="2024-01-01"), read="athena")
    assert [type(node) for node in bound.walk()] == [type(node) for node in plain.walk()]
    assert value in [literal.this for literal in bound.find_all(exp.Literal) if literal.is_string]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"name: a value is needed \(expected a text\)"),
        ({"name": "x", "nmae": "y"}, r"nmae: no such parameter \(who takes since, until, rows, name\)"),
        ({"name": "x", "rows": "ten"}, r"rows: 'ten' is no whole number \(expected a whole number from 0: how many\)"),
        ({"name": "x", "rows": "-1"}, "rows: '-1' is no whole number"),
        ({"name": "x", "rows": "1; DROP TABLE t"}, "rows: .* is no whole number"),
        ({"name": "x", "rows": "1.5"}, "rows: '1.5' is no whole number"),
        ({"name": "x", "rows": "٣"}, "rows: .* is no whole number"),
        ({"name": "x", "rows": str(2**63)}, "rows: .* is no whole number"),
        ({"name": "x", "since": "2024-02-30"}, r"since: '2024-02-30' is no date \(expected YYYY-MM-DD, today, or"),
        ({"name": "x", "since": "20240101"}, "since: '20240101' is no date"),
        ({"name": "x", "since": "2024-1-1"}, "since: '2024-1-1' is no date"),
        ({"name": "x", "since": "yesterday"}, "since: 'yesterday' is no date"),
        ({"name": "x", "since": "2024-03-02", "until": "2024-03-01"}, "since 2024-03-02: is after until 2024-03-01"),
        ({"name": "x", "since": "today", "until": "-1d"}, "since .*: is after until "),
        ({"name": "x", "since": "-999999d"}, "since: '-999999d' is no date"),
        ({"name": "x", "since": "' OR 1=1 --"}, "since: .* is no date"),
        ({"name": "a\0b"}, "name: a NUL or bytes that are not UTF-8"),
        ({"name": "a\udcffb"}, "name: a NUL or bytes that are not UTF-8"),
    ],
)
def test_a_value_that_does_not_fit_is_named(values: dict[str, str], message: str) -> None:
    with pytest.raises(BadParameter, match=f"^{message}") as raised:
        bind(QUERY, values, newest_day="2024-03-05")
    assert "\n" not in str(raised.value)


def test_a_biggest_number_fits() -> None:
    assert str(2**63 - 1) in bind(QUERY, {"name": "x", "rows": str(2**63 - 1)}, newest_day="2024-03-05")


def test_sql_of_the_users_own_takes_parameters_too() -> None:
    assert ask(EMPTY, bind("SELECT :a || :b", {"a": "x", "b": "y"}, newest_day="2024-01-01")) == [("xy",)]
    declared = "-- What?\n-- :n integer = 3\nSELECT :n + 1"
    assert ask(EMPTY, bind(declared, {}, newest_day="2024-01-01")) == [(4,)]
    with pytest.raises(BadParameter, match="a: a value is needed"):
        bind("SELECT :a", {}, newest_day="2024-01-01")
    with pytest.raises(BadParameter, match=r"b: no such parameter \(--sql takes none\)"):
        bind("SELECT 1", {"b": "x"}, newest_day="2024-01-01")
    with pytest.raises(BadParameter, match="a parameter without a name"):
        bind("SELECT ?", {}, newest_day="2024-01-01")


def test_a_colon_in_a_text_or_a_comment_is_no_parameter() -> None:
    sql = "SELECT ':a', '12:30' -- :b"
    assert bind(sql, {}, newest_day="2024-01-01") == sql


def test_sql_without_parameters_stays_as_it_is() -> None:
    sql = 'SELECT  *  FROM "default"."s3accesslog" limit 10;'
    assert bind(sql, {}, newest_day="2024-01-01") == sql


def test_binding_changes_nothing_but_the_parameters() -> None:
    for query in list_queries():
        values = {parameter.name: "7" for parameter in query.parameters if parameter.type != "date"}
        before = sqlglot.parse_one(query.sql, read="athena")
        for node in list(before.find_all(exp.Placeholder)):
            kind = next(parameter.type for parameter in query.parameters if parameter.name == node.this)
            text = {"date": "2024-03-10", "integer": 7, "string": "7"}[kind]
            node.replace(exp.Literal.number(7) if kind == "integer" else exp.Literal.string(str(text)))
        values |= {parameter.name: "2024-03-10" for parameter in query.parameters if parameter.type == "date"}
        after = sqlglot.parse_one(bind(query, values, newest_day="2000-01-01"), read="athena")
        assert after == before, query.name


def test_days_count_back_from_the_newest() -> None:
    assert resolve_day("since", "today", newest_day="2024-03-01") == "2024-03-01"
    assert resolve_day("since", "-1d", newest_day="2024-03-01") == "2024-02-29"
    assert resolve_day("since", "-0d", newest_day="2024-03-01") == "2024-03-01"
    assert resolve_day("since", "2019-01-01", newest_day="2024-03-01") == "2019-01-01"


@pytest.mark.parametrize("sql", ["", "DROP TABLE t", "SELECT 1; SELECT 2", "SELECT (", "SELECT 'open"])
def test_only_one_select_is_bound(sql: str) -> None:
    with pytest.raises(QueryError) as raised:
        bind(sql, {}, newest_day="2024-01-01")
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)


def test_a_shipped_query_says_what_it_needs() -> None:
    with pytest.raises(BadParameter, match=r"^bucket: a value is needed \(expected a text: its bucket\)$"):
        bind(find_query("object_history"), {}, newest_day="2024-01-01")
