"""Which log objects there will be: bucket, layout, size, time and name of each, before a line is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from etl.generate._buckets import Bucket, Naming, buckets
from etl.generate._calendar import DAY, Calendar
from etl.generate._shares import CURRENT_LAYOUT, OLD_LAYOUTS
from etl.generate._skew import busy_time


@dataclass(frozen=True, eq=False)
class Stream:
    """The objects of one bucket in one layout, over all days."""

    bucket: Bucket
    layout: int
    """Number of fields in its lines."""
    lines: int


@dataclass(frozen=True)
class ObjectPlan:
    """One log object to be written; moments as in `Calendar`."""

    stream: Stream
    lines: int
    start: int
    """First moment of its events."""
    end: int
    """The moment after its events; on the same day as `start`, or the midnight that ends it."""
    delivered: int
    """When S3 wrote the object."""
    key: str


def plan_streams(lines: int) -> tuple[Stream, ...]:
    """Lines dealt out to buckets and layouts: exact for the old layouts, the busiest bucket takes what rounding leaves.

    An old layout lives in one bucket, in objects of its own, as in an archive that was written before S3 appended a
    field.
    """
    world = buckets()
    homes = (0, 1, 3, 3, 2)
    old = [
        Stream(world[home], layout, int(share * lines))
        for home, (layout, share) in zip(homes, OLD_LAYOUTS, strict=True)
    ]
    current = lines - sum(stream.lines for stream in old)
    rest = [Stream(bucket, CURRENT_LAYOUT, int(bucket.share * current)) for bucket in world[1:]]
    first = Stream(world[0], CURRENT_LAYOUT, current - sum(stream.lines for stream in rest))
    return tuple(stream for stream in (first, *rest, *old) if stream.lines)


_FILLS = (100, 100, 85, 60, 35, 15)
"""How full objects are, in percent of the largest; draw from it evenly."""


def plan_objects(
    streams: tuple[Stream, ...], calendar: Calendar, rng: Random, *, lines_per_object: int
) -> Iterator[ObjectPlan]:
    """The objects of all streams, roughly in the order of their events.

    A stream gets at least two objects a day if it has the lines for it, so that small outputs too have several days and
    objects. An object covers at most an hour.
    """
    done = [0] * len(streams)
    largest = [max(1, min(lines_per_object, -(-stream.lines // (2 * calendar.days)))) for stream in streams]
    left = sum(stream.lines for stream in streams)
    while left:
        turn = min(range(len(streams)), key=lambda at: done[at] / streams[at].lines)
        stream = streams[turn]
        lines = min(stream.lines - done[turn], max(1, largest[turn] * rng.choice(_FILLS) // 100))
        earliest = busy_time(done[turn], stream.lines, days=calendar.days)
        done[turn] += lines
        left -= lines
        latest = max(earliest + 1, busy_time(done[turn], stream.lines, days=calendar.days))
        span = min(3600, latest - earliest)
        start = earliest + rng.randrange(latest - earliest - span + 1)
        end = min(start + span, (start // DAY + 1) * DAY)
        delivered = end + 300 + rng.randrange(5400)
        key = _object_key(stream.bucket, calendar, start, delivered, f"{rng.getrandbits(64):016X}")
        yield ObjectPlan(stream, lines, start, end, delivered, key)


def _object_key(bucket: Bucket, calendar: Calendar, start: int, delivered: int, unique: str) -> str:
    if bucket.naming is Naming.FLAT:
        return f"{bucket.prefix}{calendar.dashed(delivered)}-{unique}"
    moment = delivered if bucket.naming is Naming.BY_DELIVERY_TIME else start - start % DAY
    folder = f"{bucket.prefix}{bucket.account}/{bucket.region}/{bucket.name}/{calendar.date(moment):%Y/%m/%d}"
    return f"{folder}/{calendar.dashed(moment)}-{unique}"
