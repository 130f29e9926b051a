"""Typed columns from the tokens that a splitter gave, and the proof that each row is the exact reader's.

A splitter gives one string array for each of the 28 tokens of a line with 27 fields (the time is two), a dash still a dash;
a token that a shorter line lacks is null. A row stands only if

* a quoted line's URI, referer and user agent are where the quotes are: the lengths of the tokens before the URI and of those
  between URI and referer, with one space between any two, add up to the places of the opening quotes; a bare line's are
  all three a dash;
* no bare token is empty, the time is a UTC time, the operation has the shape of one, and the numbers are digits or a dash.

All other rows are the exact reader's to read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.methods._exact_lines import WIRE_SCHEMA, Part
from benchmarks.methods._plain_lines import MASK, Bytes, Ints, Lines, Mask
from etl.schema import WIRE_FIELDS, Kind

DASH = ord("-")
TOKENS = 28
TIME, ZONE, REQUESTER, OPERATION, URI, REFERER, AGENT = 2, 3, 5, 7, 9, 16, 17
NUMBERS = (10, 12, 13, 14, 15)
QUOTABLE = (URI, REFERER, AGENT)
_OPERATION = r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)+$"
_MONTHS = np.array([int.from_bytes(m, "big") for m in b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()])
_BY_NAME = np.argsort(_MONTHS)
_DIGITS = (1, 2, 8, 9, 10, 11, 13, 14, 16, 17, 19, 20)
_LAUNCH_MS = 1_142_294_400_000
_TEXT = pa.string()


@dataclass(frozen=True)
class Column:
    """One string array without an offset, and where its values are in its bytes."""

    array: pa.Array
    data: Bytes
    offsets: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    dash: Mask

    @classmethod
    def of(cls, array: pa.Array) -> Column:
        """Look into an array of `string`."""
        _, places, values = array.buffers()
        offsets = np.frombuffer(places, np.int32)[: len(array) + 1]
        data: Bytes = np.frombuffer(values, np.uint8) if values is not None and values.size else np.zeros(1, np.uint8)
        lengths = np.diff(offsets)
        dash = lengths == 1
        dash[dash] = data[offsets[:-1][dash]] == DASH
        return cls(array, data, offsets, lengths, dash)

    def text(self) -> pa.Array:
        """The values with null for a dash. Only the validity bitmap is new."""
        if not self.dash.any():
            return self.array
        missing = self.dash
        if self.array.null_count:
            missing = missing | self.array.is_null().to_numpy(zero_copy_only=False)
        bitmap = pa.py_buffer(np.packbits(~missing, bitorder="little"))
        _, places, values = self.array.buffers()
        return pa.Array.from_buffers(_TEXT, len(self.array), [bitmap, places, values])

    def is_number(self) -> Mask:
        """Which values are a dash or up to 18 digits (19 are the exact reader's to judge)."""
        ok = (self.lengths < 19) & (self.lengths > 0)
        used = self.data[self.offsets[0] : self.offsets[-1]]
        odd = np.flatnonzero((used - np.uint8(48)) > 9)
        rows = np.searchsorted(self.offsets[1:] - self.offsets[0], odd, side="right")
        ok[rows[~self.dash[rows]]] = False
        return ok


def type_columns(tokens: Sequence[pa.Array], lines: Lines, which: Ints) -> Part:
    """The 27 typed columns of the lines `which`, and which rows stand; values of the others are arbitrary."""
    quoted, starts = lines.quoted[which], lines.starts[which]
    quotes = lines.quotes[np.searchsorted(np.flatnonzero(lines.quoted), which[quoted])]
    columns = [Column.of(token) for token in tokens]
    if lines.masked is not None:
        columns[REQUESTER] = Column.of(pc.replace_substring(columns[REQUESTER].array, MASK.decode(), " "))
    stands = _quotes_are_the_right_ones(columns, quoted, starts, quotes)
    for place, column in enumerate(columns):
        if place not in QUOTABLE and not column.lengths.all():
            stands &= (column.lengths > 0) | column.array.is_null().to_numpy(zero_copy_only=False)
        if place < URI and place != REQUESTER and lines.masked is not None and MASK[0] in column.data:
            stands[:] = False
        if place <= AGENT and column.array.null_count:
            stands &= column.array.is_valid().to_numpy(zero_copy_only=False)
    zone = columns[ZONE].array
    stands &= pc.equal(zone, "+0000]").fill_null(False).to_numpy(zero_copy_only=False)
    operations = columns[OPERATION].array.dictionary_encode()
    shaped = pc.match_substring_regex(operations.dictionary, pattern=_OPERATION)
    stands &= shaped.take(operations.indices).fill_null(False).to_numpy(zero_copy_only=False)
    time, is_time = read_times(columns[TIME])
    stands &= is_time
    typed: list[pa.Array] = []
    for field in WIRE_FIELDS:
        place = (field.wire or 0) - 1 + (field.wire is not None and field.wire > TIME + 1)
        column = columns[place]
        if field.kind is Kind.TIMESTAMP:
            typed.append(time)
        elif place in NUMBERS:
            number = column.is_number()
            if place == NUMBERS[0]:
                number &= column.lengths < 10
            stands &= number
            values = column.text() if number.all() else pc.if_else(pa.array(number), column.text(), None)
            typed.append(values.cast(field.kind.arrow))
        else:
            typed.append(column.text())
    return Part(pa.Table.from_arrays(typed, schema=WIRE_SCHEMA), which, stands)


def _quotes_are_the_right_ones(columns: Sequence[Column], quoted: Mask, starts: Ints, quotes: Ints) -> Mask:
    right: Mask = columns[URI].dash & columns[REFERER].dash & columns[AGENT].dash
    lengths = [column.lengths for column in columns]
    head = np.add.reduce(lengths[:URI])[quoted] + URI
    middle = np.add.reduce(lengths[URI + 1 : REFERER])[quoted] + (REFERER - URI)
    right[quoted] = (head == quotes[:, 0] - starts[quoted]) & (middle == quotes[:, 2] - quotes[:, 1] - 1)
    return right


def read_times(column: Column) -> tuple[pa.Array, Mask]:
    """`[dd/Mon/yyyy:HH:MM:SS` to milliseconds, and which are a UTC time that needs no second thought."""
    size = 21
    right = column.lengths == size
    if right.all():
        rows = column.data[column.offsets[0] : column.offsets[-1]].reshape(-1, size)
    else:
        rows = column.data[np.minimum(column.offsets[:-1, None] + np.arange(size), len(column.data) - 1)]
    text = np.ascontiguousarray(rows.T)
    digit = text - np.uint8(48)
    right &= (digit[list(_DIGITS)] <= 9).all(axis=0)
    for place, mark in ((0, b"["), (3, b"/"), (7, b"/"), (12, b":"), (15, b":"), (18, b":")):
        right &= text[place] == mark[0]
    name = (text[4].astype(np.int64) << 16) | (text[5].astype(np.int64) << 8) | text[6]
    month = _BY_NAME[np.minimum(np.searchsorted(_MONTHS, name, sorter=_BY_NAME), 11)]
    right &= _MONTHS[month] == name
    number = digit.astype(np.int64)
    year = ((number[8] * 10 + number[9]) * 10 + number[10]) * 10 + number[11]
    months = np.where(right, (year - 1970) * 12 + month, 0).astype("datetime64[M]")
    first_day = months.astype("datetime64[D]").astype(np.int64)
    day, hour, minute, second = (number[k] * 10 + number[k + 1] for k in (1, 13, 16, 19))
    last_day = (months + 1).astype("datetime64[D]").astype(np.int64) - first_day
    right &= (day >= 1) & (day <= last_day) & (hour < 24) & (minute < 60) & (second < 60)
    value = ((((first_day + day - 1) * 24 + hour) * 60 + minute) * 60 + second) * 1000
    right &= value >= _LAUNCH_MS
    return pa.array(value).view(pa.timestamp("ms")), right
