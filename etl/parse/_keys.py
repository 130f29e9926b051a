"""Object keys as S3 knows them, from the key column."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.arrays import Bools, Bytes, Ints, are_utf8, bools_to_array, spans_to_array, text_of, values_to_array
from etl.parse._exact import is_utf8

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODED_ONCE: Final = ("S3.", "BATCH.")
_PERCENT, _PLUS, _SPACE = b"%+ "
_NO_DIGIT: Final = 0x80
_HEX: Final = np.full(256, _NO_DIGIT, np.uint8)
_HEX[list(b"0123456789ABCDEF")] = range(16)
_HEX[list(b"abcdef")] = range(10, 16)


def decode_key(key: str, operation: str | None) -> str | None:
    """The object's name; None if a percent escape is malformed or the bytes are not UTF-8.

    `S3.*` and `BATCH.*` records encode the key once, with `+` for a space; all others encode it twice
    (https://engineeringblog.yelp.com/2025/09/s3-server-access-logs-at-scale.html). The line cannot tell, the operation does.
    """
    decoded = key.encode()
    once = operation is not None and operation.startswith(_ENCODED_ONCE)
    if once:
        decoded = decoded.replace(b"+", b" ")
    for _ in range(1 if once else 2):
        if _BAD_ESCAPE.search(decoded):
            return None
        decoded = unquote_to_bytes(decoded)
    return decoded.decode() if is_utf8(decoded) else None


def decode_keys(keys: pa.StringArray, operations: pa.StringArray) -> pa.StringArray:
    """`decode_key` for whole columns, without a loop over rows; keys in which nothing is encoded are taken over."""
    text, ends = text_of(keys)
    marks = np.flatnonzero((text == _PERCENT) | (text == _PLUS))
    if not len(marks):
        return keys
    encoded = _distinct(np.searchsorted(ends, marks, side="right"))
    rows = values_to_array(encoded, None, pa.int64())
    once = _to_bools(pc.or_kleene(*(pc.starts_with(operations.take(rows), prefix) for prefix in _ENCODED_ONCE)))
    mask = np.zeros(len(keys), np.bool_)
    mask[encoded] = True
    return pc.replace_with_mask(keys, bools_to_array(mask), _decode(keys.take(rows), once))


def _decode(keys: pa.StringArray, once: Bools) -> pa.StringArray:
    """Decode keys that are encoded twice, or `once`."""
    joined, ends = text_of(keys)
    # A space after each key: it ends an escape that is cut off, and a character that is.
    text = np.full(len(joined) + len(keys), _SPACE, np.uint8)
    ends = ends + np.arange(len(keys))
    is_key = np.ones(len(text), np.bool_)
    is_key[ends] = False
    text[is_key] = joined
    whole = np.ones(len(keys), np.bool_)
    if once.any():
        pluses = np.flatnonzero(text == _PLUS)
        text[pluses[once[np.searchsorted(ends, pluses)]]] = _SPACE
    text, ends = _unquote(text, ends, whole, np.flatnonzero(text == _PERCENT))
    if not once.all():
        marks = np.flatnonzero(text == _PERCENT)
        text, ends = _unquote(text, ends, whole, marks[~once[np.searchsorted(ends, marks)]])
    starts = np.append(0, ends[:-1] + 1)
    if not are_utf8(text):
        for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            whole[row] &= is_utf8(text[start:end].tobytes())
    return spans_to_array(pa.py_buffer(text), starts, ends, whole, pa.string())


def _unquote(text: Bytes, ends: Ints, whole: Bools, marks: Ints) -> tuple[Bytes, Ints]:
    """Replace the percent escapes at `marks` by their bytes; rows with a malformed one are no longer `whole`.

    `text` ends in a space.
    """
    high = _HEX[text[marks + 1]]
    low = _HEX[text[np.minimum(marks + 2, len(text) - 1)]]
    good = (high | low) < _NO_DIGIT
    whole[np.searchsorted(ends, marks[~good], side="right")] = False
    marks, high, low = marks[good], high[good], low[good]
    text[marks] = high * np.uint8(16) + low
    keep = np.ones(len(text), np.bool_)
    keep[marks + 1] = False
    keep[marks + 2] = False
    return text[keep], ends - 2 * np.searchsorted(marks, ends)


def _distinct(ascending: Ints) -> Ints:
    distinct: Ints = ascending[np.append(True, ascending[1:] != ascending[:-1])]
    return distinct


def _to_bools(mask: pa.BooleanArray) -> Bools:
    """The mask, null as False."""
    _, data = pc.and_kleene(mask, pc.is_valid(mask)).buffers()
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=len(mask), bitorder="little")
    return bits.astype(np.bool_)
