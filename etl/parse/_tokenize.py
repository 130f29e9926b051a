"""The fast path: cut all plain lines of a chunk at once.

Why it is exact. A line is taken only if it has no quotes or at least six, and every one of these holds, each checked by position:

* its first nine spaces are single, come before any quote, and end the eight fields of the head; the third field is
  ``[dd/Mon/yyyy:HH:MM:SS +0000]``, the seventh has the shape of an operation. Four more are allowed in a requester that is
  byte for byte ``arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity `` and one more word, if there is a key or
  the sixth field has not the shape of an operation;
* with six quotes, these stand right after the ninth space; right before and right after a run of exactly six
  tokens; around exactly one space; and at the end of the line or before a single space. With none, the ninth token, and those
  after the six, are ``-``. With more than six, exactly one has a space after it, six more and then a quote after a
  space, exactly one has a space and then a quote after it, the last is followed by a space or the end of the line, and of the
  others none is followed by a space and nine more before a quote that has a space before it: then these three, and what opens
  the fields after them, are the six;
* status, sizes and times are a dash or at most 16 digits (nine for the status);
* every token is non-empty, and the line neither starts with a byte order mark nor ends with a space or a CR.

On such a line the exact reader has no choice. No token holds a space or a quote and no separator is longer than one space,
so each of its fields ends at the first separator, which is where this module cuts. With at most six quotes only the plain
reading is tried. With more, all quotes before a space or the end are sorted into closers of a URI, of a referer and of a user
agent, and the conditions leave one of each: what follows a closer of a user agent is ten fields or the end, and if more
follows, whole fields, so that a quote among it has a space before it. The operation is the fourth token after the time and a
request URI follows the fifth, so it is found there first. (With that requester it is the eighth: of the tokens before it only
the last two can have the shape of an operation. Two tokens on from the first is the operation itself, which is no dash, and
from the second the key.)

All other lines are given to the exact reader itself. The whole module is behind `tokenize`: a compiled tokenizer only has to
fill the same `Cuts`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from etl.arrays import Bools, Bytes, Ints
from etl.parse._cuts import Cuts
from etl.parse._exact import BOM, NUMBERS
from etl.parse._values import are_operations, are_text, read_numbers, read_times

_SPACE, _QUOTE, _LF, _CR, _DASH = b' "\n\r-'
_HEAD_SPACES: Final = 9
_BARE_SPACES: Final = 17
"""Spaces before the tail of a line without quotes."""
_OAI: Final = b"arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity "
_OAI_SPACES: Final = 4
_BLOCK_SPACES: Final = 7
"""Spaces around and between the six fields from the status to the second time."""
_FIELDS: Final = 27
_FIRST_TAIL: Final = 17
_TAIL_FIELDS: Final = 10
_PADDING: Final = 40
"""Delimiters that may be looked at beyond the last line's own: more than the longest known layout has."""
_BLOCK: Final = 1 << 18
"""Bytes searched for delimiters at once: the masks stay in the processor's cache."""
_MAX_STATUS: Final = 999_999_999


@dataclass(frozen=True)
class _Lines:
    """The delimiters of a chunk, and which of them are whose: `first` to `last` (its LF) are a line's own."""

    at: Ints
    """Position of every space, quote and LF; padded."""
    starts: Ints
    ends: Ints
    first: Ints
    last: Ints
    quoted: Bools
    """The line has six quotes that can end and begin fields; `quotes` are their places among the delimiters (of no meaning
    elsewhere)."""
    quotes: list[Ints]
    unquoted: Bools


