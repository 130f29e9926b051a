"""Dates as S3 writes them, without locale, clock or time zone."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import cache, cached_property

DAY = 86400
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH = datetime.date(1970, 1, 1).toordinal()


@cache
def clock_times() -> tuple[str, ...]:
    """``HH:MM:SS`` for every second of a day: a table is faster than formatting."""
    minutes = [f"{minute // 60:02}:{minute % 60:02}" for minute in range(1440)]
    return tuple(f"{minute}:{second:02}" for minute in minutes for second in range(60))


@dataclass(frozen=True)
class Calendar:
    """The days that events fall on; a *moment* is a count of seconds since midnight of the first of them, UTC."""

    first: datetime.date
    days: int

    @cached_property
    def log_days(self) -> tuple[str, ...]:
        """``dd/Mon/yyyy`` of every day, as in the time field of a log line."""
        dates = [self.date(day * DAY) for day in range(self.days)]
        return tuple(f"{date.day:02}/{_MONTHS[date.month - 1]}/{date.year}" for date in dates)

    def date(self, moment: int) -> datetime.date:
        """The UTC day of a moment, which may lie after the last event day."""
        return self.first + datetime.timedelta(days=moment // DAY)

    def epoch(self, moment: int) -> int:
        """Seconds since 1970, as in the ``Expires`` of an old presigned URL."""
        return (self.first.toordinal() - _EPOCH) * DAY + moment

    def compact(self, moment: int) -> str:
        """``yyyymmddTHHMMSSZ``, as in ``X-Amz-Date``."""
        return f"{self.date(moment):%Y%m%d}T{clock_times()[moment % DAY].replace(':', '')}Z"

    def dashed(self, moment: int) -> str:
        """``yyyy-mm-dd-HH-MM-SS``, as in the name of a log object."""
        return f"{self.date(moment):%Y-%m-%d}-{clock_times()[moment % DAY].replace(':', '-')}"
