"""Put values in the place of a query's parameters."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping

from sqlglot import exp

from etl.errors import BadParameter
from etl.query._catalog import Parameter, ParameterType, Query, read_query
from etl.query._syntax import parse_select

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAYS_BACK = re.compile(r"-([0-9]{1,6})d")
_BIGGEST = 2**63 - 1


def bind(query: Query | str, values: Mapping[str, str], *, newest_day: str) -> str:
    """The query's Athena SQL with every `:name` replaced by its value, or else by its default.

    A value becomes a literal of the parsed statement and never text pasted into it, so whatever it holds stays data.
    SQL given as a string may declare parameters in a header of its own; those it does not declare are strings.

    `newest_day` (`YYYY-MM-DD`) is what `today` and `-30d` count from: today on Athena, and in a folder of old logs
    their newest day, so that a query with its defaults shows something. Raises `BadParameter` for a value that does
    not fit its type, a missing one, or an unknown name; `QueryError` if the SQL is no single SELECT.
    """
    if isinstance(query, str):
        query = read_query("--sql", query)
    declared = {parameter.name: parameter for parameter in query.parameters}
    tree = parse_select(query.sql)
    used = [_placeholder_name(node) for node in tree.find_all(exp.Placeholder)]
    known = declared | {name: Parameter(name, "string", None, "") for name in used if name not in declared}
    for name in values:
        if name not in known:
            takes = f"{query.name} takes {', '.join(known)}" if known else f"{query.name} takes none"
            raise BadParameter(name, "no such parameter", hint=takes)
    if not used:
        return query.sql
    literals = {
        name: _literal(parameter, values.get(name, parameter.default), newest_day)
        for name, parameter in known.items()
        if name in used or name in values
    }

    if {"since", "until"} <= {*values} & {*declared} and all(
        declared[day].type == "date" for day in ("since", "until")
    ):
        check_order(literals["since"].name, literals["until"].name, dashes="")

    def replace(node: exp.Expr) -> exp.Expr:
        return literals[_placeholder_name(node)].copy() if isinstance(node, exp.Placeholder) else node

    return tree.transform(replace).sql(dialect="athena", comments=False, pretty=True)


def resolve_day(name: str, text: str, *, newest_day: str) -> str:
    """`YYYY-MM-DD`, `today` or `-30d` as `YYYY-MM-DD`; `name` is what an error calls the value.

    Raises `BadParameter` for anything else, a day that is none (`2024-02-30`) included.
    """
    expected = BadParameter(
        name,
        f"{text!r} is no date",
        hint="expected YYYY-MM-DD, today, or days back such as -30d",
    )
    back = _DAYS_BACK.fullmatch(text)
    try:
        if back is not None:
            return (dt.date.fromisoformat(newest_day) - dt.timedelta(days=int(back[1]))).isoformat()
        if text == "today":
            return dt.date.fromisoformat(newest_day).isoformat()
        if _DAY.fullmatch(text):
            return dt.date.fromisoformat(text).isoformat()
    except (ValueError, OverflowError):
        raise expected from None
    raise expected


def resolve_days(since: str | None, until: str | None, *, newest_day: str) -> tuple[str | None, str | None]:
    """The first and the last day as `YYYY-MM-DD`, None where none is given. Raises `BadParameter` as for --since and --until."""
    first = None if since is None else resolve_day("--since", since, newest_day=newest_day)
    last = None if until is None else resolve_day("--until", until, newest_day=newest_day)
    check_order(first, last)
    return first, last


def check_order(first: str | None, last: str | None, *, dashes: str = "--") -> None:
    """Raise `BadParameter` if the first day comes after the last: no row can be between, and silence would read as peace."""
    if first is not None and last is not None and first > last:
        raise BadParameter(f"{dashes}since {first}", f"is after {dashes}until {last}", hint="no day lies between them")


def history_start(first: str) -> str:
    """The first day to look at for what was before the day `first`: a year earlier."""
    try:
        return (dt.date.fromisoformat(first) - dt.timedelta(days=365)).isoformat()
    except OverflowError:
        return first


def _placeholder_name(node: exp.Placeholder) -> str:
    if not isinstance(node.this, str):
        raise BadParameter("?", "a parameter without a name", hint="write :name")
    return node.this


def _literal(parameter: Parameter, text: str | None, newest_day: str) -> exp.Expr:
    if text is None:
        raise BadParameter(parameter.name, "a value is needed", hint=_expectation(parameter))
    return _LITERALS[parameter.type](parameter, text, newest_day)


def _date(parameter: Parameter, text: str, newest_day: str) -> exp.Expr:
    # A string, because event_date is one: Athena prunes by string partition keys.
    return exp.Literal.string(resolve_day(parameter.name, text, newest_day=newest_day))


def _integer(parameter: Parameter, text: str, _: str) -> exp.Expr:
    # All of them are counts, so a sign is a mistake.
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > _BIGGEST:
        raise BadParameter(parameter.name, f"{text!r} is no whole number", hint=_expectation(parameter))
    return exp.Literal.number(int(text))


def _string(parameter: Parameter, text: str, _: str) -> exp.Expr:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise BadParameter(
            parameter.name,
            "a NUL or bytes that are not UTF-8",
            hint="no log field holds them",
        )
    return exp.Literal.string(text)


_LITERALS: dict[ParameterType, Callable[[Parameter, str, str], exp.Expr]] = {
    "date": _date,
    "integer": _integer,
    "string": _string,
}


def _expectation(parameter: Parameter) -> str:
    kind = {
        "date": "a date, YYYY-MM-DD",
        "integer": "a whole number from 0",
        "string": "a text",
    }[parameter.type]
    return f"expected {kind}" + (f": {parameter.description}" if parameter.description else "")
