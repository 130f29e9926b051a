"""How many bytes of a lake's files a query must read, from their footers alone, and what Athena asks for that.

An upper bound that is close: a file is left out by the event day in its path, a row group by the smallest and largest value and
the number of nulls of a column, and of the rest the columns count that the query names. Only conditions that hold a bare column
against constants count, since every engine can use those; pages, dictionaries and footers are left aside.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from sqlglot import exp
from sqlglot.optimizer.simplify import simplify

from etl.cost import PRICES
from etl.query._bind import bind
from etl.query._syntax import parse_select
from etl.schema import BATCH_ID, EVENT_DATE, FIELDS

if TYPE_CHECKING:
    import pyarrow.parquet as pq

    from etl.query._catalog import Query

_NAMES: Final = frozenset(field.name for field in FIELDS)
_DERIVED: Final = {
    "object_key": {"key_name", "operation", "raw_line"},
    EVENT_DATE.name: {"request_time"},
}
"""What the view makes these of in a raw row."""
_UNKNOWN: Final = {"string": "\u2063any\u2063", "integer": str(2**62)}
"""In the place of a parameter that must be given: what is compared with it may hold for any row."""
_COMPARISONS: Final[dict[type[exp.Expr], Callable[[Any, Any, Any], bool]]] = {
    exp.EQ: lambda low, high, value: bool(low <= value <= high),
    exp.GT: lambda _, high, value: bool(operator.gt(high, value)),
    exp.GTE: lambda _, high, value: bool(operator.ge(high, value)),
    exp.LT: lambda low, _, value: bool(operator.lt(low, value)),
    exp.LTE: lambda low, _, value: bool(operator.le(low, value)),
}
_MB: Final = 1_000_000
_LEAST_MB: Final = 10
"""Athena counts whole megabytes, and ten at least (https://aws.amazon.com/athena/pricing/)."""
_USD_A_BYTE: Final = next(price.usd for price in PRICES if price.name == "Athena") / 1e12


@dataclass(frozen=True)
class ScannedFile:
    """A data file of the lake: its event day (`YYYY-MM-DD`), or None of a raw one, which may hold any; and its footer."""

    event_day: str | None
    footer: pq.FileMetaData


@dataclass(frozen=True)
class _Values:
    """What is known of a column in a row group; `low` is None if its values are not."""

    low: Any
    high: Any
    nulls: int | None
    count: int


def scanned_bytes(query: Query, files: Iterable[ScannedFile], *, newest_day: str) -> int:
    """Bytes of column chunks that the query must read with its defaults, at most; `newest_day` is what they count from.

    A parameter without a default is taken to be any value. Raises `BadParameter` and `QueryError` as `bind` does.
    """
    wanted, selects = _plan(query, newest_day)
    return sum(_chunk_bytes(file, wanted, conditions) for file in files for conditions in selects)


@lru_cache(maxsize=256)
def _plan(query: Query, newest_day: str) -> tuple[frozenset[str], tuple[tuple[exp.Expr, ...], ...]]:
    """The columns that a query names, and the conditions of each part of it that reads the lake's rows."""
    required = {each.name: _UNKNOWN.get(each.type, newest_day) for each in query.parameters if each.default is None}
    tree = parse_select(bind(query, required, newest_day=newest_day))
    return _named_columns(tree), tuple(_conditions(each) for each in tree.find_all(exp.Select) if _reads_lake(each))


def athena_usd(scanned: int) -> float:
    """List price in USD of a query that reads so many bytes."""
    return max(-(-scanned // _MB), _LEAST_MB) * _MB * _USD_A_BYTE


def _named_columns(tree: exp.Expr) -> frozenset[str]:
    if any(isinstance(star.parent, exp.Select) for star in tree.find_all(exp.Star)):
        return _NAMES | {BATCH_ID.name}
    # The view compares batch_id with the last committed batch, whatever is asked.
    return frozenset(column.name for column in tree.find_all(exp.Column)) & _NAMES | {BATCH_ID.name}


def _reads_lake(select: exp.Select) -> bool:
    source = select.args.get("from_") or select.args.get("from")
    return source is not None and isinstance(source.this, exp.Table) and source.this.name.startswith("access_logs")


def _conditions(select: exp.Select) -> tuple[exp.Expr, ...]:
    where = select.args.get("where")
    if where is None:
        return ()
    condition = simplify(where.this.copy())
    return tuple(condition.flatten()) if isinstance(condition, exp.And) else (condition,)


def _chunk_bytes(file: ScannedFile, wanted: frozenset[str], conditions: tuple[exp.Expr, ...]) -> int:
    footer = file.footer
    places = {footer.schema.column(place).name: place for place in range(footer.num_columns)}
    if file.event_day is None:
        wanted = wanted.union(*(_DERIVED[name] for name in wanted & _DERIVED.keys())) - {EVENT_DATE.name}
    total = 0
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)

        def known(name: str, group: pq.RowGroupMetaData = group) -> _Values | None:
            if name == EVENT_DATE.name:
                day = file.event_day
                return None if day is None else _Values(day, day, 0, group.num_rows)
            return _known(group.column(places[name])) if name in places else None

        if all(_may_hold(condition, known) for condition in conditions):
            total += sum(group.column(places[name]).total_compressed_size for name in wanted & places.keys())
    return total


def _known(chunk: pq.ColumnChunkMetaData) -> _Values | None:
    statistics = chunk.statistics
    if statistics is None:
        return None
    low, high = (statistics.min, statistics.max) if statistics.has_min_max else (None, None)
    return _Values(low, high, statistics.null_count if statistics.has_null_count else None, chunk.num_values)


def _may_hold(condition: exp.Expr, known: Callable[[str], _Values | None]) -> bool:
    """Whether a row of the row group may meet the condition, by all that is known of its columns."""
    match condition:
        case exp.Paren():
            return _may_hold(condition.this, known)
        case exp.Or():
            return _may_hold(condition.left, known) or _may_hold(condition.right, known)
        case exp.And():
            return _may_hold(condition.left, known) and _may_hold(condition.right, known)
    is_not = isinstance(condition, exp.Not)
    test = condition.this if is_not else condition
    column = known(test.this.name) if isinstance(test.this, exp.Column) else None
    if column is None:
        return True
    if isinstance(test, exp.Is) and isinstance(test.expression, exp.Null):
        if column.nulls is None:
            return True
        return column.nulls < column.count if is_not else column.nulls > 0
    if isinstance(test, exp.Is) or is_not:
        return True
    if column.nulls == column.count and type(test) in (*_COMPARISONS, exp.In):
        return False
    if isinstance(test, exp.In) and test.expressions:
        return any(_may_equal(exp.EQ, column, each) for each in test.expressions)
    return _may_equal(type(test), column, test.expression)


def _may_equal(comparison: type[exp.Expr], column: _Values, constant: exp.Expr | None) -> bool:
    compare = _COMPARISONS.get(comparison)
    if compare is None or not isinstance(constant, exp.Literal):
        return True
    value: Any = constant.this
    if value in _UNKNOWN.values():
        return True
    if not constant.is_string:
        if not isinstance(column.low, int) or not value.isdigit():
            return True
        value = int(value)
    elif not isinstance(column.low, str):
        return True
    return compare(column.low, column.high, value)
