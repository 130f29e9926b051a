"""What a batch rewrites: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from etl.lake import Input, Plan, PlannedLog, State, StoredObject
from etl.lake._layout import day_of, next_batch


@dataclass(frozen=True)
class Eligible:
    """Raw objects that the next batch may take, and what that does to the days that readers see."""

    objects: tuple[StoredObject, ...]
    raw_since: str
    """The first raw day that readers see after the batch; `""` where they see all of raw/."""
    stragglers: tuple[str, ...] = ()
    """Keys of those that readers do not see now."""


def choose_objects(
    uncompacted: Iterable[StoredObject], *, raw_since: str, now: datetime, seal_delay: timedelta
) -> Eligible:
    """Of the raw objects in no committed batch those whose day is sealed, or hidden from readers already.

    A day is sealed `seal_delay` after it ended. After the batch readers see raw/ from the day after the newest sealed day with an
    object in it: not from the first day that is not sealed, so that a clock far ahead of the others cannot hide days that are
    still to come. That day never goes back, whatever the clock says. What lies before it came late, or lies in no day's
    folder, where Athena looks for nothing; however old it is, no reader sees it but through a batch. Where readers see all of
    raw/ (`raw_since` is `""`), every object may be taken at once.
    """
    waiting = tuple(uncompacted)
    if not raw_since:
        return Eligible(waiting, "")
    unsealed = _first_unsealed(now, seal_delay)
    stragglers = [stored for stored in waiting if is_straggler(stored.key, raw_since=raw_since)]
    sealed = [stored for stored in waiting if raw_since <= _arrival_day(stored.key) < unsealed]
    newest = max((date.fromisoformat(_arrival_day(stored.key)) for stored in sealed), default=None)
    since = raw_since if newest is None else (newest + timedelta(days=1)).isoformat()
    return Eligible((*stragglers, *sealed), since, tuple(sorted(stored.key for stored in stragglers)))


def is_straggler(key: str, *, raw_since: str) -> bool:
    """Whether a raw object that is in no committed batch is hidden from readers who see raw days from `raw_since` on."""
    return _arrival_day(key) < raw_since


def plan_batch(
    *,
    last_batch: str,
    readable: Iterable[Input],
    unreadable: Iterable[Input],
    raw_since: str = "",
    stragglers: Collection[str] = (),
) -> Plan | None:
    """The plan of the batch after `last_batch`, or None if there is nothing to rewrite.

    The id depends on nothing but the last one, so rivals plan the same batch and only one of their plans is created. An
    unreadable object alone is worth a batch: until it is left out by a commit, every reader stumbles over it.
    """
    inputs = tuple(sorted(readable, key=lambda item: item.key))
    left_out = tuple(sorted(unreadable, key=lambda item: item.key))
    if not inputs and not left_out:
        return None
    planned = {item.key for item in (*inputs, *left_out)}
    late = tuple(sorted(planned.intersection(stragglers)))
    return Plan(next_batch(last_batch), inputs, left_out, raw_since, late)


def plan_logs(*, last: State, logs: Iterable[PlannedLog], ingest_date: str) -> Plan:
    """The plan of the batch after the last one, of log objects that arrive on a day. The raw days that readers see stay."""
    ordered = tuple(sorted(logs, key=lambda log: log.source_key))
    return Plan(next_batch(last.batch), (), (), last.raw_since, logs=ordered, ingest_date=ingest_date)


def _first_unsealed(now: datetime, seal_delay: timedelta) -> str:
    """The first day d for which `now` is before the end of d plus the delay."""
    try:
        return (now.astimezone(UTC) - seal_delay).date().isoformat()
    except OverflowError:
        return ""  # a delay longer than there have been days: none is sealed


def _arrival_day(key: str) -> str:
    """The day of a raw object's folder; `""`, which is before all days, for one that is no day of the calendar."""
    day = day_of(key)
    try:
        date.fromisoformat(day)
    except ValueError:
        return ""
    return day
