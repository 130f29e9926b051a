"""Athena's SQL gives on DuckDB what it gives on Athena, or is refused by name.

The expected values are Trino's, the engine Athena is built from: https://trino.io/docs/current/functions.html
"""

from __future__ import annotations

import datetime as dt
import decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_lake import ask, snapshot_of

from etl.errors import QueryError
from etl.query import connect, run_query, to_duckdb

EMPTY = connect(snapshot_of())
LATE, EARLY = "timestamp '2020-01-01 23:00:00'", "timestamp '2020-01-02 01:00:00'"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        # Numbers
        ("5 / 2", 2),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("1e0 / 4", 0.25),
        ("try(1 / 0)", None),
        ("sum(a) / count(*) FROM (VALUES 5, 2) AS t(a)", 3),
        ("avg(a) FROM (VALUES 1, 2) AS t(a)", 1.5),
        ("round(2.5e0)", 3.0),
        ("cast(1.7 AS decimal)", decimal.Decimal(2)),
        ("try_cast('1.7' AS decimal)", decimal.Decimal(2)),
        ("try_cast('x' AS bigint)", None),
        ("cast('12.345' AS decimal(10, 2))", decimal.Decimal("12.35")),
        ("greatest(1, NULL)", None),
        ("least(2, 1)", 1),
        ("log(2, 8)", 3.0),
        # Counting
        ("count_if(a > 1) FROM (SELECT 1 AS a WHERE false) AS t", 0),
        ("count_if(a > 1) FROM (VALUES 1, 2, NULL) AS t(a)", 1),
        ("count_if(a > 1) OVER () FROM (VALUES 2) AS t(a)", 1),
        ("count(*) FILTER (WHERE a > 1) FROM (VALUES 1, 2) AS t(a)", 1),
        ("max_by(a, b) FROM (VALUES (NULL, 2), ('x', 1)) AS t(a, b)", None),
        ("min_by(a, b) FROM (VALUES (NULL, 1), ('x', 2)) AS t(a, b)", None),
        ("every(a > 1) FROM (VALUES 1, 2) AS t(a)", False),
        ("arbitrary(a) FROM (VALUES 1) AS t(a)", 1),
        ("approx_distinct(a, 0.1) FROM (VALUES 1) AS t(a)", 1),
        # Text
        ("split_part('a/b', '/', 2)", "b"),
        ("split_part('a/b', '/', 3)", None),
        ("element_at(split('a/b', '/'), 3)", None),
        ("split('a/b', '/')[1]", "a"),
        ("array_join(slice(split('a/b/c/d', '/'), 2, 2), '/')", "b/c"),
        ("regexp_extract('abc', 'x')", None),
        ("regexp_extract('abc', '(b)(c)', 2)", "c"),
        ("regexp_replace('a.b', '([ab])', '<$1>')", "<a>.<b>"),
        (r"regexp_replace('ab', 'b', '\$1\\')", "a$1\\"),
        ("regexp_replace('abc', 'b')", "ac"),
        ("regexp_like('abc', 'B')", False),
        ("trim('\t a \n')", "a"),
        ("ltrim('\t a')", "a"),
        ("trim(BOTH 'x' FROM 'xax')", "a"),
        ("cast('abcdef' AS varchar(3))", "abc"),
        ("concat('a', NULL)", None),
        ("url_decode('a+b%20%C3%A9')", "a b é"),
        ("url_encode('a b~*é/')", "a+b%7E*%C3%A9%2F"),
        ("length('日本')", 2),
        ("strpos('abc', 'c')", 3),
        ("substr('abcdef', -2)", "ef"),
        ("starts_with('abc', 'ab')", True),
        ("to_hex(md5(to_utf8('a')))", "0CC175B9C0F1B6A831C399E269772661"),
        ("json_extract_scalar('{\"a\": 1}', '$.a')", "1"),
        ("json_extract_scalar('{\"a\": \"x\"}', '$.a')", "x"),
        ("json_extract_scalar('{\"a\": {}}', '$.a')", None),
        ('json_extract_scalar(\'{"a": {"b c": [5]}}\', \'$.a["b c"][0]\')', "5"),
        ("json_extract_scalar('{}', '$.a')", None),
        # Times
        (f"date_diff('day', {LATE}, {EARLY})", 0),
        (f"date_diff('hour', {LATE}, {EARLY})", 2),
        (f"date_diff('day', {EARLY}, {LATE})", 0),
        ("date_diff('month', date '2020-01-15', date '2020-02-14')", 0),
        ("millisecond(timestamp '2020-01-01 00:00:07.123')", 123),
        ("date_add('month', 1, date '2020-01-31')", dt.date(2020, 2, 29)),
        ("date '2020-01-01' - interval '1' day", dt.date(2019, 12, 31)),
        ("date '2019-12-31' + interval '1' month", dt.date(2020, 1, 31)),
        ("timestamp '2020-01-01 00:00:00' + interval '1' day", dt.datetime(2020, 1, 2)),
        ("cast(date '2020-01-01' - interval '1' day AS varchar)", "2019-12-31"),
        ("cast(date_add('day', 1, date_add('day', 1, date '2020-01-01')) AS varchar)", "2020-01-03"),
        ("date_trunc('month', date '2020-01-05')", dt.date(2020, 1, 1)),
        ("date_trunc('month', date_add('day', 1, date '2020-01-31'))", dt.date(2020, 2, 1)),
        ("date_trunc('hour', timestamp '2020-01-05 04:05:06')", dt.datetime(2020, 1, 5, 4)),
        ("cast(cast('2020-01-01' AS timestamp) AS varchar)", "2020-01-01 00:00:00.000"),
        (
            "cast(max(request_time) AS varchar) FROM (SELECT timestamp '2020-01-01 00:00:01' AS request_time) AS t",
            "2020-01-01 00:00:01.000",
        ),
        ("date_format(timestamp '2020-01-02 15:04:05', '%Y-%m-%d %H:%i:%s')", "2020-01-02 15:04:05"),
        (
            "date_format(timestamp '2020-01-02 15:04:05', '%W %M %e %k %l %p %T %j %b %a %c %h')",
            "Thursday January 2 15 3 PM 15:04:05 002 Jan Thu 1 03",
        ),
        ("date_parse('2020-01-02', '%Y-%m-%d')", dt.datetime(2020, 1, 2)),
        ("day_of_week(date '2020-01-05')", 7),
        ("week(date '2020-01-05')", 1),
        ("date(timestamp '2020-01-05 23:59:59')", dt.date(2020, 1, 5)),
        ("to_unixtime(timestamp '1970-01-02 00:00:00')", 86400.0),
        ("cast(from_unixtime(0) AS timestamp)", dt.datetime(1970, 1, 1)),
    ],
)
def test_an_expression_has_athenas_value(sql: str, expected: object) -> None:
    found = ask(EMPTY, f"SELECT {sql}")[0][0]
    assert (found, type(found)) == (expected, type(expected))


