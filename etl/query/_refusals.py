"""What Athena's SQL can say and DuckDB would answer wrongly, or only with an unhelpful error.

Facts about Athena's side are Trino's (https://trino.io/docs/current/functions.html); each was compared with what DuckDB
gives after translation. What can be translated is in `_dialect`.
"""

from __future__ import annotations

from sqlglot import exp

from etl.errors import QueryError

_JODA = "use date_format and date_parse, whose formats are %Y-%m-%d"
_ZONES = "every time in the lake is UTC; shift it with date_add"
_URL = "use regexp_extract"

REFUSED_FUNCTIONS: dict[str, str] = {
    "array_position": "use contains",
    "at_timezone": _ZONES,
    "current_timezone": _ZONES,
    "entropy": "it takes counts in Athena, values in DuckDB",
    "format": "use concat or ||",
    "format_datetime": _JODA,
    "kurtosis": "the engines use different estimators",
    "parse_datetime": _JODA,
    "parse_duration": "compute with milliseconds",
    "skewness": "the engines use different estimators",
    "to_base": "the engines disagree on upper and lower case",
    "to_iso8601": "use date_format",
    "typeof": "the engines name their types differently",
    "url_extract_fragment": _URL,
    "url_extract_host": _URL,
    "url_extract_parameter": _URL,
    "url_extract_path": _URL,
    "url_extract_port": _URL,
    "url_extract_protocol": _URL,
    "url_extract_query": _URL,
    "with_timezone": _ZONES,
}
"""Functions by Athena's name: what to do instead, or why the engines disagree."""

_REFUSED_NODES: dict[type[exp.Expr], str] = {
    exp.ArrayPosition: "array_position",
    exp.AtTimeZone: "at_timezone",
    exp.CurrentTimezone: "current_timezone",
    exp.Format: "format",
    exp.Kurtosis: "kurtosis",
    exp.ParseDatetime: "parse_datetime",
    exp.Skewness: "skewness",
    exp.Typeof: "typeof",
}

_REFUSED_ARGUMENTS: tuple[tuple[type[exp.Expr], str, str, str], ...] = (
    (
        exp.ApproxQuantile,
        "weight",
        "approx_percentile with a weight",
        "leave the weight out",
    ),
    (exp.ArgMax, "count", "max_by of several", "use row_number"),
    (exp.ArgMin, "count", "min_by of several", "use row_number"),
    (exp.Split, "limit", "split with a limit", "leave the limit out"),
    (exp.UnixToTime, "zone", "from_unixtime with a zone", _ZONES),
)

_TEXT_LITERAL_NEEDED: tuple[tuple[type[exp.Expr], str, str], ...] = (
    (exp.TimeToStr, "format", "date_format with a computed format"),
    (exp.StrToTime, "format", "date_parse with a computed format"),
    (exp.RegexpReplace, "replacement", "regexp_replace with a computed replacement"),
)


def refuse_unsafe(node: exp.Expr) -> None:
    """Raise `QueryError` naming the construct if DuckDB would not answer it as Athena does."""
    if isinstance(node, exp.Placeholder):
        raise QueryError(f":{node.name}", "the parameter has no value")
    if isinstance(node, exp.Column) and node.name.startswith("$"):
        raise _refusal(f'"{node.name}"', "source_key names the log object, line_no the line in it")
    name = _REFUSED_NODES.get(type(node)) or (node.name.lower() if isinstance(node, exp.Anonymous) else "")
    if name in REFUSED_FUNCTIONS:
        raise _refusal(name, REFUSED_FUNCTIONS[name])
    for kind, argument, construct, hint in _REFUSED_ARGUMENTS:
        if isinstance(node, kind) and node.args.get(argument) is not None:
            raise _refusal(construct, hint)
    for kind, argument, construct in _TEXT_LITERAL_NEEDED:
        value = node.args.get(argument) if isinstance(node, kind) else None
        if value is not None and not (isinstance(value, exp.Literal) and value.is_string):
            raise _refusal(construct, "write it as a text literal")
    if isinstance(node, exp.Cast) and node.to.is_type(exp.DataType.Type.JSON):
        raise _refusal("CAST(... AS json)", "use json_parse")
    if (
        isinstance(node, exp.Substring)
        and isinstance(start := node.args.get("start"), exp.Literal)
        and start.this == "0"
    ):
        raise _refusal("substr from position 0", "positions count from 1")


def _refusal(construct: str, hint: str) -> QueryError:
    return QueryError(construct, "Athena and DuckDB would not give the same result here", hint=hint)
