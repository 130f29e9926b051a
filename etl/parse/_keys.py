"""Object keys as S3 knows them, from the key column."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

import pyarrow as pa
import pyarrow.compute as pc

from etl.parse._arrays import texts_to_array

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
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
    """`decode_key` for whole columns; keys in which nothing is encoded are taken over, the others decoded once each."""
    once = _false_if_null(pc.or_kleene(*(pc.starts_with(operations, prefix) for prefix in _ENCODED_ONCE)))
    encoded = pc.match_substring(keys, "%")
    if pc.any(once).as_py():
        encoded = pc.or_kleene(encoded, pc.and_kleene(once, pc.match_substring(keys, "+")))
    encoded = _false_if_null(encoded)
    if not pc.any(encoded).as_py():
        return keys
    once = once.filter(encoded)
    distinct = keys.filter(encoded).dictionary_encode()
    texts = distinct.dictionary.to_pylist()
    decoded = texts_to_array([_decode_twice(text) for text in texts], pa.string()).take(distinct.indices)
    if pc.any(once).as_py():
        decoded_once = texts_to_array([_decode_once(text) for text in texts], pa.string()).take(distinct.indices)
        decoded = pc.if_else(once, decoded_once, decoded)
    return pc.replace_with_mask(keys, encoded, decoded)


def _false_if_null(mask: pa.BooleanArray) -> pa.BooleanArray:
    return pc.and_kleene(mask, pc.is_valid(mask))


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