def test_nulls_come_last_in_both_orders() -> None:
    for order, expected in (("ASC", [1, 2, None]), ("DESC", [2, 1, None])):
        rows = ask(EMPTY, f"SELECT a FROM (VALUES NULL, 2, 1) AS t(a) ORDER BY a {order}")
        assert [row[0] for row in rows] == expected


def test_text_is_ordered_by_its_bytes() -> None:
    rows = ask(EMPTY, "SELECT a FROM (VALUES 'b', 'B', 'é', 'z', '𝔸', '～') AS t(a) ORDER BY a")
    assert [row[0] for row in rows] == ["B", "b", "z", "é", "～", "𝔸"]


def test_result_columns_are_named_as_athena_names_them() -> None:
    sql = to_duckdb("SELECT 1, 'x' AS a, count(*), (SELECT 2) FROM (VALUES 1) AS t(b) GROUP BY b")
    assert run_query(EMPTY, sql).schema.names == ["_col0", "a", "_col2", "_col3"]
    assert run_query(EMPTY, to_duckdb("(SELECT 1) UNION ALL SELECT 2")).schema.names == ["_col0"]
    assert run_query(EMPTY, to_duckdb("SELECT t.b FROM (VALUES 1) AS t(b)")).schema.names == ["b"]


def test_a_name_that_duckdb_reserves_is_a_name() -> None:
    assert ask(EMPTY, "SELECT Key, Timestamp FROM default.s3accesslog") == []
    assert ask(EMPTY, "SELECT a.qualify FROM (SELECT 1 AS qualify) AS a") == [(1,)]


