"""pyarrow.csv with the space as its delimiter: as it comes, and with every row proved (`_typed_columns.py`)."""

from __future__ import annotations

from collections import defaultdict
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from benchmarks.methods._exact_lines import WIRE_SCHEMA, Part, complete
from benchmarks.methods._plain_lines import Ints, Lines, chunks_of, find_lines
from benchmarks.methods._typed_columns import NUMBERS, TIME, TOKENS, ZONE, Column, type_columns

_SHORTEST = 18
"""Tokens of a line with 17 fields."""
_AS_TEXT = csv.ConvertOptions(
    column_types={str(place): pa.string() for place in range(TOKENS)}, strings_can_be_null=False, check_utf8=False
)
_TIME_FORMAT = "[%d/%b/%Y:%H:%M:%S"


def plain(data: bytes) -> pa.Table:
    """What a first try looks like: rows of another width read again, no number where there is none, the rest dropped."""
    return pa.concat_tables([part for chunk in chunks_of(data) for part in _plain_chunk(chunk, TOKENS)])


def checked(data: bytes) -> pa.Table:
    """Every row proved or read by the exact reader, in input order."""
    return pa.concat_tables([_checked_chunk(chunk) for chunk in chunks_of(data)])


def _read(text: pa.Buffer, tokens: int, options: csv.ConvertOptions) -> tuple[pa.Table, list[csv.InvalidRow]]:
    """Rows with that many tokens, and the others."""
    others: list[csv.InvalidRow] = []

    def set_aside(row: csv.InvalidRow) -> Literal["skip"]:
        others.append(row)
        return "skip"

    table = csv.read_csv(
        text,
        read_options=csv.ReadOptions(
            use_threads=False, block_size=text.size + 1, column_names=[str(place) for place in range(tokens)]
        ),
        parse_options=csv.ParseOptions(delimiter=" ", invalid_row_handler=set_aside),
        convert_options=options,
    )
    return table, others


def _plain_chunk(text: bytes, tokens: int) -> list[pa.Table]:
    options = csv.ConvertOptions(
        column_types={str(place): pa.string() for place in range(tokens)}, null_values=["-"], strings_can_be_null=True
    )
    table, others = _read(pa.py_buffer(text), tokens, options)
    columns = []
    for place, column in enumerate(table.columns):
        if place == TIME:
            columns.append(pc.strptime(column, format=_TIME_FORMAT, unit="ms", error_is_null=True))
        elif place in NUMBERS:
            number = pa.array(Column.of(_one_array(column)).is_number())
            columns.append(pc.if_else(number, column, None).cast(pa.int32() if place == NUMBERS[0] else pa.int64()))
        elif place != ZONE:
            columns.append(column)
    columns += [pa.chunked_array([pa.nulls(len(table), pa.string())])] * (len(WIRE_SCHEMA) - len(columns))
    parts = [pa.Table.from_arrays(columns, schema=WIRE_SCHEMA)]
    again = defaultdict(list)
    for row in others:
        if tokens == TOKENS and _SHORTEST <= row.actual_columns < TOKENS:
            again[row.actual_columns].append(row.text)
    for count, lines in again.items():
        parts += _plain_chunk("\n".join(lines).encode() + b"\n", count)
    return parts


def _checked_chunk(text: bytes) -> pa.Table:
    lines = find_lines(text)
    which = np.flatnonzero(lines.plain)
    plain_text = lines.splittable if lines.plain.all() else pa.py_buffer(lines.take_splittable(lines.plain))
    return complete(_read_plain_lines(lines, which, plain_text) if len(which) else [], len(lines.starts), lines.take)


def _read_plain_lines(lines: Lines, which: Ints, text: pa.Buffer) -> list[Part]:
    """The rows of the lines `which`, whose text is `text`. Shorter layouts are padded with dashes and read again."""
    table, others = _read(text, TOKENS, _AS_TEXT)
    # Rows are counted from 1, and every line that got here is a row.
    places = np.array([(row.number or 0) - 1 for row in others], np.int64)
    rest = np.delete(which, places)
    if len(table) != len(rest):
        return []  # The reader saw other rows than there are lines: none of them can be trusted.
    parts = []
    if len(table):
        parts.append(type_columns([_one_array(column) for column in table.columns], lines, rest))
    short = np.array([_SHORTEST <= row.actual_columns < TOKENS for row in others], np.bool_)
    if short.any():
        padded = [
            row.text + " -" * (TOKENS - row.actual_columns) for row, chosen in zip(others, short, strict=True) if chosen
        ]
        parts += _read_plain_lines(lines, which[places[short]], pa.py_buffer("\n".join([*padded, ""]).encode()))
    return parts


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pc.cast(column.combine_chunks(), pa.string())
