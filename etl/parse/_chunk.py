"""One chunk of whole lines: the fast path for those it can prove, the exact reader for all others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from etl.arrays import Bytes, are_utf8
from etl.parse._columns import Rows
from etl.parse._cuts import Cuts
from etl.parse._exact import ABSENT, AMBIGUOUS, CLEAN, NUMBERS, SHORT, Reading, Rejected, is_utf8, read_line
from etl.schema import WIRE_FIELDS

Tokenizer = Callable[[Bytes], Cuts]
_LF: Final = ord("\n")
_KEY_PLACE: Final = 7
_MIN_FAST_BYTES: Final = 64


@dataclass(frozen=True)
class RejectedLine:
    """A line that is no row: its index in the chunk, why, and its bytes."""

    line: int
    reason: str
    raw_line: bytes


@dataclass(frozen=True)
class ReadChunk:
    """A chunk of which every line is accounted for: a row, rejected, or blank."""

    text: Bytes
    """The chunk as valid UTF-8, which the cuts are spans of."""
    cuts: Cuts
    rows: Rows
    rejected: tuple[RejectedLine, ...]


def read_chunk(chunk: bytes | memoryview, tokenizer: Tokenizer) -> ReadChunk:
    """Read whole lines, the last ended by LF too."""
    text, damaged = _as_utf8(chunk)
    array = np.frombuffer(text, np.uint8)
    cuts = tokenizer(array) if len(array) >= _MIN_FAST_BYTES else leave_uncut(array)
    read: dict[int, Reading] = {}
    rejected: list[RejectedLine] = []
    is_row = cuts.exact.copy()
    raw_lines: dict[int, str] = {}

    def line_bytes(line: int) -> bytes:
        return bytes(text[cuts.line_starts[line] : cuts.line_ends[line]])

    for line in np.flatnonzero(~cuts.exact).tolist():
        content = line_bytes(line)
        result = read_line(content)
        if isinstance(result, Reading):
            read[line] = result
            if result.status != CLEAN:
                raw_lines[line] = content.decode()
        elif isinstance(result, Rejected):
            rejected.append(RejectedLine(line, result.reason, damaged.get(line, content)))
    is_row[list(read)] = True
    for line in np.flatnonzero(cuts.exact & cuts.short).tolist():
        raw_lines[line] = line_bytes(line).decode()
    damaged_keys = []
    for line, content in damaged.items():
        if is_row[line]:
            raw_lines[line] = content.decode(errors="backslashreplace")
            reading = read_line(content)
            assert isinstance(reading, Reading)  # replacing bytes that are not UTF-8 moves no delimiter
            if not is_utf8(content[slice(*reading.spans[_KEY_PLACE])]):
                damaged_keys.append(line)
    _fill(cuts, read)
    ambiguous = tuple(line for line, reading in read.items() if reading.status == AMBIGUOUS)
    rows = Rows(np.flatnonzero(is_row), ambiguous, raw_lines, tuple(damaged_keys))
    return ReadChunk(array, cuts, rows, tuple(rejected))


def leave_uncut(chunk: Bytes) -> Cuts:
    """Cuts that prove nothing: every line is left to the exact reader."""
    line_ends = np.flatnonzero(chunk == _LF)
    line_starts = np.append(0, line_ends[:-1] + 1)
    count = len(line_ends)
    fields = len(WIRE_FIELDS), count
    return Cuts(
        line_starts=line_starts,
        line_ends=line_ends,
        starts=np.zeros(fields, np.int64),
        ends=np.zeros(fields, np.int64),
        present=np.zeros(fields, np.bool_),
        time_ms=np.zeros(count, np.int64),
        numbers=np.zeros((len(NUMBERS), count), np.int64),
        extra_starts=np.full(count, -1),
        extra_ends=line_ends.copy(),
        short=np.zeros(count, np.bool_),
        exact=np.zeros(count, np.bool_),
    )


def _fill(cuts: Cuts, read: dict[int, Reading]) -> None:
    """Put the exact reader's spans and values in their places."""
    if not read:
        return
    lines = np.array(list(read))
    readings = list(read.values())
    begin = cuts.line_starts[lines]
    spans = np.array([reading.spans for reading in readings])
    cuts.present[:, lines] = (spans[:, :, 0] != ABSENT[0]).T
    # An absent field lies at the end of the one before it.
    ascending = np.maximum.accumulate(np.maximum(spans, 0).reshape(len(lines), -1), axis=1) + begin[:, None]
    cuts.starts[:, lines] = ascending[:, 0::2].T
    cuts.ends[:, lines] = ascending[:, 1::2].T
    cuts.numbers[:, lines] = np.array([[value or 0 for value in r.numbers] for r in readings]).T
    cuts.time_ms[lines] = [reading.time_ms for reading in readings]
    cuts.short[lines] = [reading.status == SHORT for reading in readings]
    extras = np.array([ABSENT if reading.extra is None else reading.extra for reading in readings])
    has_extra = extras[:, 0] != ABSENT[0]
    cuts.extra_starts[lines] = np.where(has_extra, begin + extras[:, 0], -1)
    cuts.extra_ends[lines] = np.where(has_extra, begin + extras[:, 1], cuts.line_ends[lines])


def _as_utf8(chunk: bytes | memoryview) -> tuple[bytes | memoryview, dict[int, bytes]]:
    """The chunk with U+FFFD for what is not UTF-8, and by index the lines that had such bytes, as they were.

    No delimiter can be lost: all are ASCII, and decoding with replacement never swallows an ASCII byte.
    """
    if are_utf8(chunk):
        return chunk, {}
    text = bytes(chunk)
    damaged = {line: content for line, content in enumerate(text.split(b"\n")) if not is_utf8(content)}
    return text.decode(errors="replace").encode(), damaged
