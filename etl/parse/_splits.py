"""Every legal way to cut a line whose quotes a client may have added to.

The definition is in ``docs/parsing.md``. A reading is three closing quotes (of the URI, the referer, the user agent). Each of
the three sets of candidates is found in one pass, and whether there is one reading, or several, and which is best, follows
from the sorted sets without forming the product: the time is linear in the line's length, whatever a client sent.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from datetime import date
from typing import Final, NamedTuple

MAX_INT32: Final = 2**31 - 1
MAX_INT64: Final = 2**63 - 1

# Possessive quantifiers throughout: none of these can step back, and none can pass a quote.
_NUMBER = rb"(-|[0-9]++)"
_BLOCK: Final = re.compile(rb'" ' + rb" ".join([_NUMBER, rb'([^ "]++)', *[_NUMBER] * 4]) + rb' "')
_TAIL: Final = re.compile(rb'(?: ++([^ "]++)(?= |\Z))?+' * 10)
_QUOTE: Final = re.compile(rb'"')
_CLOSER: Final = re.compile(rb'"(?= |\Z)')
_METHOD: Final = re.compile(rb"[A-Z]++ ")
_VERSION: Final = re.compile(rb" HTTP/[0-9]\.[0-9]")
_VERSION_LENGTH: Final = len(b" HTTP/1.1")

_SPACE: Final = ord(" ")
FIRST_TAIL_FIELD: Final = 17
"""Fields before the tail: bucket owner to user agent."""
WIRE_FIELDS: Final = 27
_END_OF_18_FIELDS_MS: Final = (date(2020, 1, 1).toordinal() - date(1970, 1, 1).toordinal()) * 86_400_000


class Tail(NamedTuple):
    """What follows the user agent: spans of up to ten fields, and where the unknown rest begins."""

    spans: tuple[tuple[int, int], ...]
    extra: int | None

    @property
    def fields(self) -> int:
        """Fields of a line with this tail; anything above 27 is given as 28."""
        return FIRST_TAIL_FIELD + len(self.spans) + (self.extra is not None)


class Split(NamedTuple):
    """One reading: where the URI, the referer and the user agent close, the tail, and whether there were others."""

    uri: int
    block: re.Match[bytes]
    referer: int
    agent: int
    tail: Tail
    several: bool


def read_tail(line: bytes, start: int) -> Tail | None:
    """Read the tail that begins at `start`; None if a quote stands inside its first ten fields."""
    match = _TAIL.match(line, start)
    assert match is not None  # ten optional groups match at any place
    spans = tuple([span for span in match.regs[1:] if span[0] >= 0])
    end = match.end()
    if end == len(line):
        return Tail(spans, None)
    if len(spans) < 10:
        return None
    while line[end] == _SPACE:
        end += 1
    return Tail(spans, end)


def is_number(word: bytes, limit: int) -> bool:
    """Whether a field is a dash or a number up to `limit`; its digits are counted before they are converted."""
    return word == b"-" or (word.isdigit() and (len(word) < 10 or (len(word) < 20 and int(word) <= limit)))


def _in_range(block: re.Match[bytes]) -> bool:
    status, _, *sizes = block.groups()
    return is_number(status, MAX_INT32) and all(is_number(size, MAX_INT64) for size in sizes)


def written_by_s3(fields: int, time_ms: int) -> bool:
    """Whether a line of S3 can have that many fields at that time: never 17, and 18 only until 2019.

    It never wrote 19 to 22 either, but a line can be cut there, and then its true reading must be among those considered.
    """
    return fields > 18 or (fields == 18 and time_ms < _END_OF_18_FIELDS_MS)


def _with_legal_tails(line: bytes, agents: dict[int, Tail]) -> dict[int, Tail]:
    """Those after whose tenth field there is nothing, or whole fields, quoted or not."""
    quotes = [match.start() for match in _QUOTE.finditer(line)]
    # For each quote k, whether quotes k and later form whole quoted fields; one more entry, True, for none left.
    formed = [False] * len(quotes) + [True]
    closes_later = False
    for k in range(len(quotes) - 1, -1, -1):
        opens = line[quotes[k] - 1] == _SPACE
        formed[k] = opens and closes_later
        after = quotes[k] + 1
        closes_later = closes_later or ((after == len(line) or line[after] == _SPACE) and formed[k + 1])
    return {quote: tail for quote, tail in agents.items() if tail.extra is None or formed[bisect_right(quotes, quote)]}


def choose_split(line: bytes, uri_open: int, time_ms: int) -> Split | None:
    """The best legal reading of the line from the quote at `uri_open` on; None if there is none."""
    blocks: dict[int, re.Match[bytes]] = {}
    referers: list[int] = []
    agents: dict[int, Tail] = {}
    for closer in _CLOSER.finditer(line, uri_open + 1):
        quote = closer.start()
        block = _BLOCK.match(line, quote)
        if block is not None and _in_range(block):
            blocks[quote] = block
        elif line.startswith(b' "', quote + 1):
            referers.append(quote)
        else:
            tail = read_tail(line, quote + 1)
            if tail is not None:
                agents[quote] = tail
    if any(tail.extra is not None for tail in agents.values()):
        agents = _with_legal_tails(line, agents)
    if len(blocks) == len(referers) == len(agents) == 1:
        ((uri, block),), (referer,), ((agent, tail),) = blocks.items(), referers, agents.items()
        in_order = block.end() - 1 < referer and referer + 2 < agent
        return Split(uri, block, referer, agent, tail, several=False) if in_order else None

    written = [quote for quote, tail in agents.items() if written_by_s3(tail.fields, time_ms)]
    for closers in (written, list(agents)):
        readings = _count_readings(blocks, referers, closers)
        if readings:
            known = [quote for quote in closers if agents[quote].extra is None]
            unknown = [quote for quote in closers if agents[quote].extra is not None]
            best = _best_reading(line, uri_open, blocks, referers, known, unknown) or _best_reading(
                line, uri_open, blocks, referers, unknown, []
            )
            assert best is not None  # there is at least one reading
            uri, referer, agent = best
            return Split(uri, blocks[uri], referer, agent, agents[agent], readings > 1)
    return None


def _count_readings(blocks: dict[int, re.Match[bytes]], referers: list[int], agents: list[int]) -> int:
    """How many (URI, referer, user agent) triples are in order. A referer's closer is 2 before the agent's opener."""
    from_here = [0] * (len(referers) + 1)
    for k in range(len(referers) - 1, -1, -1):
        from_here[k] = from_here[k + 1] + len(agents) - bisect_right(agents, referers[k] + 2)
    return sum(from_here[bisect_right(referers, block.end() - 1)] for block in blocks.values())


def _best_reading(
    line: bytes,
    uri_open: int,
    blocks: dict[int, re.Match[bytes]],
    referers: list[int],
    agents: list[int],
    with_leftovers: list[int],
) -> tuple[int, int, int] | None:
    """The reading to show, of those whose user agent closes at one of `agents`.

    Last comes a URI after which the line would also read as a whole record with leftovers: that is what somebody writes who
    forges a record inside a URI. Then one that does not look like a request line. Then the shortest URI and referer win.
    """
    last_referer = _last_referer(referers, agents)
    uris = [quote for quote, block in blocks.items() if block.end() - 1 < last_referer]
    if not uris:
        return None
    leftover_referer = _last_referer(referers, with_leftovers)
    method = _METHOD.match(line, uri_open + 1)
    target = method.end() if method is not None else len(line)

    def oddity(quote: int) -> tuple[bool, bool, int]:
        version = quote - _VERSION_LENGTH
        looks_right = version >= target and _VERSION.match(line, version) is not None
        return blocks[quote].end() - 1 < leftover_referer, not looks_right, quote

    uri = min(uris, key=oddity)
    referer = referers[bisect_right(referers, blocks[uri].end() - 1)]
    return uri, referer, agents[-1]


def _last_referer(referers: list[int], agents: list[int]) -> int:
    """The last closer of a referer that leaves a user agent to close; -1 if there is none."""
    fitting = bisect_left(referers, agents[-1] - 2) if agents else 0
    return referers[fitting - 1] if fitting else -1
