"""gzip streams, told by their first bytes whatever the object's name."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from etl.errors import CorruptSource
from etl.sources._log_source import PART_BYTES

_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31


def decompress(parts: Iterator[bytes], *, source_key: str) -> Iterator[bytes]:
    """Plain bytes of an object that may be gzip, of one member or several, in parts of bounded size.

    Raises `CorruptSource` if the stream is damaged or ends early: half an object is none, its other half would be lost.
    """
    first = next(parts, b"")
    while len(first) < len(_GZIP) and (more := next(parts, b"")):
        first += more
    if not first.startswith(_GZIP):
        if first:
            yield first
        yield from parts
        return
    try:
        yield from _inflate(first, parts)
    except (zlib.error, EOFError) as error:
        raise CorruptSource(source_key, f"damaged gzip: {error}", hint="nothing of it was taken") from error


def _inflate(data: bytes, parts: Iterator[bytes]) -> Iterator[bytes]:
    member = zlib.decompressobj(_GZIP_WINDOW)
    while True:
        plain = member.decompress(data, PART_BYTES)
        if plain:
            yield plain
        if not member.eof:
            data = member.unconsumed_tail
            if not data and not plain:
                data = next(parts, b"")
                if not data:
                    raise EOFError("the stream ends early")
            continue
        # Another member may follow; zero bytes after the last one are padding.
        data = member.unused_data.lstrip(b"\0")
        while not data:
            more = next(parts, b"")
            if not more:
                return
            data = more.lstrip(b"\0")
        member = zlib.decompressobj(_GZIP_WINDOW)
