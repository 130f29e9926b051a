"""Which lines a splitter may be trusted with, found from the places of newlines and quotes alone.

A *plain* line here is UTF-8, without CR or byte order mark, and has either no quote, or six that each stand where a quoted field
can open or close: the first and the third after a space, the second and the sixth before a space or the end, the fourth
and the fifth around a single space. A CSV reader with the space as its delimiter, or a split on the quotes, then sees three
quoted tokens without inner quotes and otherwise bare tokens. That they are the right three is proved later, from the lengths
of the tokens around them (`_typed_columns.py`). Everything else is doubtful, and goes to the exact reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

CHUNK_BYTES = 8 << 20
LF, CR, SPACE, QUOTE, MAX_ASCII = 10, 13, 32, 34, 127
_BLOCK = 1 << 17
MASK = b"\x01"
_SPACED = b":user/CloudFront Origin Access Identity "
_SPACES_IN_IT = np.array([place for place, byte in enumerate(_SPACED) if byte == SPACE])
_INLINE = 12
"""A string view of up to so many bytes holds them itself; no log line is that short."""

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Lines:
    """A chunk's lines: `text` up to `ends[i]` from `starts[i]`; `quotes` has six places where `quoted`.

    `masked` is the text with `MASK` for the spaces inside the one kind of requester that has some, on quoted lines;
    None if there are none.
    """

    text: bytes
    masked: Bytes | None
    starts: Ints
    ends: Ints
    plain: Mask
    quoted: Mask
    quotes: Ints

    @property
    def splittable(self) -> pa.Buffer:
        """The text in which no field of a plain line holds a space outside quotes."""
        return pa.py_buffer(self.text if self.masked is None else self.masked)

    def take(self, lines: Mask) -> bytes:
        """These lines, each with its LF, in order."""
        return self._copy(lines, memoryview(self.text))

    def take_splittable(self, lines: Mask) -> bytes:
        """The same of `splittable`."""
        return self._copy(lines, memoryview(self.splittable))

    def _copy(self, lines: Mask, view: memoryview) -> bytes:
        # Neighbours are copied together.
        edges = np.flatnonzero(np.diff(lines.astype(np.int8), prepend=0, append=0))
        runs = zip(self.starts[edges[::2]].tolist(), self.ends[edges[1::2] - 1].tolist(), strict=True)
        return b"".join([bytes(view[a:b]) + b"\n" for a, b in runs])


def chunks_of(data: bytes, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Pieces of about `size` bytes that end at a line's end."""
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + size) + 1 or data.find(b"\n", start) + 1 or len(data)
        yield data[start:end]
        start = end


def find_lines(text: bytes) -> Lines:
    """The chunk's lines, and which of them are plain: a blank one is not."""
    data: Bytes = np.frombuffer(text, np.uint8)
    marks = _find_marks(data)
    is_end = data[marks] == LF
    ends, quotes = marks[is_end], marks[~is_end]
    if not text.endswith(b"\n"):
        ends = np.append(ends, len(text))
    starts = np.concatenate([[0], ends[:-1] + 1])
    first = np.searchsorted(quotes, starts)
    count = np.diff(first, append=len(quotes))
    quoted = count == 6
    places = quotes[first[quoted][:, None] + np.arange(6)]
    quoted[quoted] = fits = _quotes_fit(data, places, starts[quoted], ends[quoted])
    plain = (quoted | (count == 0)) & (ends - starts > _INLINE)
    odd = np.flatnonzero(data == CR) if b"\r" in text else np.zeros(0, np.int64)
    if not _is_utf8(text):
        odd = np.append(odd, np.flatnonzero(data > MAX_ASCII))
    plain[np.searchsorted(ends, odd)] = False
    plain &= data[starts] <= MAX_ASCII
    places = places[fits][plain[quoted]]
    quoted &= plain
    return Lines(text, _mask_requesters(text, ends, quoted, places), starts, ends, plain, quoted, places)


def _mask_requesters(text: bytes, ends: Ints, quoted: Mask, quotes: Ints) -> Bytes | None:
    """One byte for one: every other place in the text stays what it is."""
    found = []
    place = text.find(_SPACED)
    while place >= 0:
        found.append(place)
        place = text.find(_SPACED, place + len(_SPACED))
    if not found or not len(quotes) or MASK in text:
        return None
    places = np.array(found)
    lines = np.searchsorted(ends, places)
    in_head = quoted[lines] & (places < quotes[(np.cumsum(quoted) - 1)[lines], 0])
    masked: Bytes = np.frombuffer(text, np.uint8).copy()
    masked[places[in_head][:, None] + _SPACES_IN_IT] = MASK[0]
    return masked


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    offsets = pa.py_buffer(np.array([0, len(text)]))
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(text)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _find_marks(data: Bytes) -> Ints:
    """Places of newlines and quotes, found block by block so that the masks stay in the processor's cache."""
    found = []
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        found.append(np.flatnonzero((block == LF) | (block == QUOTE)) + start)
    return np.concatenate(found)


def _quotes_fit(data: Bytes, quotes: Ints, starts: Ints, ends: Ints) -> Mask:
    opens_1, closes_1, opens_2, closes_2, opens_3, closes_3 = quotes.T
    after = np.minimum(closes_3 + 1, ends - 1)
    fits: Mask = (
        (opens_1 > starts)
        & (data[opens_1 - 1] == SPACE)
        & (data[closes_1 + 1] == SPACE)
        & (data[opens_2 - 1] == SPACE)
        & (data[closes_2 + 1] == SPACE)
        & (opens_3 == closes_2 + 2)
        & ((closes_3 + 1 == ends) | (data[after] == SPACE))
    )
    return fits
