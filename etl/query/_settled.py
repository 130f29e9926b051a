"""What a row of a query says of all the requests that it counts, and not only of the first of them. Pure.

A row that stands for a group shows columns of the group's first line beside the number of all of its lines. Which of them are
those of every line, only the SQL knows: so it is read from there, from whatever counts `requests`, and written down nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlglot import exp

from etl.query._catalog import Query
from etl.query._syntax import parse_select

_COUNT = "requests"


def settled_columns(query: Query) -> frozenset[str]:
    """The columns that have one value for all requests of a row: those it is grouped by, and those that a condition pins.

    The group is what `requests` is counted over, by a window or by GROUP BY. Where the SQL does not show plainly what makes a
    group, no column counts: rather too little is said of a group than what is true of one line only.
    """
    tree = parse_select(query.sql)
    if not isinstance(tree, exp.Select) or tree.find(exp.SetOperation, exp.Join, exp.Subquery, exp.Exists):
        return frozenset()
    steps = [*(each.this for each in tree.ctes), tree]
    counting = [at for at, step in enumerate(steps) if _COUNT in _made(step)]
    if len(counting) != 1:
        return frozenset()
    (place,) = counting
    before, after = steps[: place + 1], steps[place + 1 :]
    # A condition that comes after the count is about the line that is shown.
    pinned = {column for step in before for column in _pinned(step)} - _made(*before)
    return frozenset((_grouped(steps[place]) | pinned) - _made(*after))


def _made(*steps: exp.Select) -> set[str]:
    """Names that a SELECT gives to something else than the column of that name."""
    return {each.alias_or_name for step in steps for each in step.selects if not isinstance(each, exp.Column)}


def _grouped(step: exp.Select) -> set[str]:
    """The columns of the group that `requests` is counted over."""
    counted = next(each for each in step.selects if each.alias_or_name == _COUNT)
    window, group = counted.find(exp.Window), step.args.get("group")
    if window is not None:
        return _names(window.args.get("partition_by") or ())
    return _names(group.expressions) if group is not None else set()


def _names(parts: Iterable[exp.Expr]) -> set[str]:
    return {part.name for part in parts if isinstance(part, exp.Column)}


def _pinned(step: exp.Select) -> set[str]:
    """Columns that a condition on all rows makes null, or equal to a literal."""
    where = step.args.get("where")
    return _names(part.this for part in _conjuncts(where.this) if _is_pin(part)) if where is not None else set()


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(condition, (exp.And, exp.Paren)):
        for side in condition.iter_expressions():
            yield from _conjuncts(side)
    else:
        yield condition


def _is_pin(condition: exp.Expr) -> bool:
    if isinstance(condition, exp.Is):
        return isinstance(condition.expression, exp.Null)
    return isinstance(condition, exp.EQ) and isinstance(condition.expression, exp.Literal)
