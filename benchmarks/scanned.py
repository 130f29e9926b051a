"""How many bytes of Parquet files a query must read, from their footers alone.

A row group is read unless its statistics exclude what the query asks for, and of it the columns that the query names. Only what
every engine does is counted: conditions joined by AND that hold a column itself against constants, the smallest and the largest
value and the number of nulls of a row group. Pages, Bloom filters and dictionaries are left aside, and so are the footers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow.parquet as pq
from sqlglot import exp, parse_one
from sqlglot.optimizer.simplify import simplify

from benchmarks.raw_day import DAY
from etl.query import bind, find_query, to_duckdb
from etl.schema import BATCH_ID, EVENT_DATE, FIELDS

_NAMES: Final = tuple(field.name for field in FIELDS)
_DERIVED: Final = {
    "object_key": ("key_name", "operation", "raw_line"),
    EVENT_DATE.name: ("request_time",),
}
"""What the view makes these of in a raw row."""
_Chunks = Mapping[str, pq.ColumnChunkMetaData]
_COMPARED: Final[dict[type[exp.Expr], Callable[[Any, Any, Any], bool]]] = {
    exp.EQ: lambda low, high, value: low <= value <= high,
    exp.GT: lambda low, high, value: high > value,
    exp.GTE: lambda low, high, value: high >= value,
    exp.LT: lambda low, high, value: low < value,
    exp.LTE: lambda low, high, value: low <= value,
}


@dataclass(frozen=True)
class Question:
    """One query about the benchmark's day: the columns it names, and its conditions, all of which a row must meet."""

    name: str
    columns: frozenset[str]
    conditions: tuple[exp.Expr, ...]

    def count_bytes(self, files: Iterable[pq.FileMetaData]) -> int:
        """Bytes of the column chunks that must be read of these files, all of which hold rows of the day."""
        total = 0
        for file in files:
            places = {file.schema.column(place).name: place for place in range(file.num_columns)}
            wanted = self.columns | {BATCH_ID.name}
            if BATCH_ID.name not in places:
                wanted |= {name for made in wanted & _DERIVED.keys() for name in _DERIVED[made]}
            for number in range(file.num_row_groups):
                group = file.row_group(number)
                chunks = {name: group.column(place) for name, place in places.items()}
                if all(_may_hold(condition, chunks) for condition in self.conditions):
                    total += sum(chunks[name].total_compressed_size for name in wanted & places.keys())
        return total


def ask(query: str, **parameters: str) -> Question:
    """A query that comes with the product, with these parameters."""
    sql = bind(find_query(query), parameters, newest_day=DAY.isoformat())
    tree = parse_one(sql, read="athena")
    names = {column.name for column in tree.find_all(exp.Column)} & set(_NAMES)
    if any(isinstance(found, exp.Star) and isinstance(found.parent, exp.Select) for found in tree.find_all(exp.Star)):
        names = set(_NAMES)
    (where,) = (select.args["where"] for select in tree.find_all(exp.Select) if _reads_lake(select))
    conditions = simplify(where.this).flatten() if isinstance(simplify(where.this), exp.And) else [where.this]
    said = ", ".join(f"{name} given" if len(value) > 20 else f"{name} {value}" for name, value in parameters.items())
    return Question(f"{query} ({said})" if said else query, frozenset(names), tuple(conditions))


def _reads_lake(select: exp.Select) -> bool:
    source = select.args.get("from_") or select.args.get("from")
    return source is not None and isinstance(source.this, exp.Table) and source.this.name == "access_logs"


def _may_hold(condition: exp.Expr, chunks: _Chunks) -> bool:
    """Whether a row of the row group may meet the condition, by all that its statistics say."""
    if isinstance(condition, exp.Paren):
        return _may_hold(condition.this, chunks)
    if isinstance(condition, exp.Or):
        return _may_hold(condition.left, chunks) or _may_hold(condition.right, chunks)
    if isinstance(condition, exp.And):
        return _may_hold(condition.left, chunks) and _may_hold(condition.right, chunks)
    is_not = isinstance(condition, exp.Not)
    test = condition.this if is_not else condition
    if not isinstance(test.this, exp.Column) or test.this.name not in chunks:
        return True
    chunk = chunks[test.this.name]
    statistics = chunk.statistics
    if statistics is None:
        return True
    if isinstance(test, exp.Is) and isinstance(test.expression, exp.Null):
        return bool(statistics.null_count < chunk.num_values if is_not else statistics.null_count)
    if statistics.null_count == chunk.num_values:
        return False
    if is_not or not statistics.has_min_max:
        return True
    low, high = statistics.min, statistics.max
    if isinstance(test, exp.In):
        return any(low <= _value(each) <= high for each in test.expressions)
    compare = _COMPARED.get(type(test))
    return compare is None or compare(low, high, _value(test.expression))


def _value(constant: exp.Expr) -> Any:
    sql = to_duckdb(f"SELECT {constant.sql(dialect='athena')}")
    found = duckdb.execute(sql).fetchone()
    assert found is not None
    return found[0]
