"""The time field of a log line: text to UTC."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import Final

_TIME: Final = re.compile(
    rb"([0-9]{2})/([A-Z][a-z]{2})/([0-9]{4}):([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"
)
MONTHS: Final = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_MONTH_NUMBER: Final = {name: number for number, name in enumerate(MONTHS, 1)}
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DAY: Final = 86_400
_YEAR_10000: Final = (date(9999, 12, 31).toordinal() + 1 - _EPOCH_DAY) * _DAY
"""Seconds since 1970: a day as `YYYY-MM-DD` has no place for later ones."""

S3_LAUNCH_MS: Final = (date(2006, 3, 14).toordinal() - _EPOCH_DAY) * _DAY * 1000
"""2006-03-14, in milliseconds since 1970: no log line can be older than the service."""


def read_time(text: bytes) -> int | None:
    """Milliseconds since 1970, UTC, of `dd/Mon/yyyy:HH:MM:SS ±HHMM`; None if it is no time.

    Second 60 is accepted in the last second of a UTC day only, and counts as the second after it: POSIX time has no other
    place for a leap second.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
    if hour > b"23" or minute > b"59" or second > b"60" or zone_hours > b"23" or zone_minutes > b"59":
        return None
    days = _days_since_1970(year, month, day)
    if days is None:
        return None
    offset = int(zone_hours) * 3600 + int(zone_minutes) * 60
    seconds = days * _DAY + int(hour) * 3600 + int(minute) * 60 + int(second)
    seconds += offset if sign == b"-" else -offset
    if seconds >= _YEAR_10000 or (second == b"60" and seconds % _DAY):
        return None
    return seconds * 1000


@lru_cache(maxsize=1024)
def _days_since_1970(year: bytes, month: bytes, day: bytes) -> int | None:
    try:
        return date(int(year), _MONTH_NUMBER[month], int(day)).toordinal() - _EPOCH_DAY
    except (KeyError, ValueError):
        return None
