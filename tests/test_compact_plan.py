"""Which raw objects a batch takes, and from which day on readers see raw/ after it: pure, so by property."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.compact import DEFAULT_SEAL_DELAY, BatchLimit, Eligible, choose_objects, is_straggler, plan_batch
from etl.lake import Input, Plan, StoredObject
from etl.lake._layout import day_of

SEALED = dt.datetime(2024, 5, 10, 2, tzinfo=dt.UTC)
"""The moment at which 2024-05-08 is sealed."""
SECOND = dt.timedelta(seconds=1)
NO_DAYS = (
    "raw/a.parquet",
    "raw/ingest_date=2024-13-40/a.parquet",
    "raw/ingest_date=2024/a.parquet",
    "raw/x=1/a.parquet",
)


def raw(day: str, name: str = "a") -> str:
    return f"raw/ingest_date={day}/{name}.parquet"


def choose(
    keys: Iterable[str],
    *,
    since: str = "2024-05-07",
    now: dt.datetime = SEALED,
    delay: dt.timedelta = DEFAULT_SEAL_DELAY,
    limit: BatchLimit | None = None,
) -> Eligible:
    objects = [StoredObject(key, 1, "etag") for key in keys]
    return choose_objects(objects, raw_since=since, now=now, seal_delay=delay, limit=limit)


def taken(eligible: Eligible) -> list[str]:
    return sorted(stored.key for stored in eligible.objects)


def test_a_day_is_sealed_when_the_delay_has_passed_after_its_end() -> None:
    keys = [raw("2024-05-07"), raw("2024-05-08"), raw("2024-05-09"), raw("2024-05-10")]
    assert (taken(choose(keys)), choose(keys).raw_since) == (keys[:2], "2024-05-09")
    before = choose(keys, now=SEALED - SECOND)
    assert (taken(before), before.raw_since) == (keys[:1], "2024-05-08")
    at_once = choose(keys, delay=dt.timedelta(0))
    assert (taken(at_once), at_once.raw_since) == (keys[:3], "2024-05-10"), "today never ends before midnight"


def test_days_are_utc_wherever_the_clock_hangs() -> None:
    keys = [raw("2024-05-08")]
    east = dt.timezone(dt.timedelta(hours=14))
    assert taken(choose(keys, now=SEALED.astimezone(east))) == keys
    assert taken(choose(keys, now=(SEALED - SECOND).astimezone(east))) == []


def test_the_boundary_follows_what_is_taken_and_not_the_clock() -> None:
    """Days without an object stay open, so that a clock that is years ahead hides nothing which is still to come."""
    ahead = choose([raw("2024-05-07"), raw("2024-05-09")], now=SEALED.replace(year=2090))
    assert ahead.raw_since == "2024-05-10"
    assert choose([], now=SEALED.replace(year=2090)) == Eligible((), "2024-05-07")


def test_a_clock_that_goes_back_takes_nothing_and_moves_nothing_back() -> None:
    back = choose([raw("2024-05-07"), raw("2024-05-09")], now=SEALED.replace(year=2020))
    assert back == Eligible((), "2024-05-07")


def test_what_came_late_is_taken_however_old_it_is_and_moves_nothing() -> None:
    keys = [raw("2006-03-14"), raw("2024-05-06"), raw("2024-05-09")]
    found = choose(keys)
    assert taken(found) == keys[:2] == list(found.stragglers)
    assert found.raw_since == "2024-05-07"


def test_a_day_that_is_still_to_come_waits() -> None:
    assert choose([raw("2024-05-11"), raw("2999-01-01"), raw("9999-12-31")]) == Eligible((), "2024-05-07")


@pytest.mark.parametrize("key", NO_DAYS)
def test_what_lies_in_no_days_folder_is_seen_by_no_query_and_so_taken(key: str) -> None:
    found = choose([key])
    assert (taken(found), found.stragglers, found.raw_since) == ([key], (key,), "2024-05-07")


def test_where_readers_see_all_of_raw_everything_is_taken() -> None:
    keys = sorted([raw("2024-05-10"), raw("2999-01-01"), *NO_DAYS])
    found = choose(keys, since="")
    assert (taken(found), found.raw_since, found.stragglers) == (keys, "", ())


@pytest.mark.parametrize("delay", [dt.timedelta.max, dt.timedelta(days=10**6)])
def test_a_delay_longer_than_time_seals_nothing(delay: dt.timedelta) -> None:
    assert choose([raw("2024-05-07")], delay=delay) == Eligible((), "2024-05-07")


days = st.dates(dt.date(2024, 4, 25), dt.date(2024, 5, 25)).map(dt.date.isoformat)
keys = st.sets(st.one_of(st.builds(raw, days, st.sampled_from("abc")), st.sampled_from(NO_DAYS)), max_size=12)
moments = st.datetimes(dt.datetime(2024, 4, 20), dt.datetime(2024, 6, 1), timezones=st.just(dt.UTC))


@given(runs=st.lists(st.tuples(keys, moments, st.integers(0, 50)), max_size=6), since=days)
def test_in_any_history_what_is_hidden_is_taken_once_and_what_is_not_taken_is_seen(
    runs: list[tuple[set[str], dt.datetime, int]], since: str
) -> None:
    """Objects arrive, clocks go as they like, batches commit: a raw object is below the boundary only if it is in a batch."""
    arrived: set[str] = set()
    committed: set[str] = set()
    for arriving, now, hours in runs:
        arrived |= arriving
        waiting = arrived - committed
        hidden = {key for key in waiting if is_straggler(key, raw_since=since)}
        found = choose(waiting, since=since, now=now, delay=dt.timedelta(hours=hours))
        assert set(found.stragglers) == hidden <= set(taken(found))
        assert found.raw_since >= since
        assert found.objects or found.raw_since == since
        committed |= set(taken(found))
        since = found.raw_since
        assert not {key for key in arrived - committed if is_straggler(key, raw_since=since)}, "hidden and in no batch"
        assert all(is_straggler(key, raw_since=since) for key in committed), "in a batch and in raw/ too"


def test_a_plan_says_what_it_hides_and_what_came_late() -> None:
    late, sealed, gone = (Input(raw(day), "etag", 1, 1, 1, 0) for day in ("2024-05-01", "2024-05-08", "2024-05-02"))
    plan = plan_batch(
        last_batch="0000000041",
        readable=[sealed],
        unreadable=[late],
        raw_since="2024-05-09",
        stragglers=(late.key, gone.key),
    )
    assert plan == Plan("0000000042", (sealed,), (late,), "2024-05-09", (late.key,)), "what is gone is in no plan"


# --- What does not fit ------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 20)), max_size=30),
    st.sampled_from(["", "2024-05-04"]),
    st.integers(1, 12),
    st.integers(1, 120),
)
def test_a_limit_cuts_a_backlog_into_batches_of_whole_days(
    arrived: list[tuple[int, int]], since: str, most_objects: int, most_bytes: int
) -> None:
    objects = [StoredObject(raw(f"2024-05-0{day}", f"{n:02}"), size, "etag") for n, (day, size) in enumerate(arrived)]
    limit = BatchLimit(objects=most_objects, bytes=most_bytes)
    whole = choose_objects(objects, raw_since=since, now=SEALED, seal_delay=DEFAULT_SEAL_DELAY)
    waiting, boundary = objects, since
    taken_so_far: list[StoredObject] = []
    while True:
        found = choose_objects(waiting, raw_since=boundary, now=SEALED, seal_delay=DEFAULT_SEAL_DELAY, limit=limit)
        if not found.objects:
            break
        fits = len(found.objects) <= most_objects and sum(each.size for each in found.objects) <= most_bytes
        days = {day_of(each.key) for each in found.objects}
        assert fits or len(found.objects) == 1 or (len(days) == 1 and not found.stragglers)
        waiting = [each for each in waiting if each not in found.objects]
        assert boundary <= found.raw_since
        if since:  # what is hidden from readers is in this batch, or was hidden before it
            assert all(day_of(each.key) >= found.raw_since or day_of(each.key) < boundary for each in waiting)
        taken_so_far += found.objects
        assert found.waiting == len(whole.objects) - len(taken_so_far)
        boundary = found.raw_since
    assert sorted(each.key for each in taken_so_far) == taken(whole)
    assert boundary == whole.raw_since


def test_of_a_backlog_the_oldest_days_come_first_and_stragglers_before_them() -> None:
    keys = [raw("2024-05-08"), raw("2024-05-07", "b"), raw("2024-05-07"), raw("2024-05-01"), raw("2024-05-02")]
    found = choose(keys, limit=BatchLimit(objects=2, bytes=99))
    assert (taken(found), found.raw_since, found.waiting) == ([raw("2024-05-01"), raw("2024-05-02")], "2024-05-07", 3)
    found = choose(keys[:3], limit=BatchLimit(objects=1, bytes=99))
    assert (taken(found), found.raw_since) == ([raw("2024-05-07"), raw("2024-05-07", "b")], "2024-05-08"), "never half"
