"""Numbers, times and operations of many lines at once, read from their spans."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from etl.parse._cuts import Bools, Bytes, Ints
from etl.parse._exact import OPERATION
from etl.parse._time import MONTHS, S3_LAUNCH_MS

Words = npt.NDArray[np.uint64]

_DASH: Final = ord("-")
_WORD: Final = 8
_ASCII_ZEROS: Final = np.uint64(0x3030303030303030)
_ABOVE_NINE: Final = np.uint64(0x7676767676767676)
_HIGH_BITS: Final = np.uint64(0x8080808080808080)
_LAST_BYTES: Final = np.array([(2**64 - 1) & ~(2 ** (8 * (8 - k)) - 1) for k in range(9)], np.uint64)
_LOW_NIBBLES, _TENS, _U8 = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(10 * 2**8 + 1), np.uint64(8)
_EVERY_SECOND, _HUNDREDS, _U16 = np.uint64(0x00FF00FF00FF00FF), np.uint64(100 * 2**16 + 1), np.uint64(16)
_EVERY_FOURTH, _TEN_THOUSANDS, _U32 = np.uint64(0x0000FFFF0000FFFF), np.uint64(10000 * 2**32 + 1), np.uint64(32)
_TIME_LENGTH: Final = len("[06/Feb/2019:00:00:38 +0000]")
_TIME_FRAME: Final = ((0, "["), (3, "/"), (7, "/"), (12, ":"), (15, ":"), (18, ":"), (21, " "), (22, "+"), (27, "]"))
_MONTH_CODES: Final = np.array([int.from_bytes(name) for name in MONTHS])
_MONTH_ORDER: Final = np.argsort(_MONTH_CODES)


def read_numbers(chunk: Bytes, start: Ints, end: Ints) -> tuple[Ints, Bools, Bools]:
    """Values, whether there is one (not a dash), and whether the span is a dash or 1 to 16 digits.

    Eight digits are one machine word: loaded at once, checked at once, and added up in three multiplications.
    """
    words = _overlapping_words(chunk)
    length = end - start
    value, ok = _read_word(words, end - _WORD, np.minimum(length, _WORD))
    ok &= (length > 0) & (length <= 2 * _WORD)
    if length.max(initial=0) > _WORD:
        high, high_ok = _read_word(words, np.maximum(end - 2 * _WORD, 0), np.clip(length - _WORD, 0, _WORD))
        value += high * 100_000_000
        ok &= high_ok
    present = (length != 1) | (chunk[end - 1] != _DASH)
    return value, present, ok | ~present


def _overlapping_words(chunk: Bytes) -> Words:
    """The eight bytes from each position on, as one number whose lowest byte comes first."""
    return np.ndarray((len(chunk) - _WORD + 1,), np.dtype("<u8"), chunk, strides=(1,))


def _read_word(words: Words, at: Ints, digits: Ints) -> tuple[Ints, Bools]:
    """The number in the last `digits` (0 to 8) of the eight bytes at `at`, and whether those are digits."""
    word = (words[at] ^ _ASCII_ZEROS) & _LAST_BYTES[digits]
    ok = ((word + _ABOVE_NINE | word) & _HIGH_BITS) == 0
    word = (word & _LOW_NIBBLES) * _TENS >> _U8
    word = (word & _EVERY_SECOND) * _HUNDREDS >> _U16
    word = (word & _EVERY_FOURTH) * _TEN_THOUSANDS >> _U32
    return word.view(np.int64), ok


def read_times(chunk: Bytes, start: Ints, end: Ints) -> tuple[Ints, Bools]:
    """Milliseconds since 1970 of `[dd/Mon/yyyy:HH:MM:SS +0000]` spans, and whether they are such times since 2006-03-14."""
    ok = end - start == _TIME_LENGTH
    start = np.minimum(start, len(chunk) - _TIME_LENGTH)  # only those that are no times would pass the end
    for offset, expected in _TIME_FRAME:
        ok &= chunk[start + offset] == ord(expected)

    def digit(offset: int, limit: int = 9) -> Ints:
        nonlocal ok
        value = chunk[start + offset] - np.uint8(ord("0"))
        ok &= value <= limit
        return value.astype(np.int64)

    def pair(offset: int, limit: int = 9) -> Ints:
        return digit(offset, limit) * 10 + digit(offset + 1)

    day = pair(1)
    year = pair(8) * 100 + pair(10)
    hour = pair(13)
    minute = pair(16, 5)
    second = pair(19, 5)
    for offset in (23, 24, 25, 26):
        digit(offset, 0)
    name = (chunk[start + 4].astype(np.int64) << 16) | (chunk[start + 5].astype(np.int64) << 8) | chunk[start + 6]
    place = np.minimum(np.searchsorted(_MONTH_CODES, name, sorter=_MONTH_ORDER), 11)
    month = _MONTH_ORDER[place]
    ok &= _MONTH_CODES[month] == name
    months = ((year - 1970) * 12 + month).astype("datetime64[M]")
    first_day = months.astype("datetime64[D]")
    days_in_month = ((months + 1).astype("datetime64[D]") - first_day).astype(np.int64)
    ok &= (hour <= 23) & (day >= 1) & (day <= days_in_month)
    days = first_day.astype(np.int64) + day - 1
    time_ms = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000
    return time_ms, ok & (time_ms >= S3_LAUNCH_MS)


def are_operations(chunk: Bytes, start: Ints, end: Ints) -> Bools:
    """Whether each span has the shape of an operation; the few distinct ones are looked at once."""
    names = spans_to_array(pa.py_buffer(chunk), start, end, None, pa.binary())
    encoded = names.dictionary_encode()
    shaped = np.array([OPERATION.fullmatch(name) is not None for name in encoded.dictionary.to_pylist()], np.bool_)
    codes: Ints = encoded.indices.to_numpy(zero_copy_only=False)
    return shaped[codes]


def spans_to_array(data: pa.Buffer, start: Ints, end: Ints, present: Bools | None, kind: pa.DataType) -> pa.Array:
    """The bytes of ascending spans as a binary or string array; null where not `present`.

    The offsets start, end, start, end... make one array of fields and gaps without copying; taking every second entry copies
    the fields together, in Arrow's own code.
    """
    count = len(start)
    offsets = np.empty(2 * count + 1, np.int32)
    offsets[0:-1:2] = start
    offsets[1::2] = end
    offsets[-1] = len(data)
    fields_and_gaps = pa.Array.from_buffers(kind, 2 * count, [None, pa.py_buffer(offsets), data], 0)
    return fields_and_gaps.take(values_to_array(np.arange(0, 2 * count, 2, dtype=np.int32), present, pa.int32()))


def values_to_array(values: npt.NDArray[np.generic], present: Bools | None, kind: pa.DataType) -> pa.Array:
    """A primitive array over the values' own memory; null where not `present`.

    Not `pyarrow.array`: that imports pandas where it is installed, a second of start-up for nothing.
    """
    validity = None if present is None else pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(np.ascontiguousarray(values))])