def tokenize(chunk: Bytes) -> Cuts:
    """Cut a chunk of whole lines, the last one ending in LF too; shape (bytes,), valid UTF-8, at least 64 bytes."""
    lines = _find_lines(chunk)
    at, first, last, quoted, q = lines.at, lines.first, lines.last, lines.quoted, lines.quotes
    # Where the requester ends, in delimiters: four later if it is a CloudFront origin access identity.
    more = np.where(quoted & (q[0] - first == _HEAD_SPACES + _OAI_SPACES), _OAI_SPACES, 0)
    head = first + more
    plain = (quoted & (q[0] - head == _HEAD_SPACES) & (q[2] - q[1] == 8) & (q[4] - q[3] == 2)) | (
        lines.unquoted & (last - first >= _BARE_SPACES)
    )
    # Delimiters before the status and before the tail. Where the shape is wrong: the first, so that no look-up leaves the chunk.
    block = np.where(plain, np.where(quoted, q[1] + 1, first + _HEAD_SPACES), 0)
    tail = np.where(plain, np.where(quoted, q[5] + 1, first + _BARE_SPACES), 0)
    tail_fields = np.where(plain, last - tail, 0)

    # The delimiter before each of the 27 fields. A field ends at the next one's, with the exceptions that follow.
    before = np.empty((_FIELDS, len(first)), np.int64)
    before[0:2] = first
    before[2:5] = first + np.array([[1], [3], [4]])
    before[5:8] = head + np.array([[5], [6], [7]])
    for place, opening in ((8, 0), (15, 2), (16, 4)):
        before[place] = np.where(quoted, q[opening], first + place)
    before[9:15] = block + np.arange(6)[:, None]
    before[17:] = tail + np.arange(_TAIL_FIELDS)[:, None]
    ends = np.empty_like(before)
    starts = at.take(before)
    ends[:-1] = starts[1:]
    starts += 1
    starts[0] = lines.starts
    ends[7], ends[14], ends[26] = at[before[7] + 1], at[before[14] + 1], at[before[26] + 1]
    for place, closing in ((8, 1), (15, 3), (16, 5)):
        ends[place] = np.where(quoted, at[q[closing]], at[before[place] + 1])

    plain &= ~quoted | (
        (ends[7] + 2 == starts[8])
        & (ends[8] + 2 == starts[9])
        & (ends[14] + 2 == starts[15])
        & (ends[15] + 3 == starts[16])
        & (ends[16] + 1 == at[tail])
    )
    lengths = ends - starts
    dashes = _are_dashes(chunk, starts, lengths)
    with_spaces = np.flatnonzero(plain & (more > 0))
    if len(with_spaces):
        is_free = ~dashes[7][with_spaces]
        is_free |= ~are_operations(chunk, starts[5][with_spaces], ends[5][with_spaces])
        plain[with_spaces] = is_free & are_text(chunk, starts[4][with_spaces], _OAI)
    filled = lengths > 0
    plain &= filled[[0, 1, 3, 4, 5, 6, 7, 10]].all(axis=0)
    plain &= quoted | dashes[[8, 15, 16]].all(axis=0)
    missing = tail_fields <= np.arange(_TAIL_FIELDS)[:, None]
    plain &= (filled[_FIRST_TAIL:] | missing).all(axis=0)
    starts[_FIRST_TAIL:] = np.where(missing, lines.ends, starts[_FIRST_TAIL:])
    ends[_FIRST_TAIL:] = np.where(missing, lines.ends, ends[_FIRST_TAIL:])
    present = ~dashes
    present[_FIRST_TAIL:] &= ~missing
    extra_starts = np.where(tail_fields > _TAIL_FIELDS, at[tail + _TAIL_FIELDS] + 1, -1)
    plain &= (extra_starts < 0) | (at[tail + _TAIL_FIELDS + 1] > extra_starts)
    before_lf = chunk[lines.ends - 1]
    plain &= (before_lf != _SPACE) & (before_lf != _CR) & (chunk[lines.starts] != BOM[0])

    time_ms, are_times = read_times(chunk, starts[2], ends[2])
    plain &= are_times
    of_numbers = list(NUMBERS)
    numbers, are_numbers = read_numbers(chunk, starts[of_numbers], ends[of_numbers])
    plain &= (are_numbers | dashes[of_numbers]).all(axis=0)
    plain &= numbers[0] <= _MAX_STATUS
    shaped = np.flatnonzero(plain)
    plain[shaped] = are_operations(chunk, starts[6][shaped], ends[6][shaped])
    return Cuts(
        line_starts=lines.starts,
        line_ends=lines.ends,
        starts=starts,
        ends=ends,
        present=present,
        time_ms=time_ms,
        numbers=numbers,
        extra_starts=extra_starts,
        extra_ends=lines.ends.copy(),
        short=(tail_fields >= 2) & (tail_fields <= 5),
        exact=plain,
    )


