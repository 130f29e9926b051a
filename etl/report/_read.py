"""A lake at one moment, read into all that its report says."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from etl.audit import Audit, audit
from etl.catalog import open_lake
from etl.query import connect, newest_day, resolve_days
from etl.report._data import LakeState, Period, ReportData
from etl.report._findings import Sigv2, describe_detections, run_detections
from etl.report._quality import assess_quality
from etl.report._requests import EACH_ROW_ONCE, EVERY_ROW, read_days, read_errors, read_failing_keys, read_readers
from etl.report._stored import describe_tables, holds_rows_once, price_queries, read_footers, without_unreadable

if TYPE_CHECKING:
    from etl.lake import Lake
    from etl.lake._snapshot import Snapshot

_ATTEMPTS: Final = 3


def read_report(
    lake: str, *, since: str | None = None, until: str | None = None, now: dt.datetime | None = None
) -> ReportData:
    """What there is to report of a lake; requests and findings of these event days, or of all, the rest of the whole lake.

    `since` and `until` (`YYYY-MM-DD`, `today`, `-7d`) are inclusive. Everything is counted on one snapshot, with the
    detections of this version: nothing is written into the lake. The audit looks at the lake by itself; if other files are
    there before and after it, it is done again, and in the end the report says that it could not be helped. A file without
    a readable footer is left out and named. Raises `BadParameter`, `QueryError` and `LakeError`.
    """
    moment = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC)
    opened = open_lake(lake)
    snapshot, audited, is_settled = _audit_snapshot(lake, opened, moment)
    footers = read_footers(snapshot)
    snapshot, unreadable = without_unreadable(snapshot, footers)
    view = EVERY_ROW if holds_rows_once(snapshot, footers) else EACH_ROW_ONCE
    commits = [commit for commit in opened.commits() if commit.batch <= snapshot.batch_id]
    with connect(snapshot) as every_day:
        newest = newest_day(every_day)
        period = Period(*(day or "" for day in resolve_days(since, until, newest_day=newest)))
        last_day = min(newest, period.until or newest)
        with (
            connect(snapshot, since=period.since or None, until=period.until or None) as connection,
            ThreadPoolExecutor(1) as beside,
        ):
            # They take most of the time, and most of it outside the interpreter.
            findings = beside.submit(run_detections, every_day, period, newest_day=newest)
            sigv2 = Sigv2(snapshot, period)
            totals, days = read_days(connection, view)
            signed = sigv2.count_days()
            return ReportData(
                made_at=moment,
                period=period,
                lake=LakeState(
                    opened.uri,
                    len(commits),
                    commits[-1].committed_at if commits else "",
                    describe_tables(snapshot, footers),
                ),
                totals=totals,
                days=tuple(replace(day, sigv2=signed[day.day]) for day in days),
                errors=read_errors(connection, view),
                failing_keys=read_failing_keys(connection, view),
                requesters=read_readers(connection, view, "requester"),
                addresses=read_readers(connection, view, "remote_ip"),
                agents=read_readers(connection, view, "user_agent"),
                last_day=last_day,
                migrations=sigv2.plan(last_day=last_day),
                undecidable=sigv2.undecidable.num_rows,
                queries=price_queries(snapshot, footers, newest_day=newest),
                detections=describe_detections(findings.result(), sigv2),
                quality=assess_quality(every_day, commits, audited, unreadable=unreadable),
                is_settled=is_settled,
            )


def _audit_snapshot(lake: str, opened: Lake, now: dt.datetime) -> tuple[Snapshot, Audit, bool]:
    """A snapshot, an audit, and whether the two saw the same files."""
    before = opened.snapshot()
    for _ in range(_ATTEMPTS):
        found = audit(lake, now=now)
        after = opened.snapshot()
        if _files(before) == _files(after):
            return after, found, True
        before = after
    return before, found, False


def _files(snapshot: Snapshot) -> tuple[object, ...]:
    return snapshot.batch_id, snapshot.compacted, snapshot.raw, snapshot.quarantine
