"""Object keys as S3 knows them, from the key column."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

import pyarrow as pa
import pyarrow.compute as pc

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODED_ONCE: Final = ("S3.", "BATCH.")


def decode_key(key: str, operation: str | None) -> str | None:
    """The object's name; None if a percent escape is malformed or the bytes are not UTF-8.

    `S3.*` and `BATCH.*` records encode the key once, with `+` for a space; all others encode it twice
    (https://engineeringblog.yelp.com/2025/09/s3-server-access-logs-at-scale.html). The line cannot tell, the operation does.
    """
    once = operation is not None and operation.startswith(_ENCODED_ONCE)
    decoded = key.encode()
    if once:
        decoded = decoded.replace(b"+", b" ")
    for _ in range(1 if once else 2):
        if _BAD_ESCAPE.search(decoded):
            return None
        decoded = unquote_to_bytes(decoded)
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        return None


def decode_keys(keys: pa.StringArray, operations: pa.StringArray) -> pa.StringArray:
    """`decode_key` for whole columns; keys without `%` or `+` are taken over as they are."""
    encoded = pc.or_(pc.match_substring(keys, "%"), pc.match_substring(keys, "+"))
    encoded = encoded.fill_null(False)
    if not pc.any(encoded).as_py():
        return keys
    pairs = zip(keys.filter(encoded).to_pylist(), operations.filter(encoded).to_pylist(), strict=True)
    known: dict[tuple[str, str | None], str | None] = {}
    decoded = []
    for pair in pairs:
        if pair not in known:
            known[pair] = decode_key(*pair)
        decoded.append(known[pair])
    return pc.replace_with_mask(keys, encoded, pa.array(decoded, pa.string()))
