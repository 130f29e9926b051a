"""Numbers, times and operations of many lines at once, read from their spans."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from etl.arrays import Bools, Bytes, Ints, spans_to_array
from etl.parse._exact import OPERATION
from etl.parse._time import MONTHS, S3_LAUNCH_MS

Words = npt.NDArray[np.uint64]

_SPACE = ord(" ")
_WORD: Final = 8
_ASCII_ZEROS: Final = np.uint64(0x3030303030303030)
_ABOVE_NINE: Final = np.uint64(0x7676767676767676)
_HIGH_BITS: Final = np.uint64(0x8080808080808080)
_LAST_BYTES: Final = np.array([(2**64 - 1) & ~(2 ** (8 * (8 - k)) - 1) for k in range(9)], np.uint64)
_LOW_NIBBLES, _TENS, _U8 = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(10 * 2**8 + 1), np.uint64(8)
_EVERY_SECOND, _HUNDREDS, _U16 = np.uint64(0x00FF00FF00FF00FF), np.uint64(100 * 2**16 + 1), np.uint64(16)
_EVERY_FOURTH, _TEN_THOUSANDS, _U32 = np.uint64(0x0000FFFF0000FFFF), np.uint64(10000 * 2**32 + 1), np.uint64(32)
_TIME_LENGTH: Final = len("[06/Feb/2019:00:00:38 +0000]")


def _frame(text: bytes) -> tuple[np.uint64, np.uint64]:
    """The bytes of a word that are given, and which they are: a space stands for any, an underscore for a space."""
    given = bytes(0 if byte == _SPACE else 255 for byte in text)
    wanted = bytes(byte & mask for byte, mask in zip(text.replace(b"_", b" "), given, strict=True))
    return np.uint64(int.from_bytes(given, "little")), np.uint64(int.from_bytes(wanted, "little"))


_FIRST_FRAME, _FIRST_TEXT = _frame(b"[  /   /")
_SECOND_FRAME, _SECOND_TEXT = _frame(b"    :  :")
_THIRD_FRAME, _THIRD_TEXT = _frame(b"  :  _+0")
_LAST_FRAME, _LAST_TEXT = _frame(b" _+0000]")
_BYTE, _THREE_BYTES, _ZERO, _NINE, _TEN = (np.uint64(value) for value in (0xFF, 0xFFFFFF, 0x30, 9, 10))
_MONTH_CODES: Final = np.array([int.from_bytes(name, "little") for name in MONTHS], np.uint64)
_MONTH_ORDER: Final = np.argsort(_MONTH_CODES)


def read_numbers(chunk: Bytes, start: Ints, end: Ints) -> tuple[Ints, Bools]:
    """Values of spans, and whether each span is 1 to 16 digits; arrays of any one shape.

    Eight digits are one machine word: loaded at once, checked at once, and added up in three multiplications.
    """
    words = _overlapping_words(chunk)
    length = (end - start).reshape(-1)
    last = end.reshape(-1)
    value, ok = _read_word(words, last - _WORD, np.minimum(length, _WORD))
    ok &= (length > 0) & (length <= 2 * _WORD)
    longer = np.flatnonzero(length > _WORD)
    digits = np.minimum(length[longer] - _WORD, _WORD)
    high, high_ok = _read_word(words, np.maximum(last[longer] - 2 * _WORD, 0), digits)
    value[longer] += high * 100_000_000
    ok[longer] &= high_ok
    return value.reshape(start.shape), ok.reshape(start.shape)


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
    """Milliseconds since 1970 of `[dd/Mon/yyyy:HH:MM:SS +0000]` spans, and whether they are such times since 2006-03-14.

    The 28 bytes are looked at in four words: `[06/Feb/`, `2019:00:`, `00:38 +0` and, from the fourth byte before the
    end of the third on, `8 +0000]`.
    """
    words = _overlapping_words(chunk)
    ok = end - start == _TIME_LENGTH
    start = np.minimum(start, len(chunk) - _TIME_LENGTH)  # only those that are no times would pass the end
    first, second, third, last = (words[start + offset] for offset in (0, 8, 16, 20))
    ok &= (first & _FIRST_FRAME) == _FIRST_TEXT
    ok &= (second & _SECOND_FRAME) == _SECOND_TEXT
    ok &= (third & _THIRD_FRAME) == _THIRD_TEXT
    ok &= (last & _LAST_FRAME) == _LAST_TEXT

    # Most lines were logged in the hour of the line before: an hour is worked out once for all lines in a row that have it.
    begins = np.empty(len(start), np.bool_)
    begins[:1] = True
    begins[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    hour_ms, are_hours = _read_hours(first[begins], second[begins])
    row = np.cumsum(begins) - 1
    minute, are_minutes = _two_digits(third, 0)
    seconds, are_seconds = _two_digits(third, 3)
    ok &= are_hours[row] & are_minutes & are_seconds & (minute <= 59) & (seconds <= 59)
    time_ms = hour_ms[row] + (minute * 60 + seconds) * 1000
    return time_ms, ok & (time_ms >= S3_LAUNCH_MS)


def _read_hours(first: Words, second: Words) -> tuple[Ints, Bools]:
    """Milliseconds since 1970 of the hours in `[06/Feb/` and `2019:00:`, and whether they are such."""
    day, ok = _two_digits(first, 1)
    century, are_centuries = _two_digits(second, 0)
    year, are_years = _two_digits(second, 2)
    hour, are_hours = _two_digits(second, 5)
    name = first >> np.uint64(32) & _THREE_BYTES
    place = np.minimum(np.searchsorted(_MONTH_CODES, name, sorter=_MONTH_ORDER), 11)
    month = _MONTH_ORDER[place]
    ok &= are_centuries & are_years & are_hours & (_MONTH_CODES[month] == name)
    months = ((century * 100 + year - 1970) * 12 + month).astype("datetime64[M]")
    first_day = months.astype("datetime64[D]")
    days_in_month = ((months + 1).astype("datetime64[D]") - first_day).astype(np.int64)
    ok &= (hour <= 23) & (day >= 1) & (day <= days_in_month)
    return ((first_day.astype(np.int64) + day - 1) * 24 + hour) * 3_600_000, ok


def _two_digits(word: Words, byte: int) -> tuple[Ints, Bools]:
    """The two digits from that byte of the word on, and whether they are digits."""
    tens = (word >> np.uint64(8 * byte) & _BYTE) ^ _ZERO
    ones = (word >> np.uint64(8 * byte + 8) & _BYTE) ^ _ZERO
    return (tens * _TEN + ones).view(np.int64), (tens <= _NINE) & (ones <= _NINE)


def are_text(chunk: Bytes, start: Ints, text: bytes) -> Bools:
    """Whether the chunk goes on with this text (eight bytes or more) at each of these places."""
    words = _overlapping_words(chunk)
    place = np.minimum(start, len(chunk) - len(text))
    ok: Bools = place == start
    for offset in (*range(0, len(text) - _WORD, _WORD), len(text) - _WORD):
        ok &= words[place + offset] == np.uint64(int.from_bytes(text[offset : offset + _WORD], "little"))
    return ok


def are_operations(chunk: Bytes, start: Ints, end: Ints) -> Bools:
    """Whether each span has the shape of an operation; the few distinct ones are looked at once."""
    names = spans_to_array(pa.py_buffer(chunk), start, end, None, pa.binary())
    encoded = names.dictionary_encode()
    shaped = np.array([OPERATION.fullmatch(name) is not None for name in encoded.dictionary.to_pylist()], np.bool_)
    # Not `to_numpy`: that imports pandas where it is installed, a second of start-up for nothing.
    codes = np.frombuffer(encoded.indices.buffers()[1], np.int32, len(start))
    shapes: Bools = shaped[codes]
    return shapes
