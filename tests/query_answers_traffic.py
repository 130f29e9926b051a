"""Plain-Python answers: who sends how much, what fails, what takes long, and what the 2019 recipe asked."""

from __future__ import annotations

import datetime as dt

from query_answers_rows import (
    Answer,
    Day,
    Row,
    Seen,
    bytes_sent,
    distinct,
    groups,
    has_failed,
    in_order,
    is_ambiguous,
    when,
)

from etl.schema import SCHEMA

ALL_COLUMNS = (*(name for name in SCHEMA.names if name != "event_date"), "event_date", "batch_id")


def top_requesters(seen: Seen, since: Day = "-30d", until: Day = "today", rows: int = 20) -> Answer:
    found = [
        of
        | {
            "requests": len(some),
            "failed": sum(map(has_failed, some)),
            "bytes_sent": bytes_sent(some),
            "buckets": distinct(some, "bucket_name"),
        }
        | when(some)
        for of, some in groups(seen.between(since, until), "requester")
    ]
    return in_order(found, "-requests", "requester", limit=rows)


def requests_by_day_and_operation(seen: Seen, since: Day = "-30d", until: Day = "today") -> Answer:
    found = [
        of | {"requests": len(some), "failed": sum(map(has_failed, some)), "bytes_sent": bytes_sent(some)}
        for of, some in groups(seen.between(since, until), "event_date", "operation")
    ]
    return in_order(found, "event_date", "-requests", "operation")


def errors_by_code(seen: Seen, since: Day = "-30d", until: Day = "today") -> Answer:
    errors = [row for row in seen.between(since, until) if row["error_code"] is not None or has_failed(row)]
    found = [
        of
        | {
            "requests": len(some),
            "requesters": distinct(some, "requester"),
            "addresses": distinct(some, "remote_ip"),
        }
        | when(some)
        for of, some in groups(errors, "error_code", "http_status")
    ]
    return in_order(found, "-requests", "error_code", "http_status")


def bytes_out_by_bucket_and_requester(seen: Seen, since: Day = "-30d", until: Day = "today", rows: int = 100) -> Answer:
    sent = [row for row in seen.between(since, until) if row["bytes_sent_size"]]
    found = [
        of | {"requests": len(some), "bytes_sent": bytes_sent(some)}
        for of, some in groups(sent, "bucket_name", "requester")
    ]
    return in_order(found, "-bytes_sent", "bucket_name", "requester", limit=rows)


def slowest_operations(seen: Seen, since: Day = "-30d", until: Day = "today", rows: int = 20) -> Answer:
    timed = [row for row in seen.between(since, until) if row["total_duration"] is not None]
    found = []
    for of, some in groups(timed, "operation"):
        durations = sorted(row["total_duration"] for row in some)

        def percentile(percent: int, durations: list[int] = durations) -> int:
            # The first that so many percent of all do not exceed.
            return next(
                duration for place, duration in enumerate(durations, start=1) if place * 100 >= percent * len(durations)
            )

        found.append(
            of
            | {
                "requests": len(some),
                "median_ms": percentile(50),
                "p95_ms": percentile(95),
                "p99_ms": percentile(99),
                "max_ms": durations[-1],
            }
        )
    return in_order(found, "-p99_ms", "-max_ms", "operation", limit=rows)


# --- The recipe -------------------------------------------------------------------------------------------------------


def recipe_first_rows(seen: Seen, since: Day = "-1d", until: Day = "today", rows: int = 10) -> Answer:
    found = [{name: row[name] for name in ALL_COLUMNS} for row in seen.between(since, until)]
    return in_order(found, "request_time", "source_key", "line_no", limit=rows)


def counts_as_sigv2(row: Row) -> bool:
    """Clean rows count, and cut ones whose line goes on after the signature version."""
    if row["signature_version"] != "SigV2" or is_ambiguous(row):
        return False
    return row["parse_status"] == "clean" or (row["raw_line"] is not None and row["raw_line"].split()[-1] != "SigV2")


def _recent_sigv2(seen: Seen, hours: int, until: Day) -> list[Row]:
    end = min(seen.now, dt.datetime.fromisoformat(until) + dt.timedelta(days=1))
    return [
        row
        for row in seen.between("0001-01-01", until)
        if row["request_time"] > end - dt.timedelta(hours=hours) and counts_as_sigv2(row)
    ]


def recipe_sigv2_by_client(seen: Seen, hours: int = 24, until: Day = "today") -> Answer:
    names = ("remote_ip", "requester", "bucket_name", "operation", "user_agent")
    found = [
        {"cnt": len(some)} | of for of, some in groups(_recent_sigv2(seen, hours, until), *names, "signature_version")
    ]
    return in_order(found, "-cnt", *names)


def recipe_sigv2_by_user_agent(seen: Seen, hours: int = 24, until: Day = "today") -> Answer:
    names = ("bucket_name", "user_agent")
    found = [
        {"cnt": len(some)} | of for of, some in groups(_recent_sigv2(seen, hours, until), *names, "signature_version")
    ]
    return in_order(found, "-cnt", *names)
