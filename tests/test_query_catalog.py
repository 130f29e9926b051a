"""The SQL files: their headers, their page, and that they keep to the SQL both engines read the same way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from etl.errors import QueryError, UnknownQuery
from etl.query import Parameter, Query, _catalog, bind, docs_queries, find_query, list_queries
from etl.query._catalog import read_query

ROOT = Path(__file__).parents[1]
QUERIES = [pytest.param(query, id=query.name) for query in list_queries()]
NEEDED = {"object_history": {"bucket": "b", "key": "k"}}

SAFE = (
    *(exp.Select, exp.With, exp.CTE, exp.From, exp.Where, exp.Group, exp.Order, exp.Ordered, exp.Limit, exp.Subquery),
    *(exp.Table, exp.TableAlias, exp.Column, exp.Star, exp.Identifier, exp.Alias, exp.Literal, exp.Paren, exp.Tuple),
    *(exp.And, exp.Or, exp.Not, exp.Is, exp.Null, exp.In, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Neg),
    *(exp.Mul, exp.DPipe, exp.Cast, exp.DataType, exp.Coalesce, exp.Upper, exp.StartsWith, exp.RegexpLike),
    *(exp.RegexpExtract, exp.Count, exp.Distinct, exp.Sum, exp.Min, exp.Max, exp.Filter, exp.Window),
    *(exp.Least, exp.Localtimestamp, exp.DateAdd, exp.Var, exp.TimeToStr, exp.RowNumber, exp.Case, exp.If),
)
"""What a shipped query may use: measured to mean the same in Athena and, translated, in DuckDB.

Not in it: division (integers, decimals), averages, approximations, whatever has a time zone, and all that is refused.
"""


@pytest.mark.parametrize("query", QUERIES)
def test_a_shipped_query_uses_only_what_is_safe(query: Query) -> None:
    tree = sqlglot.parse_one(_bound(query), read="athena")
    unsafe = {type(node).__name__ for node in tree.walk() if not isinstance(node, SAFE)}
    assert unsafe == set()
    casts = {cast.to.this for cast in tree.find_all(exp.Cast)}
    # Of digits, or of a whole number.
    assert casts <= {exp.DataType.Type.VARCHAR, exp.DataType.Type.TIMESTAMP, exp.DataType.Type.BIGINT}


def test_the_lint_finds_what_is_unsafe() -> None:
    for sql in ("SELECT 5 / 2", "SELECT now()", "SELECT avg(a)", 'SELECT "$path" || try(1)', "SELECT typeof(1)"):
        assert any(not isinstance(node, SAFE) for node in sqlglot.parse_one(sql, read="athena").walk()), sql


@pytest.mark.parametrize("query", QUERIES)
def test_every_read_of_the_logs_is_limited_to_days(query: Query) -> None:
    tree = sqlglot.parse_one(_bound(query), read="athena")
    reads = [table.find_ancestor(exp.Select) for table in tree.find_all(exp.Table) if table.name == "access_logs"]
    assert reads
    for select in reads:
        assert select is not None
        where = select.args["where"].this
        limits = {
            type(condition)
            for condition in where.flatten()
            if isinstance(condition, (exp.GTE, exp.LTE)) and condition.this.name == "event_date"
            # Not compared with a column: an engine can tell the partitions before it reads any.
            if condition.expression.find(exp.Column, exp.Select) is None
        }
        assert limits == {exp.GTE, exp.LTE}


@pytest.mark.parametrize("query", QUERIES)
def test_a_shipped_query_leaves_no_two_rows_in_doubt(query: Query) -> None:
    tree = sqlglot.parse_one(_bound(query), read="athena")
    order = [ordered.this.sql() for ordered in tree.args["order"].expressions]
    if tree.args.get("group") is None:
        assert order[-2:] == ["source_key", "line_no"]
        return
    shown = {column.unalias().sql(): column.alias_or_name for column in tree.expressions}
    groups = {shown[key.sql()] for key in tree.args["group"].expressions}
    # The two about SigV2 show nothing else.
    assert groups - set(order) <= {"signature_version"}


@pytest.mark.parametrize("query", QUERIES)
def test_a_file_says_its_question_and_all_of_its_parameters(query: Query) -> None:
    assert re.fullmatch(r"[A-Z][^?]*\?", query.question)
    code = re.sub(r"'[^']*'", "''", query.sql)
    assert set(re.findall(r":([a-z_]+)\b", code)) == {parameter.name for parameter in query.parameters}
    assert all(parameter.description for parameter in query.parameters)


def test_the_page_is_the_one_the_files_give() -> None:
    page = ROOT / "docs" / "queries.md"
    assert page.read_text(encoding="utf-8") == docs_queries(), "write docs_queries() to docs/queries.md"


def test_the_page_has_a_section_for_each_file() -> None:
    sections = re.findall(r"^## (.*)$", docs_queries(), re.MULTILINE)
    assert sections == [query.name for query in list_queries()]
    assert "| `key` | string | required | its key, decoded |" in docs_queries()
    assert "| `prefix` | string | empty |" in docs_queries()


def test_an_unknown_name_brings_the_nearest_ones() -> None:
    with pytest.raises(UnknownQuery, match=r"top-requester: no query of that name \(did you mean top_requesters"):
        find_query("top-requester")
    with pytest.raises(UnknownQuery, match="there are acl_dependent_requests, "):
        find_query("zzzz")
    assert find_query("top_requesters").name == "top_requesters"


def test_detections_are_listed_under_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "detections").mkdir()
    (tmp_path / "detections" / "sigv2.sql").write_text("-- Who?\nSELECT 1\n")
    (tmp_path / "b.sql").write_text("-- What?\nSELECT 2")
    monkeypatch.setattr(_catalog, "sql_folder", lambda: tmp_path)
    assert [(query.name, query.question) for query in list_queries()] == [("b", "What?"), ("detections/sigv2", "Who?")]
    assert find_query("detections/sigv2").sql == "SELECT 1"


def test_a_header_is_read() -> None:
    text = """
-- Who did it?
-- :since date = -7d  first day
-- :bucket string
-- :text string = 'it''s  here'  a text: with two  spaces
-- :rows integer = 10
-- A note,
--
-- in two lines.
SELECT 1 -- :not_a_parameter
"""
    assert read_query("q", text) == Query(
        name="q",
        question="Who did it?",
        parameters=(
            Parameter("since", "date", "-7d", "first day"),
            Parameter("bucket", "string", None, ""),
            Parameter("text", "string", "it's  here", "a text: with two  spaces"),
            Parameter("rows", "integer", "10", ""),
        ),
        sql="SELECT 1 -- :not_a_parameter",
        notes="A note, in two lines.",
    )


@pytest.mark.parametrize("line", ["-- :x", "-- :x float", "-- :x date -7d", "-- :X date", "-- :x string = 'open"])
def test_a_parameter_line_that_cannot_be_read_is_an_error(line: str) -> None:
    with pytest.raises(QueryError, match="cannot read the parameter line"):
        read_query("q", f"-- Who?\n{line}\nSELECT 1")


def _bound(query: Query) -> str:
    return bind(query, NEEDED.get(query.name, {}), newest_day="2024-03-10")
