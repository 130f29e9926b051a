"""One tuned regular expression for the plain lines, possessive so that it cannot backtrack; the rest read exactly."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from benchmarks.methods._exact_lines import WIRE_SCHEMA, Part, complete
from benchmarks.methods._plain_lines import Mask, chunks_of
from benchmarks.methods._typed_columns import Column, read_times
from etl.schema import WIRE_FIELDS, Kind

_QUOTABLE = r'(?:"([^"]*+)"|-)'
_NUMBER = r"([0-9]{1,18}+|-)"
_TOKEN = r'([^ "]++)'
_REQUESTER = r'([^ "]++(?: Origin Access Identity [^ "]++)?+)'
_LINE = re.compile(
    rf"{_TOKEN} {_TOKEN} (\[[^] \"]++) \+0000\] {_TOKEN} {_REQUESTER} {_TOKEN} (\w++(?:\.\w++)++) {_TOKEN} "
    rf"{_QUOTABLE} ([0-9]{{1,9}}+|-) {_TOKEN} {_NUMBER} {_NUMBER} {_NUMBER} {_NUMBER} {_QUOTABLE} {_QUOTABLE}"
    + rf"(?: {_TOKEN})?+"
    * 10,
    re.ASCII,
)


def read(data: bytes) -> pa.Table:
    """Every row matched as a whole plain line or read by the exact reader, in input order."""
    return pa.concat_tables([_read_chunk(chunk) for chunk in chunks_of(data)])


def _read_chunk(text: bytes) -> pa.Table:
    lines = text.decode("utf-8", "surrogateescape").split("\n")
    match = _LINE.fullmatch
    found = [
        (place, m.groups())
        for place, line in enumerate(lines)
        if (m := match(line)) and line.isascii() and not line.endswith("\r")
    ]

    def take(chosen: Mask) -> bytes:
        return "\n".join([lines[place] for place in np.flatnonzero(chosen)]).encode("utf-8", "surrogateescape")

    if not found:
        return complete([], len(lines), take)
    columns: list[pa.Array] = []
    stands = np.ones(len(found), np.bool_)
    for field, texts in zip(WIRE_FIELDS, zip(*[groups for _, groups in found], strict=True), strict=True):
        if field.kind is Kind.TIMESTAMP:
            column, stands = read_times(Column.of(pa.array(texts, pa.string())))
        else:
            known = [None if text == "-" else text for text in texts]
            column = pa.array(known, pa.string()).cast(field.kind.arrow)
        columns.append(column)
    rows = pa.Table.from_arrays(columns, schema=WIRE_SCHEMA)
    return complete([Part(rows, np.array([place for place, _ in found]), stands)], len(lines), take)
