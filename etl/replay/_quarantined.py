"""Quarantined lines, parsed again by the parser of today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from etl.arrays import Ints, bools_to_array, values_to_array
from etl.errors import CorruptSource
from etl.parse import parse
from etl.schema import QUARANTINE_SCHEMA, SCHEMA

LineNumbers = Mapping[str, Set[int]]
"""By log object, numbers of its lines."""


@dataclass(frozen=True)
class QuarantinedLines:
    """One object of quarantine/, read a row group at a time."""

    file: pq.ParquetFile

    @property
    def lines(self) -> int:
        """Lines in it."""
        return int(self.file.metadata.num_rows)

    def rows(self) -> Iterator[pa.Table]:
        """The rows of the lines that are rows now, with the log object and line number they always had."""
        for lines in self._groups():
            numbers, table = _parse_again(lines)
            if table.num_rows:
                origin = lines.take(values_to_array(numbers, None, pa.int64()))
                for name in ("source_key", "line_no"):
                    table = table.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), origin.column(name))
                yield table

    def without(self, moved: LineNumbers) -> Iterator[pa.Table]:
        """The lines but for those."""
        for lines in self._groups():
            pairs = zip(lines.column("source_key").to_pylist(), lines.column("line_no").to_pylist(), strict=True)
            stays = np.array([number not in moved.get(source_key, ()) for source_key, number in pairs], np.bool_)
            yield lines.filter(bools_to_array(stays))

    def _groups(self) -> Iterator[pa.Table]:
        for number in range(self.file.num_row_groups):
            yield self.file.read_row_group(number, columns=QUARANTINE_SCHEMA.names).cast(QUARANTINE_SCHEMA)


def open_quarantined(key: str, data: bytes) -> QuarantinedLines:
    """The quarantine object of these bytes. Raises `CorruptSource` if they are none."""
    try:
        opened = QuarantinedLines(pq.ParquetFile(pa.BufferReader(data)))
        for _ in opened.without({}):
            pass  # a damaged page shows only when it is read, and half an object must not be taken
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError, ValueError, OSError) as error:
        raise CorruptSource(key, "cannot be read as quarantined lines") from error
    return opened


def _parse_again(lines: pa.Table) -> tuple[Ints, pa.Table]:
    """Which of the lines are rows now, by their place, and the rows."""
    texts = lines.column("raw_line").to_pylist()
    known = zip(texts, lines.column("source_key").to_pylist(), lines.column("line_no").to_pylist(), strict=True)
    # A line feed or a missing identity was never written by a sink; such a line would move the numbers of all that follow.
    usable = [text if text and b"\n" not in text and None not in named else b"" for text, *named in known]
    parsed = parse(b"\n".join(usable) + b"\n", source_key="-").table
    return np.array(parsed.column("line_no").to_pylist(), np.int64) - 1, parsed
