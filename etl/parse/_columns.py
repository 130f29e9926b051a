"""Cuts to Arrow: one gather a column, whichever reader found the spans."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from etl.arrays import Bytes, Ints, repeat_text, spans_to_array, spans_to_arrays, texts_to_array, values_to_array
from etl.parse._cuts import Cuts
from etl.parse._exact import AMBIGUOUS, CLEAN, NUMBERS, SHORT
from etl.parse._keys import decode_keys
from etl.schema import WIRE_FIELDS

_EPOCH: Final = date(1970, 1, 1)
_DAY_MS: Final = 86_400_000
_MAX_DAYS: Final = 1000
"""Days between the first and the last line up to which the days between are simply counted."""
_TIME_PLACE: Final = 2
_OPERATION_PLACE: Final = 6
_KEY_PLACE: Final = 7
_TEXT_PLACES: Final = [place for place in range(len(WIRE_FIELDS)) if place != _TIME_PLACE and place not in NUMBERS]


@dataclass(frozen=True)
class Rows:
    """Which lines of a chunk are rows, and what their spans do not say."""

    lines: Ints
    """Indices of the lines that are rows, ascending."""
    ambiguous: tuple[int, ...]
    """Indices of the lines with several readings."""
    raw_lines: dict[int, str]
    """Line index to the line as text, for rows that keep it."""
    damaged_keys: tuple[int, ...]
    """Indices of the lines whose key column is not UTF-8: there is no telling the object's name."""


def build_wire_columns(chunk: Bytes, cuts: Cuts, rows: Rows) -> list[pa.Array]:
    """The 27 columns of a log line, in order, for the lines that are rows."""
    data = pa.py_buffer(chunk)
    # Taking all lines by their indices would copy every span for nothing.
    lines = slice(None) if len(rows.lines) == len(cuts.line_starts) else rows.lines
    columns: list[pa.Array] = [None] * len(WIRE_FIELDS)
    spans = [(cuts.starts[place, lines], cuts.ends[place, lines]) for place in _TEXT_PLACES]
    texts = spans_to_arrays(data, spans, cuts.present[_TEXT_PLACES][:, lines])
    for place, text in zip(_TEXT_PLACES, texts, strict=True):
        columns[place] = text
    for row, place in enumerate(NUMBERS):
        kind = WIRE_FIELDS[place].kind.arrow
        values = cuts.numbers[row][lines].astype(np.int32 if kind == pa.int32() else np.int64, copy=False)
        columns[place] = values_to_array(values, cuts.present[place, lines], kind)
    columns[_TIME_PLACE] = values_to_array(cuts.time_ms[lines], None, pa.timestamp("ms"))
    return columns


def build_added_columns(
    chunk: Bytes,
    cuts: Cuts,
    rows: Rows,
    wire: list[pa.Array],
    *,
    source_key: str,
    first_line_no: int,
    unused: Collection[str] = (),
) -> list[pa.Array]:
    """The seven columns that the parser adds, in order; the object's key is null if it is `unused`."""
    count = len(rows.lines)
    return [
        pa.nulls(count, pa.string()) if "object_key" in unused else _object_keys(wire, rows),
        _extra_fields(chunk, cuts, rows),
        _parse_statuses(cuts, rows),
        _raw_lines(rows),
        repeat_text(source_key, count),
        values_to_array(rows.lines + first_line_no, None, pa.int64()),
        _event_dates(cuts.time_ms[rows.lines]),
    ]


def _object_keys(wire: list[pa.Array], rows: Rows) -> pa.Array:
    decoded = decode_keys(wire[_KEY_PLACE], wire[_OPERATION_PLACE])
    if not rows.damaged_keys:
        return decoded
    present = np.ones(len(decoded), np.bool_)
    present[np.searchsorted(rows.lines, np.array(rows.damaged_keys))] = False
    return decoded.take(values_to_array(np.arange(len(decoded), dtype=np.int32), present, pa.int32()))


def _extra_fields(chunk: Bytes, cuts: Cuts, rows: Rows) -> pa.Array:
    starts = cuts.extra_starts[rows.lines]
    present = starts >= 0
    if not present.any():
        return pa.nulls(len(starts), pa.string())
    ends = cuts.extra_ends[rows.lines]
    return spans_to_array(pa.py_buffer(chunk), np.where(present, starts, ends), ends, present, pa.string())


def _parse_statuses(cuts: Cuts, rows: Rows) -> pa.Array:
    statuses = texts_to_array([CLEAN, SHORT, AMBIGUOUS], pa.string())
    code = cuts.short[rows.lines].astype(np.int8)
    if not rows.ambiguous and not code.any():
        return pa.repeat(statuses[0], len(code))
    code[np.searchsorted(rows.lines, np.array(rows.ambiguous, np.int64))] = 2
    return statuses.take(values_to_array(code, None, pa.int8()))


def _raw_lines(rows: Rows) -> pa.Array:
    if not rows.raw_lines:
        return pa.nulls(len(rows.lines), pa.string())
    kept = np.array(sorted(rows.raw_lines), np.int64)
    indices = np.zeros(len(rows.lines), np.int32)
    present = np.zeros(len(rows.lines), np.bool_)
    places = np.searchsorted(rows.lines, kept)
    indices[places] = np.arange(len(kept))
    present[places] = True
    values = texts_to_array([rows.raw_lines[line] for line in kept.tolist()], pa.string())
    return values.take(values_to_array(indices, present, pa.int32()))


def _event_dates(time_ms: Ints) -> pa.Array:
    """UTC days as `YYYY-MM-DD`; each of the few days is formatted once."""
    days = time_ms // _DAY_MS
    first = int(days.min(initial=days[0] if len(days) else 0))
    last = int(days.max(initial=first))
    if last - first > _MAX_DAYS:
        names, code = np.unique(days, return_inverse=True)
    else:
        names, code = np.arange(first, last + 1), days - first
    texts = texts_to_array([(_EPOCH + timedelta(days=day)).isoformat() for day in names.tolist()], pa.string())
    if len(texts) == 1:
        return pa.repeat(texts[0], len(days))
    return texts.take(values_to_array(code, None, pa.int64()))
