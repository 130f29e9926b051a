"""What a batch rewrites: pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, chain, groupby, takewhile

from etl.lake import Input, Plan, PlannedLog, State, StoredObject
from etl.lake._layout import day_of, next_batch


@dataclass(frozen=True)
class BatchLimit:
    """The most raw objects, and bytes of them, that a batch takes: for an engine that has only so much time and disk."""

    objects: int
    bytes: int

    def count_fitting(self, groups: Sequence[Sequence[StoredObject]]) -> int:
        """How many of the groups, from the first on, are within the limit together; the first one always is taken."""
        objects = accumulate(len(group) for group in groups)
        sizes = accumulate(sum(stored.size for stored in group) for group in groups)
        fitting = (found <= self.objects and size <= self.bytes for found, size in zip(objects, sizes, strict=True))
        return max(sum(takewhile(bool, fitting)), min(len(groups), 1))


@dataclass(frozen=True)
class Eligible:
    """Raw objects that the next batch may take, and what that does to the days that readers see."""

    objects: tuple[StoredObject, ...]
    raw_since: str
    """The first raw day that readers see after the batch; `""` where they see all of raw/."""
    stragglers: tuple[str, ...] = ()
    """Keys of those that readers do not see now."""
    waiting: int = 0
    """Objects that might be taken now as well, and are beyond the limit."""


def choose_objects(
    uncompacted: Iterable[StoredObject],
    *,
    raw_since: str,
    now: datetime,
    seal_delay: timedelta,
    limit: BatchLimit | None = None,
) -> Eligible:
    """Of the raw objects in no committed batch those whose day is sealed, or hidden from readers already.

    A day is sealed `seal_delay` after it ended. After the batch readers see raw/ from the day after the newest sealed day with an
    object in it: not from the first day that is not sealed, so that a clock far ahead of the others cannot hide days that are
    still to come. That day never goes back, whatever the clock says. What lies before it came late, or lies in no day's
    folder, where Athena looks for nothing; however old it is, no reader sees it but through a batch. Where readers see all of
    raw/ (`raw_since` is `""`), every object may be taken at once.

    With a `limit`, what does not fit is left for later batches: first come stragglers, then days, oldest first. A sealed day is
    taken whole or not at all, even if it alone is over the limit: of a day in half readers would see rows twice, or not at all.
    """
    uncompacted = sorted(uncompacted, key=lambda stored: (_arrival_day(stored.key), stored.key))
    unsealed = _first_unsealed(now, seal_delay) if raw_since else ""
    alone = [[stored] for stored in uncompacted if not raw_since or is_straggler(stored.key, raw_since=raw_since)]
    sealed = (stored for stored in uncompacted if raw_since and raw_since <= _arrival_day(stored.key) < unsealed)
    days = [list(group) for _, group in groupby(sealed, key=lambda stored: _arrival_day(stored.key))]
    groups = [*alone, *days]
    taken = len(groups) if limit is None else limit.count_fitting(groups)
    objects = tuple(chain.from_iterable(groups[:taken]))
    newest = _arrival_day(objects[-1].key) if taken > len(alone) else ""
    since = (date.fromisoformat(newest) + timedelta(days=1)).isoformat() if newest else raw_since
    stragglers = sorted(group[0].key for group in alone[:taken]) if raw_since else []
    return Eligible(objects, since, tuple(stragglers), sum(map(len, groups[taken:])))


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
