"""The time field of a log line: text to UTC."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

_TIME: Final = re.compile(
    rb"([0-9]{2})/([A-Z][a-z]{2})/([0-9]{4}):([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"
)
MONTHS: Final = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_MONTH_NUMBER: Final = {name: number for number, name in enumerate(MONTHS, 1)}
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DAY: Final = 86_400

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
    number = _MONTH_NUMBER.get(month)
    if number is None or int(hour) > 23 or int(minute) > 59 or int(second) > 60:
        return None
    if int(zone_hours) > 23 or int(zone_minutes) > 59:
        return None
    try:
        days = date(int(year), number, int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    offset = int(zone_hours) * 3600 + int(zone_minutes) * 60
    seconds = days * _DAY + int(hour) * 3600 + int(minute) * 60 + int(second)
    seconds += offset if sign == b"-" else -offset
    if second == b"60" and seconds % _DAY:
        return None
    return seconds * 1000