def _find_lines(chunk: Bytes) -> _Lines:
    at, kind = _find_small_bytes(chunk)
    is_delimiter = (kind == _SPACE) | (kind == _QUOTE) | (kind == _LF)
    if not is_delimiter.all():
        at, kind = at[np.append(is_delimiter, np.ones(_PADDING, np.bool_))], kind[is_delimiter]
    last = np.flatnonzero(kind == _LF)
    ends = at[last]
    first, starts = np.zeros_like(last), np.zeros_like(last)
    np.add(last[:-1], 1, out=first[1:])
    np.add(ends[:-1], 1, out=starts[1:])
    quotes = np.flatnonzero(kind == _QUOTE)
    until = np.searchsorted(quotes, last)
    quote_count = np.diff(until, prepend=0)
    quotes = np.append(quotes, np.full(6, len(kind)))
    six = [quotes[until - quote_count + k] for k in range(6)]
    quoted = quote_count == 6
    many = np.flatnonzero(quote_count > 6)
    if len(many):
        quoted[many] = _choose_six(at, kind, quotes, many, until[many], six)
    return _Lines(at, starts, ends, first, last, quoted, six, quote_count == 0)


def _choose_six(at: Ints, kind: Bytes, quotes: Ints, lines: Ints, until: Ints, six: list[Ints]) -> Bools:
    """Of lines with more quotes, put those that can only be the six in `six`; whether there are such.

    The last quote of each line is the one before `until` among `quotes`.
    """
    first = np.searchsorted(quotes, six[0][lines])
    count = until - first
    row = np.repeat(np.arange(len(lines)), count)
    begins = np.cumsum(count) - count
    place = np.arange(len(row)) + (first - begins)[row]
    quote = quotes[place]
    gap = quotes[place + 1] - quote
    closes = (at[quote + 1] == at[quote] + 1) & (kind[quote + 1] != _QUOTE)
    closes[begins] = False
    gap[begins + count - 1] = 0
    opens_next = (at[quote + gap - 1] == at[quote + gap] - 1) & (kind[quote + gap - 1] == _SPACE)
    uri = closes & (gap == _BLOCK_SPACES + 1) & opens_next
    referer = closes & (gap == 2) & opens_next
    other_agent = closes & (gap > _TAIL_FIELDS) & opens_next
    only: Bools = (np.add.reduceat(uri, begins, dtype=np.int64) == 1) & (
        np.add.reduceat(referer, begins, dtype=np.int64) == 1
    )
    only &= np.add.reduceat(other_agent, begins, dtype=np.int64) == 0
    # Where there are several, these are somewhere in the chunk; such lines are left out.
    uri_at = np.add.reduceat(np.where(uri, place, 0), begins)
    referer_at = np.add.reduceat(np.where(referer, place, 0), begins)
    only &= (uri_at + 1 < referer_at) & (referer_at + 1 < until - 1)
    chosen = lines[only]
    for k, closer in ((1, uri_at[only]), (3, referer_at[only])):
        six[k][chosen] = quotes[closer]
        six[k + 1][chosen] = quotes[closer + 1]
    six[5][chosen] = quotes[until[only] - 1]
    return only


def _find_small_bytes(chunk: Bytes) -> tuple[Ints, Bytes]:
    """Positions of all bytes up to a quote, padded with the last position, and which of them each is, not padded.

    These are the delimiters, and few others in a log: one comparison finds them all. Memory is taken for the most there can be,
    and used, page by page, for what there is.
    """
    at, kind = np.empty(len(chunk) + _PADDING, np.int64), np.empty(len(chunk), np.uint8)
    count = 0
    for begin in range(0, len(chunk), _BLOCK):
        block = chunk[begin : begin + _BLOCK]
        found = np.flatnonzero(block <= _QUOTE)
        until = count + len(found)
        np.add(found, begin, out=at[count:until])
        # A mode other than the default writes straight into `out`; all positions are in the block.
        block.take(found, out=kind[count:until], mode="clip")
        count = until
    at[count : count + _PADDING] = len(chunk) - 1
    return at[: count + _PADDING], kind[:count]


def _are_dashes(chunk: Bytes, starts: Ints, lengths: Ints) -> Bools:
    """Whether each span is a single dash, which is how S3 writes null."""
    dashes: Bools = (lengths == 1).reshape(-1)
    single = np.flatnonzero(dashes)
    dashes[single] = chunk[starts.reshape(-1)[single]] == _DASH
    return dashes.reshape(starts.shape)
