"""Whether bytes can be a text log at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from etl.errors import NotALog
from etl.parse import Reading, read_line

_HEAD: Final = 8192
_MAGIC: Final = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"%PDF",
    b"PK\x03\x04",
    b"PAR1",
    b"RIFF",
    b"BZh",
    b"7z\xbc\xaf",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
    b"\x7fELF",
    b"SQLite format 3",
)
_CONTROL: Final = bytes(range(9)) + bytes(range(14, 32))
_MAX_CONTROL_SHARE: Final = 0.02


def is_binary(first: bytes) -> bool:
    """Whether an object that starts so is a picture, an archive or the like, and none of its lines a log line.

    A hostile log line may hold any byte, so one line that reads settles it the other way.
    """
    head = first[:_HEAD]
    control = len(head) - len(head.translate(None, _CONTROL))
    if not first.startswith(_MAGIC) and control <= len(head) * _MAX_CONTROL_SHARE:
        return False
    return not any(isinstance(read_line(line), Reading) for line in first.split(b"\n")[:100])


def text_only(source_key: str, parts: Iterator[bytes]) -> Iterator[bytes]:
    """The parts of a log object as they are. Raises `NotALog` on the first if it is none."""
    first = next(parts, b"")
    if is_binary(first):
        raise NotALog(source_key, "is no text log", hint="nothing of it was taken")
    yield first
    yield from parts
