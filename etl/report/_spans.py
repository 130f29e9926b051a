"""The days that charts draw: without the few far ones, and in weeks or months if there are many. Pure."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from etl.report._data import Day

_OUTLIERS: Final = 0.01
_GAP: Final = dt.timedelta(days=7)
_MOST_DAYS: Final = 122
_MOST_WEEKS: Final = 106


@dataclass(frozen=True)
class Drawn:
    """What a chart draws: each step by its first day, one of `day`, `week` or `month`; gaps are steps without requests."""

    step: str
    days: tuple[Day, ...]
    requests_left_out: int
    """Of far days, which would leave the others no room."""


def choose_days(days: Iterable[Day], *, today: str) -> Drawn:
    """The days to draw: none after `today`, and none of the first that stand apart and hold one request in a hundred at most.

    One forged or misdated line must not flatten two weeks of traffic into one bar.
    """
    listed = sorted(days, key=lambda each: each.day)
    every = sum(each.requests for each in listed)
    kept = [each for each in listed if each.day <= today]
    first, passed = 0, every - sum(each.requests for each in kept)
    for place, (one, other) in enumerate(itertools.pairwise(kept)):
        passed += one.requests
        if passed > every * _OUTLIERS:
            break
        if _date(other.day) - _date(one.day) > _GAP:
            first = place + 1
    kept = kept[first:]
    left_out = every - sum(each.requests for each in kept)
    if not kept:
        return Drawn("day", (), left_out)
    span = (_date(kept[-1].day) - _date(kept[0].day)).days + 1
    step = "day" if span <= _MOST_DAYS else "week" if span <= _MOST_WEEKS * 7 else "month"
    return Drawn(step, _gather(kept, step), left_out)


def _gather(days: list[Day], step: str) -> tuple[Day, ...]:
    found: dict[str, Day] = {}
    day, last = _start(days[0].day, step), days[-1].day
    while day.isoformat() <= last:
        found[day.isoformat()] = Day(day.isoformat(), 0, 0, 0, 0)
        day = _next(day, step)
    for each in days:
        key = _start(each.day, step).isoformat()
        sum_ = found[key]
        found[key] = replace(
            sum_,
            requests=sum_.requests + each.requests,
            bytes_sent=sum_.bytes_sent + each.bytes_sent,
            client_errors=sum_.client_errors + each.client_errors,
            server_errors=sum_.server_errors + each.server_errors,
            sigv2=sum_.sigv2 + each.sigv2,
        )
    return tuple(found.values())


def _date(day: str) -> dt.date:
    return dt.date.fromisoformat(day)


def _start(day: str, step: str) -> dt.date:
    found = _date(day)
    if step == "week":
        return found - dt.timedelta(days=found.weekday())
    return found.replace(day=1) if step == "month" else found


def _next(day: dt.date, step: str) -> dt.date:
    if step == "month":
        return (day.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    return day + dt.timedelta(days=7 if step == "week" else 1)