@pytest.mark.parametrize(
    ("sql", "construct"),
    [
        ('"$path" FROM access_logs', '"$path"'),
        ("format_datetime(now(), 'yyyy')", "format_datetime"),
        ("parse_datetime('2020', 'yyyy')", "parse_datetime"),
        ("to_iso8601(now())", "to_iso8601"),
        ("at_timezone(now(), 'Asia/Tokyo')", "at_timezone"),
        ("request_time AT TIME ZONE 'Asia/Tokyo' FROM access_logs", "at_timezone"),
        ("with_timezone(request_time, 'UTC') FROM access_logs", "with_timezone"),
        ("from_unixtime(0, 'Asia/Tokyo')", "from_unixtime with a zone"),
        ("format('%s', 1)", "format"),
        ("typeof(1)", "typeof"),
        ("url_extract_path('http://a/b')", "url_extract_path"),
        ("split('a/b', '/', 2)", "split with a limit"),
        ("array_position(ARRAY[1], 2)", "array_position"),
        ("approx_percentile(1, 2, 0.5)", "approx_percentile with a weight"),
        ("max_by(a, b, 2) FROM (VALUES (1, 2)) AS t(a, b)", "max_by of several"),
        ("min_by(a, b, 2) FROM (VALUES (1, 2)) AS t(a, b)", "min_by of several"),
        ("date_format(now(), a) FROM (VALUES '%Y') AS t(a)", "date_format with a computed format"),
        ("date_parse('2020', a) FROM (VALUES '%Y') AS t(a)", "date_parse with a computed format"),
        ("regexp_replace('a', 'a', b) FROM (VALUES 'x') AS t(b)", "regexp_replace with a computed replacement"),
        ("regexp_replace('a', 'a', x -> upper(x[1]))", "regexp_replace with a computed replacement"),
        ("regexp_replace('a', '(?<n>a)', '${n}')", "regexp_replace"),
        ("regexp_replace('a', 'a', '$12')", "regexp_replace"),
        ("slice(ARRAY[1], a, 1) FROM (VALUES 1) AS t(a)", "slice"),
        ("cast('1' AS json)", "CAST(... AS json)"),
        ("substr('abc', 0)", "substr from position 0"),
        ("strpos('abcabc', 'c', 2)", "SQL: STRPOS"),
        ("random(10)", "SQL: RANDOM"),
        ("reduce(ARRAY[1], 0, (s, x) -> s + x, s -> s)", "SQL: "),
        ("entropy(1)", "entropy"),
        ("skewness(1)", "skewness"),
        ("to_base(255, 16)", "to_base"),
        (":x", ":x: the parameter has no value"),
    ],
)
def test_what_would_lie_is_refused_by_name(sql: str, construct: str) -> None:
    with pytest.raises(QueryError) as raised:
        to_duckdb(f"SELECT {sql}")
    assert str(raised.value).startswith(construct)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "SQL: there is none"),
        ("-- nothing", "SQL: there is none"),
        ("DROP TABLE access_logs", "SQL: it starts with 'DROP' (only one SELECT can run here)"),
        ("COPY access_logs TO '/tmp/x'", "SQL: it starts with 'COPY'"),
        ("ATTACH '/tmp/x' AS x", "SQL: it starts with 'ATTACH'"),
        ("SET lock_configuration = false", "SQL: it starts with 'SET'"),
        ("UNLOAD (SELECT 1) TO 's3://x' WITH (format = 'PARQUET')", "SQL: it starts with 'UNLOAD'"),
        ("SELECT 1; DROP TABLE access_logs", "SQL: it is more than one statement"),
        ("SELECT FROM WHERE", "SQL: "),
        ("SELECT 'open", "SQL: "),
        ("SELECT " + "(" * 3000 + "1" + ")" * 3000, "SQL: it is nested too deeply"),
    ],
)
def test_what_is_no_single_select_is_refused_in_one_line(
    sql: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(QueryError) as raised:
        to_duckdb(sql)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")


@given(st.text(max_size=60), st.sampled_from(["{}", "SELECT {}", "SELECT '{}'", "SELECT a FROM t WHERE {}", "WITH {}"]))
@settings(max_examples=150, deadline=None)
def test_any_text_is_translated_or_refused(text: str, frame: str) -> None:
    try:
        assert to_duckdb(frame.replace("{}", text))
    except QueryError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_an_error_of_the_engine_is_one_harmless_line() -> None:
    cases: list[tuple[str, str]] = [
        ("SELECT * FROM nowhere", "Catalog Error: Table with name nowhere does not exist!"),
        ("SELECT nothing FROM access_logs", 'Binder Error: Referenced column "nothing" not found'),
        ("SELECT 1 / 0", "Invalid Input Error: Division by zero"),
        ("SELECT cast(a AS bigint) FROM (VALUES '\x1b[2J\u202e') AS t(a)", r"Conversion Error: .*\\x1b\[2J\\u202e"),
        ("SELECT sum(a) FROM (VALUES 9223372036854775807, 1) AS t(a)", "SQL: Integer value out of bounds"),
    ]
    for sql, message in cases:
        with pytest.raises(QueryError, match=message) as raised:
            ask(EMPTY, sql)
        assert str(raised.value).isprintable()


def test_a_failure_halfway_is_the_same_error() -> None:
    numbers = "UNNEST(sequence(1, 900000)) AS t(b)"
    with pytest.raises(QueryError, match="Conversion Error: Could not convert string 'x'"):
        ask(EMPTY, f"SELECT cast(a AS bigint) FROM (SELECT IF(b = 900000, 'x', '1') AS a FROM {numbers}) AS u")
    rows = run_query(EMPTY, to_duckdb(f"SELECT sum(9223372036854775807) OVER (ORDER BY b) FROM {numbers}"))
    with pytest.raises(QueryError, match="Integer value out of bounds"):
        list(rows)


def test_rows_are_computed_as_they_are_read() -> None:
    numbers = "UNNEST(sequence(1, 1000000))"
    rows = run_query(EMPTY, to_duckdb(f"SELECT a, b FROM {numbers} AS t(a) CROSS JOIN {numbers} AS u(b)"))
    assert rows.read_next_batch().num_rows > 0
    del rows
    assert ask(EMPTY, "SELECT 1") == [(1,)]
