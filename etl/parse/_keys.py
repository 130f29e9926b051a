"""Object keys as S3 knows them, from the key column."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.parse._arrays import texts_to_array, values_to_array

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_MARKS: Final = tuple(b"%+")
_ENCODED_ONCE: Final = ("S3.", "BATCH.")


def decode_key(key: str, operation: str | None) -> str | None:
    """The object's name; None if a percent escape is malformed or the bytes are not UTF-8.

    `S3.*` and `BATCH.*` records encode the key once, with `+` for a space; all others encode it twice
    (https://engineeringblog.yelp.com/2025/09/s3-server-access-logs-at-scale.html). The line cannot tell, the operation does.
    """
    if operation is not None and operation.startswith(_ENCODED_ONCE):
        return _decode_once(key)
    return _decode_twice(key)


def decode_keys(keys: pa.StringArray, operations: pa.StringArray) -> pa.StringArray:
    """`decode_key` for whole columns; keys in which nothing is encoded are taken over, equal ones decoded once.

    `keys` must not be a slice: its own bytes are searched for marks of an encoding.
    """
    _, offsets, text = keys.buffers()
    marks = np.isin(np.frombuffer(text, np.uint8), _MARKS).nonzero()[0]
    if not len(marks):
        return keys
    ends = np.frombuffer(offsets, np.int32, len(keys) + 1)[1:]
    encoded = np.unique(np.searchsorted(ends, marks, side="right"))
    rows = values_to_array(encoded, None, pa.int64())
    pairs = list(zip(keys.take(rows).to_pylist(), operations.take(rows).to_pylist(), strict=True))
    decoded = {pair: decode_key(*pair) for pair in set(pairs)}
    mask = np.zeros(len(keys), np.bool_)
    mask[encoded] = True
    mask_bits = pa.py_buffer(np.packbits(mask, bitorder="little"))
    return pc.replace_with_mask(
        keys,
        pa.Array.from_buffers(pa.bool_(), len(keys), [None, mask_bits], 0),
        texts_to_array([decoded[pair] for pair in pairs], pa.string()),
    )


def _decode_once(key: str) -> str | None:
    return _as_text(_unquote(key.encode().replace(b"+", b" ")))


def _decode_twice(key: str) -> str | None:
    outer = key.encode()
    # Mostly nothing but percent signs is encoded by the second encoding.
    inner = outer.replace(b"%25", b"%") if outer.count(b"%") == outer.count(b"%25") else _unquote(outer)
    return None if inner is None else _as_text(_unquote(inner))


def _unquote(encoded: bytes) -> bytes | None:
    return None if _BAD_ESCAPE.search(encoded) else unquote_to_bytes(encoded)


def _as_text(decoded: bytes | None) -> str | None:
    if decoded is None:
        return None
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        return None
