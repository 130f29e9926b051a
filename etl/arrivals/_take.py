"""One batch of messages into a sink, so that a message is done only when every row it announced is delivered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from itertools import takewhile
from typing import Final

from etl.arrivals._events import Arrival, Message
from etl.arrivals._read_ahead import ReadParts, read_ahead
from etl.errors import (
    AccessLakeError,
    CorruptSource,
    NotALog,
    SourceNotFound,
    SourceReplaced,
    SourceTooLarge,
    SourceUnreadable,
    first_line,
)
from etl.lake import raw_name
from etl.parse import parse_stream
from etl.sinks import Sink, Written
from etl.sources import LogSource, decompress, text_only

_RESERVE_SECONDS: Final = 30.0
"""Time kept for what is under way: with less than that left, no more log objects are begun or gone on with."""


_NO_TIME: Final = "no time was left to read all of it"


class Outcome(Enum):
    """What became of a log object. Those that are not done fail their message: it is tried again, and ends in the DLQ."""

    TAKEN = "taken"
    MISSING = "missing"
    """It is gone, or replaced, and then another event is on its way: there is nothing to try again."""
    FOREIGN = "foreign"
    TOO_LARGE = "too large"
    NOT_A_LOG = "not a log"
    FAILED = "failed"

    @property
    def done(self) -> bool:
        """Whether the message need not come again."""
        return self in (Outcome.TAKEN, Outcome.MISSING)


_OUTCOMES: Final[tuple[tuple[type[Exception], Outcome], ...]] = (
    (SourceNotFound, Outcome.MISSING),
    (SourceReplaced, Outcome.MISSING),
    (SourceTooLarge, Outcome.TOO_LARGE),
    (NotALog, Outcome.NOT_A_LOG),
    (CorruptSource, Outcome.NOT_A_LOG),
    (Exception, Outcome.FAILED),
)


@dataclass(frozen=True)
class TakenObject:
    """One log object and its outcome; `reason` says why it is not taken."""

    arrival: Arrival
    outcome: Outcome
    written: Written | None = None
    reason: str = ""


@dataclass(frozen=True)
class Taken:
    """A batch: its distinct log objects, and by id the messages that must come again, each with a reason."""

    messages: int
    objects: tuple[TakenObject, ...]
    failed: dict[str, str]


def take_messages(
    messages: Collection[Message],
    *,
    sink: Sink,
    buckets: Collection[str],
    read: ReadParts,
    max_object_bytes: int,
    seconds_left: Callable[[], float],
) -> Taken:
    """Parse what the messages announce into the sink.

    A log object that several of them announce is read once. Only objects of `buckets` are read, and none of more than
    `max_object_bytes`, stored or unpacked. No object's trouble reaches another: what it raises is its outcome.
    """
    arrivals = {_name(arrival): arrival for message in messages for arrival in message.arrivals}
    taken = {name: _look_at(arrival, buckets, max_object_bytes) for name, arrival in arrivals.items()}
    waiting = {found.arrival.log: name for name, found in taken.items() if found.outcome is Outcome.FAILED}
    in_time = takewhile(lambda _: seconds_left() >= _RESERVE_SECONDS, waiting)
    for log, stored in read_ahead(in_time, read):
        name = waiting[log]
        text = _bounded(log, decompress(stored, source_key=log.source_key), max_object_bytes, seconds_left)
        taken[name] = _take(taken[name], name, text, sink)
    for name in sink.finish():
        taken[name] = replace(taken[name], outcome=Outcome.FAILED, reason="not all of its rows were delivered")
    failed = {}
    for message in messages:
        reasons = [taken[_name(a)].reason for a in message.arrivals if not taken[_name(a)].outcome.done]
        if message.malformed or reasons:
            failed[message.message_id] = message.malformed or reasons[0]
    return Taken(len(messages), tuple(taken.values()), failed)


def _name(arrival: Arrival) -> str:
    return raw_name(arrival.log.source_key, arrival.log.version or "")


def _look_at(arrival: Arrival, buckets: Collection[str], max_object_bytes: int) -> TakenObject:
    """What can be said of a log object without reading it; what must be read has failed until it is."""
    source_key, size = arrival.log.source_key, arrival.log.size
    if arrival.bucket not in buckets:
        return TakenObject(arrival, Outcome.FOREIGN, reason=f"{source_key}: its bucket is none of those that are read")
    if size > max_object_bytes:
        return TakenObject(arrival, Outcome.TOO_LARGE, reason=f"{source_key}: {size} bytes")
    if not size:
        return TakenObject(arrival, Outcome.TAKEN)
    return TakenObject(arrival, Outcome.FAILED, reason=f"{source_key}: {_NO_TIME}")


def _take(found: TakenObject, name: str, text: Iterator[bytes], sink: Sink) -> TakenObject:
    source_key = found.arrival.log.source_key
    try:
        parts = parse_stream(text_only(source_key, text), source_key=source_key, unused=sink.unused)
        written = sink.write(parts, name=name, owner=name)
    except Exception as error:  # whatever it is, it is this object's
        outcome = next(outcome for kind, outcome in _OUTCOMES if isinstance(error, kind))
        reason = str(error) if isinstance(error, AccessLakeError) else f"{type(error).__name__}: {first_line(error)}"
        return replace(found, outcome=outcome, reason=reason)
    return TakenObject(found.arrival, Outcome.TAKEN, written)


def _bounded(
    log: LogSource, parts: Iterator[bytes], max_bytes: int, seconds_left: Callable[[], float]
) -> Iterator[bytes]:
    """The parts, as long as there is time and they are not too many: a small gzip may unpack to anything."""
    size = 0
    while True:
        if seconds_left() < _RESERVE_SECONDS:
            raise SourceUnreadable(log.source_key, _NO_TIME)
        part = next(parts, b"")
        if not part:
            return
        size += len(part)
        if size > max_bytes:
            raise SourceTooLarge(log.source_key, f"unpacks to more than {max_bytes} bytes")
        yield part
