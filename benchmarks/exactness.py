"""Whether a method gave what the exact reader gives."""

from __future__ import annotations

import duckdb
import pyarrow as pa


def count_differences(got: pa.Table, want: pa.Table) -> int:
    """How many rows of `want` are not in `got`, as often as they are in `want`."""
    if got.equals(want):
        return 0
    with duckdb.connect() as connection:
        connection.register("got", got)
        connection.register("want", want)
        row = connection.execute("SELECT count(*) FROM (FROM want EXCEPT ALL FROM got)").fetchone()
    assert row is not None  # an aggregate is always one row
    return int(row[0])


def describe_exactness(got: pa.Table, want: pa.Table) -> str:
    """Short enough for a table's cell."""
    if not got.schema.equals(want.schema):
        return "no, other types"
    differences = count_differences(got, want)
    if differences:
        return f"no, {differences:,} rows differ"
    if len(got) != len(want):
        return f"no, {len(got) - len(want):,} rows too many"
    return "yes" if got.equals(want) else "yes, in another order"
