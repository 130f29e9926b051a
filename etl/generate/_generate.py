"""From a number of lines and a seed to log objects."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from etl.errors import BadParameter
from etl.generate._buckets import Naming
from etl.generate._calendar import DAY, Calendar
from etl.generate._lines import write_lines
from etl.generate._plan import Stream, plan_objects, plan_streams
from etl.generate._requests import Draw
from etl.generate._shares import Ledger

_FIRST_DAY = datetime.date(2006, 3, 14)
_LAST_DAY = datetime.date(9998, 12, 31)


@dataclass(frozen=True)
class LogObject:
    """One server access log object, as S3 would deliver it."""

    key: str
    """S3's own name for it, relative: flat with a prefix, or partitioned by account, region, bucket and day."""
    body: bytes
    """Lines that end in LF."""


def generate(
    *, lines: int, seed: int, end: datetime.date, days: int = 3, lines_per_object: int = 5000
) -> Iterator[LogObject]:
    """Realistic log objects, exactly `lines` lines in all, roughly in the order of their events.

    Tests, benchmarks and the demo need logs that can be published, that hold what makes real ones hard, and that are the
    same everywhere: equal arguments give equal bytes on every machine. The buckets, their objects and their clients are
    the same for every seed; what happens among them is not. One object is in memory at a time.

    `end` is the last UTC day of the events and `days` how many there are. Every event lies within them, even those in
    the layouts of earlier years, so that a demo stays small: the dates of lines of 18 to 26 fields are not the dates at
    which S3 wrote such lines. An object holds at most `lines_per_object` lines, and fewer where a bucket would otherwise
    have less than two objects a day. `GENERATED_SHARES` says how much there is of each unusual kind.

    Raises `BadParameter` at once if a number is out of range, or a day before S3 existed.
    """
    if lines < 0:
        raise BadParameter("lines", f"{lines} is less than 0")
    if days < 1:
        raise BadParameter("days", f"{days} is less than 1")
    if lines_per_object < 1:
        raise BadParameter("lines_per_object", f"{lines_per_object} is less than 1")
    if not _FIRST_DAY.toordinal() + days - 1 <= end.toordinal() <= _LAST_DAY.toordinal():
        raise BadParameter("end", f"{days} days up to {end} are not all between {_FIRST_DAY} and {_LAST_DAY}")
    calendar = Calendar(end - datetime.timedelta(days=days - 1), days)
    return _objects(lines, seed, calendar, lines_per_object)


def _objects(lines: int, seed: int, calendar: Calendar, lines_per_object: int) -> Iterator[LogObject]:
    rng = Random(seed)
    plans = plan_objects(plan_streams(lines), calendar, Random(rng.getrandbits(64)), lines_per_object=lines_per_object)
    ledger = Ledger()
    repeatable: dict[Stream, tuple[int, list[str]]] = {}
    for plan in plans:
        day, again = repeatable.get(plan.stream, (0, []))
        if plan.stream.bucket.naming is Naming.BY_EVENT_TIME and day != plan.start // DAY:
            again = []
        text, again = write_lines(plan, Draw(rng, calendar, plan.stream.bucket.region), ledger, again)
        repeatable[plan.stream] = (plan.start // DAY, again)
        yield LogObject(plan.key, "\n".join([*text, ""]).encode())
