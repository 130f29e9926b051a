"""The exact reader: one line in, the spans of its fields out, or the reason why there are none.

It follows ``docs/parsing.md`` to the letter, and is the definition that the fast path must agree with. Nothing in it
backtracks, so its time is linear in the length of the line.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from etl.parse._splits import (
    FIRST_TAIL_FIELD,
    MAX_INT32,
    MAX_INT64,
    WIRE_FIELDS,
    Tail,
    choose_split,
    is_number,
    read_tail,
)
from etl.parse._time import S3_LAUNCH_MS, read_time
from etl.schema import WIRE_FIELDS as _FIELDS

CLEAN: Final = "clean"
SHORT: Final = "short"
AMBIGUOUS: Final = "ambiguous"

Span = tuple[int, int]
ABSENT: Final[Span] = (-1, -1)
NUMBERS: Final = (9, 11, 12, 13, 14)
"""Places, counted from 0, of the status, the two sizes and the two times among the 27 fields."""

BOM: Final = b"\xef\xbb\xbf"
_HEAD: Final = re.compile(rb'([^ "]++) ++([^ "]++) ++\[([^]"]*+)\](?= )')
_TOKEN: Final = re.compile(rb'[^ "]++')
_DASH: Final = ord("-")
_SPACE: Final = ord(" ")
OPERATION: Final = re.compile(rb"[A-Za-z0-9_]++(?:\.[A-Za-z0-9_]++)++")
_QUOTABLE = rb'(?:-|"([^"]*+)")'
_PLAIN: Final = re.compile(_QUOTABLE + rb' ++([^ "]++)' * 6 + rb" ++" + _QUOTABLE + rb" ++" + _QUOTABLE + rb"(?= |\Z)")
_MAX_PLAIN_QUOTES: Final = 6

REASONS: Final = {
    "json_record": "a JSON record of the structured delivery, not a text log line",
    "not_a_log_line": "does not begin with owner, bucket and [time], or has no operation and key",
    "bad_time": "its time is no time",
    "time_before_s3": "its time is before 2006-03-14, when S3 did not exist",
    "bad_number": "a number that is none",
    "cut_line": "ends before its user agent does",
    "no_reading": "its quotes fit no legal split",
}
"""Why a line can be quarantined: code, and the sentence that goes with it."""


class Reading(NamedTuple):
    """A line that is a row: byte spans into it, one for each of the 27 fields.

    `numbers` are the values at the places `NUMBERS`. `extra` is the span of the text after field 27.
    """

    status: str
    spans: tuple[Span, ...]
    time_ms: int
    numbers: tuple[int | None, ...]
    extra: Span | None


class Rejected(NamedTuple):
    """A line that is no row. `reason` starts with a code of `REASONS`."""

    reason: str


def reject(code: str, detail: str = "") -> Rejected:
    """A rejection with the sentence of its code, and the field it is about."""
    return Rejected(f"{code}: {REASONS[code]}{detail}")


def read_line(line: bytes) -> Reading | Rejected | None:
    """Read one line (without its LF); None if it is blank."""
    text = line.rstrip(b" \r")
    begin = len(BOM) if text.startswith(BOM) else 0
    if not text[begin:].strip():
        return None
    while text[begin] == _SPACE:
        begin += 1
    head = _HEAD.match(text, begin)
    if head is None:
        return reject("json_record" if text.startswith(b"{", begin) else "not_a_log_line")
    time_ms = read_time(head[3])
    if time_ms is None:
        return reject("bad_time")
    if time_ms < S3_LAUNCH_MS:
        return reject("time_before_s3")
    first_quote = text.find(b'"')
    tokens = [m.span() for m in _TOKEN.finditer(text, head.end(), first_quote if first_quote >= 0 else len(text))]
    place = _find_operation(text, tokens, first_quote)
    if place is None:
        return reject("not_a_log_line")
    before = (
        *head.regs[1:],
        tokens[0],
        (tokens[1][0], tokens[place - 2][1]),
        tokens[place - 1],
        tokens[place],
        tokens[place + 1],
    )
    bare = place + 2 < len(tokens)
    uri = tokens[place + 2][0] if bare else first_quote
    if bare or text.count(b'"') <= _MAX_PLAIN_QUOTES:
        return _read_plain(text, uri, before, time_ms)
    return _read_split(text, uri, before, time_ms)


def _find_operation(text: bytes, tokens: list[Span], first_quote: int) -> int | None:
    """Which token after the time is the operation: the first with its shape, or a dash, and a key and a URI after it."""

    def uri_follows(k: int) -> bool:
        if k + 2 == len(tokens):
            return first_quote >= 0 and text[first_quote - 1] == _SPACE
        begin, end = tokens[k + 2]
        return end - begin == 1 and text[begin] == _DASH

    for k in range(3, len(tokens) - 1):
        begin, end = tokens[k]
        unknown = k == 3 and end - begin == 1 and text[begin] == _DASH
        if uri_follows(k) and (unknown or OPERATION.fullmatch(text, begin, end)):
            return k
    return None


def _read_plain(text: bytes, uri: int, before: tuple[Span, ...], time_ms: int) -> Reading | Rejected:
    match = _PLAIN.match(text, uri)
    if match is None:
        return reject("cut_line" if text.count(b'"') < _MAX_PLAIN_QUOTES else "no_reading")
    tail = read_tail(text, match.end())
    if tail is None:
        return reject("no_reading")
    uri_span, status, error, sent, size, total, turn_around, referer, agent = (
        span if span != ABSENT else None for span in match.regs[1:]
    )
    spans = (*before, uri_span, status, error, sent, size, total, turn_around, referer, agent)
    return _finish(text, spans, time_ms, tail, several=False)


def _read_split(text: bytes, uri: int, before: tuple[Span, ...], time_ms: int) -> Reading | Rejected:
    split = choose_split(text, uri, time_ms)
    if split is None:
        return reject("no_reading")
    spans = (
        *before,
        (uri + 1, split.uri),
        *split.block.regs[1:],
        (split.block.end(), split.referer),
        (split.referer + 3, split.agent),
    )
    return _finish(text, spans, time_ms, split.tail, several=split.several)


def _finish(
    text: bytes, spans: tuple[Span | None, ...], time_ms: int, tail: Tail, *, several: bool
) -> Reading | Rejected:
    numbers = []
    for place in NUMBERS:
        span = spans[place]
        assert span is not None  # only the three quotable fields can be None
        word = text[slice(*span)]
        limit = MAX_INT32 if place == NUMBERS[0] else MAX_INT64
        if not is_number(word, limit):
            return reject("bad_number", f" ({_FIELDS[place].name})")
        numbers.append(None if word == b"-" else int(word))
    short = FIRST_TAIL_FIELD + 1 < tail.fields < FIRST_TAIL_FIELD + 6
    status = AMBIGUOUS if several else SHORT if short else CLEAN
    absent = (ABSENT,) * (WIRE_FIELDS - FIRST_TAIL_FIELD - len(tail.spans))
    filled = tuple(
        [
            ABSENT if span is None or (span[1] - span[0] == 1 and text[span[0]] == _DASH) else span
            for span in (*spans, *tail.spans)
        ]
    )
    extra = None if tail.extra is None else (tail.extra, len(text))
    return Reading(status, filled + absent, time_ms, tuple(numbers), extra)


def is_utf8(data: bytes) -> bool:
    """Whether the bytes can be text as they are."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
