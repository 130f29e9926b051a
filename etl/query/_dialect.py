"""Athena's SQL as DuckDB's, with the same answers.

sqlglot translates names and syntax. Where it keeps a name whose meaning differs between the engines (a pattern that
does not match, days between two times, a date plus an interval), the tree is changed here first; where no translation
is right, `_refusals` says so. Two differences are settings of the connection instead: `5 / 2` is 2, and times are UTC.

Known to remain, because the tree does not show types: dividing decimals gives DuckDB's double where Athena rounds to
the operands' digits (`100.0 * a / b`), a double cast to an integer rounds halves to even, and a double cast to text is
written differently. Shipped queries use none of these; cast to `double` and use `round` in others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from sqlglot import exp
from sqlglot.errors import ErrorLevel, UnsupportedError

from etl.errors import QueryError
from etl.query._refusals import refuse_unsafe
from etl.query._syntax import NESTED_TOO_DEEPLY, parse_select

_TIMESTAMP_COLUMNS = {"request_time", "timestamp"}
_WHITE_SPACE = " \t\n\r\x0b\x0c"
_MILLISECONDS = "%Y-%m-%d %H:%M:%S.%g"


def to_duckdb(sql: str) -> str:
    """One SELECT of Athena's dialect as DuckDB's SQL; raises `QueryError` naming what cannot be answered the same."""
    tree = parse_select(sql)
    # Children first: a translation looks at what its operands have become.
    for node in reversed(list(tree.dfs())):
        refuse_unsafe(node)
        rewrite = _REWRITES.get(type(node))
        replacement = rewrite(node) if rewrite is not None else node
        if replacement is not node:
            node.replace(replacement)
    _name_columns(tree)
    try:
        return tree.sql(dialect="duckdb", comments=False, unsupported_level=ErrorLevel.RAISE)
    except UnsupportedError as error:
        raise QueryError("SQL", str(error).partition("\n")[0], hint="Athena can, DuckDB cannot") from None
    except RecursionError:
        raise QueryError("SQL", NESTED_TOO_DEEPLY) from None


def _name_columns(tree: exp.Expr) -> None:
    # A result column that is an expression without an alias is _col0, _col1 ... in Athena, by its place.
    while isinstance(tree, (exp.SetOperation, exp.Subquery)):
        tree = tree.this
    if isinstance(tree, exp.Select):
        for place, column in enumerate(tree.expressions):
            if not isinstance(column, (exp.Alias, exp.Column, exp.Dot, exp.Star)):
                column.replace(exp.alias_(column.copy(), f"_col{place}"))


def _call(name: str, *arguments: exp.Expr | None) -> exp.Expr:
    return exp.Anonymous(
        this=name,
        expressions=[argument for argument in arguments if argument is not None],
    )


def _text(value: str) -> exp.Expr:
    return exp.Literal.string(value)


def _case(condition: exp.Expr, result: exp.Expr) -> exp.Expr:
    return exp.Case(ifs=[exp.If(this=condition, true=result)])


def _count_if(node: exp.Expr) -> exp.Expr:
    # DuckDB's is NULL over no rows.
    return exp.Count(this=_case(node.this, exp.Literal.number(1)), big_int=True)


def _max_by(node: exp.Expr) -> exp.Expr:
    # arg_max skips rows whose value is NULL, max_by does not.
    name = "arg_max_null" if isinstance(node, exp.ArgMax) else "arg_min_null"
    return _call(name, node.this, node.expression)


def _split_part(node: exp.Expr) -> exp.Expr:
    # NULL past the last part, where DuckDB's split_part gives ''.
    return _call(
        "list_extract",
        _call("str_split", node.this, node.args["delimiter"]),
        node.args["part_index"],
    )


def _regexp_extract(node: exp.Expr) -> exp.Expr:
    # NULL where nothing matches, where DuckDB gives ''.
    matches = _call("regexp_matches", node.this.copy(), node.expression.copy())
    return _case(
        matches,
        _call("regexp_extract", node.this, node.expression, node.args.get("group")),
    )


def _regexp_replace(node: exp.Expr) -> exp.Expr:
    replacement = node.args.get("replacement")
    if replacement is not None:
        replacement.replace(_text(_replacement(str(replacement.this))))
    return node


def _replacement(java: str) -> str:
    def part(match: re.Match[str]) -> str:
        token = match[0]
        if token.startswith("\\") and len(token) == 2:
            return "\\\\" if token[1] == "\\" else token[1]
        if token.startswith("$") and len(token) == 2:
            return "\\" + token[1]
        raise QueryError(
            "regexp_replace",
            f"cannot translate {token!r} in the replacement",
            hint="$1 to $9 can be used",
        )

    return re.sub(r"\\.?|\$[0-9](?![0-9])|\$", part, java, flags=re.DOTALL)


def _date_diff(node: exp.Expr) -> exp.Expr:
    # Whole units that have passed; DuckDB's date_diff counts the midnights (or hours ...) between.
    return _call("date_sub", _text(node.args["unit"].name.lower()), node.expression, node.this)


def _slice(node: exp.Expr) -> exp.Expr:
    # (array, start, length); DuckDB wants the last position.
    start, length = node.args["start"], node.args["end"]
    if not isinstance(start, exp.Literal):
        raise QueryError("slice", "only a positive literal start can be translated")
    length.replace(
        exp.Sub(
            this=exp.Add(this=start.copy(), expression=length.copy()),
            expression=exp.Literal.number(1),
        )
    )
    return node


def _json_extract_scalar(node: exp.Expr) -> exp.Expr:
    # NULL for an object or an array, where DuckDB gives its text.
    kind = _call("json_type", node.this.copy(), node.expression.copy())
    return _case(exp.Not(this=exp.In(this=kind, expressions=[_text("OBJECT"), _text("ARRAY")])), node.copy())


def _approx_distinct(node: exp.Expr) -> exp.Expr:
    node.set("accuracy", None)
    return node


def _trim(node: exp.Expr) -> exp.Expr:
    # DuckDB takes off spaces only.
    if node.args.get("expression") is None:
        node.set("expression", _text(_WHITE_SPACE))
    return node


def _cast(node: exp.Expr) -> exp.Expr:
    to: exp.DataType = node.args["to"]
    if to.is_type(exp.DataType.Type.DECIMAL) and not to.expressions:
        # decimal alone is decimal(38, 0) in Athena, decimal(18, 3) in DuckDB.
        to.set(
            "expressions",
            [exp.DataTypeParam(this=exp.Literal.number(digits)) for digits in (38, 0)],
        )
    if not to.is_type(exp.DataType.Type.VARCHAR):
        return node
    if to.expressions:
        # DuckDB ignores the length, Athena cuts.
        return _call(
            "left",
            exp.Cast(this=node.this, to=exp.DataType.build("varchar")),
            to.expressions[0].this,
        )
    return _call("strftime", node.this, _text(_MILLISECONDS)) if _kind(node.this) == "timestamp" else node


def _stay_date(node: exp.Expr) -> exp.Expr:
    # A date plus an interval, or truncated, is a date; DuckDB makes it a timestamp.
    operand = node.this
    if isinstance(node, (exp.Add, exp.Sub)) and not isinstance(node.expression, exp.Interval):
        return node
    if _kind(operand) != "date":
        return node
    return exp.Cast(this=exp.Paren(this=node.copy()), to=exp.DataType.build("date"))


def _function(node: exp.Expr) -> exp.Expr:
    arguments = node.expressions
    match node.name.lower(), len(arguments):
        case "every", 1:
            return _call("bool_and", arguments[0])
        case "millisecond", 1:
            # DuckDB counts from the minute, not from the second.
            return exp.Mod(this=_call("millisecond", arguments[0]), expression=exp.Literal.number(1000))
        case "url_decode", 1:
            return _call("url_decode", _call("replace", arguments[0], _text("+"), _text(" ")))
        case "url_encode", 1:
            encoded = _call("url_encode", arguments[0])
            for theirs, ours in (("%20", "+"), ("~", "%7E"), ("%2A", "*")):
                encoded = _call("replace", encoded, _text(theirs), _text(ours))
            return encoded
        case _:
            return node


def _kind(node: exp.Expr | None) -> Literal["date", "timestamp"] | None:
    """DATE or TIMESTAMP where the tree alone shows it, None where it does not."""
    match node:
        case exp.CurrentDate() | exp.Date() | exp.FromISO8601Date():
            return "date"
        case exp.Localtimestamp() | exp.StrToTime():
            return "timestamp"
        case exp.Cast():
            plain = not node.to.expressions
            if node.to.is_type(exp.DataType.Type.DATE):
                return "date"
            return "timestamp" if plain and node.to.is_type(exp.DataType.Type.TIMESTAMP) else None
        case exp.Column():
            return "timestamp" if node.name.lower() in _TIMESTAMP_COLUMNS else None
        case exp.Paren() | exp.Min() | exp.Max() | exp.AnyValue() | exp.Coalesce():
            return _kind(node.this)
        case exp.DateAdd() | exp.DateTrunc() | exp.TimestampTrunc():
            return _kind(node.this)
        case exp.Add() | exp.Sub() if isinstance(node.expression, exp.Interval):
            return _kind(node.this)
        case _:
            return None


_REWRITES: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Add: _stay_date,
    exp.Anonymous: _function,
    exp.ApproxDistinct: _approx_distinct,
    exp.ArgMax: _max_by,
    exp.ArgMin: _max_by,
    exp.ArraySlice: _slice,
    exp.Cast: _cast,
    exp.CountIf: _count_if,
    exp.DateAdd: _stay_date,
    exp.DateDiff: _date_diff,
    exp.DateTrunc: _stay_date,
    exp.JSONExtractScalar: _json_extract_scalar,
    exp.RegexpExtract: _regexp_extract,
    exp.RegexpReplace: _regexp_replace,
    exp.SplitPart: _split_part,
    exp.Sub: _stay_date,
    exp.TimestampTrunc: _stay_date,
    exp.Trim: _trim,
    exp.TryCast: _cast,
}
