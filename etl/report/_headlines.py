"""What needs somebody to act, the most urgent first. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from etl.report._data import Detected, ReportData
from etl.report._text import count_of, show_count, show_day

_GRAVE: Final = "high"
_NAMED: Final = 3
_SIGV2: Final = "sigv2"


@dataclass(frozen=True)
class Headline:
    """One thing to act on. `level` is `critical`, `warning` or `notice`, `anchor` the section that says more.

    `detail` may hold texts out of a log; `advice` is ours, and what stands in it between backticks is code.
    """

    level: str
    title: str
    detail: str
    anchor: str
    advice: str = ""


def find_headlines(data: ReportData) -> tuple[Headline, ...]:
    """All that needs somebody, critical things first; nothing if there is nothing."""
    found = [*_lost_lines(data), *_grave_findings(data), *_sigv2(data), *_other_findings(data), *_quarantined(data)]
    order = ("critical", "warning", "notice")
    return tuple(sorted(found, key=lambda each: order.index(each.level)))


def say_nothing(data: ReportData) -> str:
    """What stands where there is nothing to act on.

    Requests signed with SigV2 may be there all the same, of clients that are gone, and lines of which nobody can tell.
    """
    sigv2, found = "no request of these days is signed with Signature Version 2", "nothing"
    if data.migrations:
        last = max(each.last_request for each in data.migrations)
        idle = (dt.date.fromisoformat(data.last_day) - last.date()).days
        sigv2 = (
            f"nobody has signed with Signature Version 2 for {count_of(idle, 'day')} up to {show_day(data.last_day)} "
            f"({count_of(sum(each.requests for each in data.migrations), 'request')} before that)"
        )
        found = "nothing else"
    if data.undecidable:
        sigv2 += f", but of {count_of(data.undecidable, 'line')} nobody can tell"
    return f"Nothing. Every line is accounted for; {sigv2}; and the detections found {found} above severity info."


def _lost_lines(data: ReportData) -> list[Headline]:
    quality = data.quality
    found = []
    if not quality.is_ok:
        count = count_of(len(quality.problems), "problem")
        detail = f"{count} in the audit: lines in and lines stored differ, or a file is damaged."
        found.append(Headline("critical", "Not every line is accounted for", detail, "quality"))
    if quality.left_out:
        detail = "They cannot be read, and their rows are in no number on this page. Take their logs in anew."
        found.append(Headline("critical", f"{count_of(len(quality.left_out), 'raw file')} left out", detail, "quality"))
    return found


def _grave_findings(data: ReportData) -> list[Headline]:
    grave = [each for each in data.detections if each.severity == _GRAVE and each.findings]
    if not grave:
        return []
    title = count_of(sum(each.findings for each in grave), "finding") + " of high severity"
    return [Headline("critical", title, f"{_name(grave)}.", "findings")]


def _sigv2(data: ReportData) -> list[Headline]:
    active = [each for each in data.migrations if each.status == "active"]
    if not active:
        return []
    requests = sum(each.requests for each in active)
    busiest = f"{active[0].client} {active[0].client_version}".strip()
    detail = (
        f"{count_of(len(active), 'client')} by requester and bucket, {count_of(requests, 'request')}, the last on "
        f"{max(each.last_request for each in active):%Y-%m-%d}. The busiest is {busiest}."
    )
    title = "Signature Version 2 is still in use"
    if data.period.until:
        title = f"Signature Version 2 was still in use up to {show_day(data.last_day)}"
    return [Headline("warning", title, detail, "sigv2")]


def _other_findings(data: ReportData) -> list[Headline]:
    hit = [
        each
        for each in data.detections
        if each.severity not in (_GRAVE, "info") and each.findings and each.name != _SIGV2
    ]
    if not hit:
        return []
    title = count_of(sum(each.findings for each in hit), "finding") + " of medium or low severity"
    return [Headline("notice", title, f"{_name(hit)}.", "findings")]


def _quarantined(data: ReportData) -> list[Headline]:
    lines = sum(each.lines for each in data.quality.quarantine)
    if not lines:
        return []
    often = max(data.quality.quarantine, key=lambda each: each.lines)
    advice = "They are kept; `accesslake replay` reads them again."
    title = f"{count_of(lines, 'line')} could not be read"
    return [Headline("notice", title, f"Most often: {often.reason}.", "quality", advice)]


def _name(detections: list[Detected]) -> str:
    named = ", ".join(f"{each.name} ({show_count(each.findings)})" for each in detections[:_NAMED])
    return named + (" and others" if len(detections) > _NAMED else "")
