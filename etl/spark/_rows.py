"""The shapes in which rows and reports cross between Spark and Python. Times are integers: no clock of Spark's touches them."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from etl.compact import CONTENT, FILE_ORDER
from etl.schema import SCHEMA

PLACE: Final = "place"
"""An input's number in the upper half, a row's number in it in the lower."""
ROWS_BITS: Final = 32
REPORT: Final = "report"
"""What was found in an input, as JSON: of rows that are none, one an input."""
_SPARK_TYPES: Final = {pa.string(): "string", pa.int32(): "int", pa.int64(): "bigint"}


def _with_integer_times(schema: pa.Schema) -> pa.Schema:
    place = schema.get_field_index("request_time")
    return schema.set(place, pa.field("request_time", pa.int64()))


def ddl_of(schema: pa.Schema) -> str:
    """The schema as Spark writes it."""
    return ", ".join(f"{field.name} {_SPARK_TYPES[field.type]}" for field in schema)


WRITTEN_SCHEMA: Final = _with_integer_times(SCHEMA)
"""Rows on their way to a file."""
READ_SCHEMA: Final = WRITTEN_SCHEMA.append(pa.field(PLACE, pa.int64())).append(pa.field(REPORT, pa.string()))
"""Rows and reports as they were read."""
COMMITTED_NAMES: Final = [*CONTENT.split(", "), "source_key", "line_no"]
COMMITTED_SCHEMA: Final = pa.schema([WRITTEN_SCHEMA.field(name) for name in COMMITTED_NAMES])
"""Rows of earlier batches, as far as they are compared."""
SORTED_BY: Final = (*FILE_ORDER, PLACE)
"""The local engine's order. Times and places are in it, so that one bucket's day can be cut anywhere."""
