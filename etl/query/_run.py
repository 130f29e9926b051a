"""Run one SELECT and hand back its rows as Arrow, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa

from etl.errors import QueryError
from etl.query._failures import query_failure

_ROWS_PER_BATCH = 50_000
_UNSIGNED = {"UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}


def run_query(connection: duckdb.DuckDBPyConnection, sql: str) -> pa.RecordBatchReader:
    """The rows of one SELECT in DuckDB's dialect, with the types that Athena would give them.

    Athena has no integer wider than 64 bits and no timestamp finer than milliseconds, so a sum is int64 here and a time
    `timestamp[ms]`. A column name that comes twice gets a number. Rows are computed as they are read: memory does not
    grow with the result, and the connection can run nothing else until they are read or the reader is dropped. Raises
    `QueryError`, here or while reading.
    """
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise QueryError("SQL", "only one SELECT can run here")
        relation = connection.sql(sql)
        types = [str(kind) for kind in relation.types]
        source = relation.to_arrow_reader(_ROWS_PER_BATCH)
    except duckdb.Error as error:
        raise query_failure(error) from None
    schema = pa.schema(
        [
            pa.field(name, _athena_type(field.type, kind))
            for name, field, kind in zip(_distinct(source.schema.names), source.schema, types, strict=True)
        ]
    )
    return pa.RecordBatchReader.from_batches(schema, _batches(source, schema))


def _batches(source: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    # Closed on whatever way out: an open result keeps its connection from running anything else.
    with source:
        while True:
            try:
                batch = source.read_next_batch()
                columns = [
                    # Unsafe only for what is below a millisecond; an integer that does not fit is an error.
                    column.cast(field.type, safe=not pa.types.is_timestamp(field.type))
                    for column, field in zip(batch.columns, schema, strict=True)
                ]
            except StopIteration:
                return
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                raise query_failure(error) from None
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _athena_type(arrow: pa.DataType, duck: str) -> pa.DataType:
    if duck in ("HUGEINT", "UHUGEINT") or duck in _UNSIGNED:
        return pa.int64()
    if pa.types.is_timestamp(arrow):
        return pa.timestamp("ms", tz=arrow.tz)
    return arrow


def _distinct(names: list[str]) -> list[str]:
    result: list[str] = []
    for name in names:
        number, candidate = 0, name
        while candidate in result:
            number += 1
            candidate = f"{name}_{number}"
        result.append(candidate)
    return result
