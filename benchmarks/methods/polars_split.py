"""Polars: the line cut at its quotes, then the pieces cut at their spaces, and every row proved (`_typed_columns.py`)."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.methods._exact_lines import Part, complete
from benchmarks.methods._plain_lines import Ints, Lines, chunks_of, find_lines
from benchmarks.methods._typed_columns import TOKENS, type_columns

# Without stubs in the development environment, so imported by name.
pl: Any = importlib.import_module("polars")

_VIEWS = pl.CompatLevel.newest()
_HEAD, _BLOCK, _TAIL = 9, 6, 10


def split(data: bytes) -> pa.Table:
    """Every row proved or read by the exact reader, in input order."""
    return pa.concat_tables([_split_chunk(chunk) for chunk in chunks_of(data)])


def _split_chunk(text: bytes) -> pa.Table:
    lines = find_lines(text)
    parts = []
    for which, cut in ((lines.quoted, _cut_quoted), (lines.plain & ~lines.quoted, _cut_bare)):
        if which.any():
            places = np.flatnonzero(which)
            parts.append(_prove(lines, places, cut(_as_series(lines, places))))
    return complete(parts, len(lines.starts), lines.take)


def _as_series(lines: Lines, which: Ints) -> Any:
    """The lines as a Polars series of views into the chunk: length, first four bytes, buffer, place."""
    starts = lines.starts[which]
    views = np.zeros((len(which), 4), np.int32)
    views[:, 0] = lines.ends[which] - starts
    data = np.frombuffer(lines.splittable, np.uint8)
    views[:, 1] = data[starts[:, None] + np.arange(4)].view(np.int32)[:, 0]
    views[:, 3] = starts
    buffers = [None, pa.py_buffer(views), lines.splittable]
    return pl.from_arrow(pa.Array.from_buffers(pa.string_view(), len(which), buffers))


def _cut(series: Any, delimiter: str, parts: int) -> list[Any]:
    """The first `parts` pieces, and what is left over: null where there is nothing."""
    columns: list[Any] = series.str.splitn(delimiter, parts + 1).struct.unnest().get_columns()
    return columns


def _cut_quoted(series: Any) -> list[Any]:
    head, uri, block, referer, _, agent, tail = _cut(series, '"', 6)
    _, *block_tokens = _cut(block, " ", 1 + _BLOCK)[:-1]
    _, *tail_tokens = _cut(tail, " ", 1 + _TAIL)
    return [*_cut(head, " ", _HEAD)[:-1], uri, *block_tokens, referer, agent, *tail_tokens]


def _cut_bare(series: Any) -> list[Any]:
    return _cut(series, " ", TOKENS)


def _prove(lines: Lines, which: Ints, tokens: list[Any]) -> Part:
    """The typed rows, and which of them stand. The last token is what field 27 left over."""
    part = type_columns([token.to_arrow(compat_level=_VIEWS).cast(pa.string()) for token in tokens[:-1]], lines, which)
    return Part(part.rows, which, part.stands & tokens[-1].is_null().to_numpy())
