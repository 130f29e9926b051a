"""Parse one SELECT of Athena's dialect, or one condition, or say in one line why it is none."""

from __future__ import annotations

import sqlglot
from sqlglot import TokenType, exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import ParseError, SqlglotError

from etl.errors import QueryError

_STARTS = {TokenType.SELECT, TokenType.WITH, TokenType.VALUES, TokenType.L_PAREN}
_ONLY_SELECT = "only one SELECT can run here"
NESTED_TOO_DEEPLY = "it is nested too deeply"


def parse_select(sql: str) -> exp.Expr:
    """The syntax tree of one SELECT (or WITH, VALUES); raises `QueryError` for anything else.

    A lake is read-only to whoever queries it: what writes, attaches, sets or loads is refused before an engine sees it.
    """
    try:
        tokens = Trino().tokenize(sql)
        if not tokens:
            raise QueryError("SQL", "there is none")
        if tokens[0].token_type not in _STARTS:
            raise QueryError("SQL", f"it starts with {tokens[0].text[:20]!r}", hint=_ONLY_SELECT)
        trees = [tree for tree in sqlglot.parse(sql, read="athena") if tree is not None]
    except ParseError as error:
        raise QueryError("SQL", _describe(error)) from None
    except SqlglotError as error:
        raise QueryError("SQL", str(error).partition("\n")[0]) from None
    except RecursionError:
        raise QueryError("SQL", NESTED_TOO_DEEPLY) from None
    if len(trees) != 1 or not isinstance(trees[0], (exp.Query, exp.Values)):
        raise QueryError(
            "SQL",
            "it is more than one statement" if len(trees) > 1 else "no SELECT",
            hint=_ONLY_SELECT,
        )
    tree = trees[0]
    writes = tree.find(exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Command, exp.Into)
    if writes is not None:
        raise QueryError("SQL", f"it holds {type(writes).__name__.upper()}", hint=_ONLY_SELECT)
    return tree


def parse_condition(sql: str) -> exp.Expr:
    """The syntax tree of one condition over a row's columns; raises `QueryError` for anything else.

    It is parsed by itself and never pasted into a statement, so it cannot end one, begin another or comment out the rest. A
    subquery is refused: it would see more than the row.
    """
    try:
        trees = [tree for tree in Trino().parse_into(exp.Condition, sql) if tree is not None]
        found = trees[0].find(exp.Query) if trees else None
    except ParseError as error:
        raise QueryError("condition", _describe(error)) from None
    except SqlglotError as error:
        raise QueryError("condition", str(error).partition("\n")[0]) from None
    except RecursionError:
        raise QueryError("condition", NESTED_TOO_DEEPLY) from None
    if len(trees) != 1:
        raise QueryError("condition", "it is more than one" if trees else "there is none")
    if found is not None or isinstance(trees[0], exp.Star):
        raise QueryError("condition", "it holds more than columns, literals and functions")
    return trees[0]


def _describe(error: ParseError) -> str:
    # The message itself underlines with terminal escapes.
    if not error.errors:
        return "it cannot be parsed"
    first = error.errors[0]
    near = str(first.get("highlight") or "")[:40]
    place = f" at line {first.get('line')}, column {first.get('col')}" if first.get("line") else ""
    return f"{first.get('description')}{place}" + (f", near {near!r}" if near else "")
