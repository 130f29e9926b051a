"""Checks of compaction: the function with what calls it, and how far the lake is, whoever compacts it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from etl.doctor._check import Check, Found, Unreadable, judge
from etl.doctor._deployed import Compactor, Deployed, Progress, Stack
from etl.doctor._function import concurrency_check, environment_check
from etl.doctor._queue import dead_letters_check

SEAL_HOURS: Final = 26
GRACE_DAYS: Final = 7
"""What the template's parameters are by default."""
_SCHEDULE: Final = "cron(30 3 * * ? *)"
_RETRIES: Final = 2
_LATE: Final = timedelta(hours=26)
"""As the alarm of a missed run has it: a day, and what a run may be later than that of the day before."""
_STALE: Final = timedelta(days=1)
_UPDATE: Final = "update the stack"
_RUN: Final = (
    "read the function's log for the reason; what does not fit into it: accesslake compact --lake {} on a machine"
)


def compaction_checks(deployed: Deployed) -> Iterator[Check]:
    """The function, unless it compacts elsewhere; and whether what may be compacted is."""
    stack = deployed.stack
    mode = stack.parameters.get("Compaction", "scheduled")
    if deployed.compactor is not None:
        yield from _function_checks(deployed.compactor, stack, mode)
    elif mode != "elsewhere":
        yield Check("compaction function", False, "is missing", "a function that compacts", _UPDATE)
    yield from _progress_checks(deployed.progress, stack)


def _function_checks(compactor: Compactor, stack: Stack, mode: str) -> Iterator[Check]:
    wanted = {
        "ACCESSLAKE_LAKE": stack.lake_uri,
        "ACCESSLAKE_GRACE_DAYS": stack.parameters.get("CompactionGraceDays", str(GRACE_DAYS)),
        "ACCESSLAKE_SEAL_HOURS": stack.parameters.get("CompactionSealHours", str(SEAL_HOURS)),
    }
    yield environment_check(
        "compaction environment",
        compactor.function,
        wanted,
        expected=f"lake {stack.lake_uri}, grace and seal of the stack",
    )
    yield concurrency_check("compaction concurrency", compactor.concurrency, least=1)
    state = "ENABLED" if mode == "scheduled" else "DISABLED"
    expression = stack.parameters.get("CompactionSchedule", _SCHEDULE)
    yield judge(
        "compaction schedule",
        compactor.schedule,
        lambda found: _schedule_problems(found, stack, compactor.dead_letters, state=state, expression=expression),
        expected=f"{state}, {expression} UTC, calls the function, failures to its dead-letter queue",
        advice=f"{_UPDATE}; one that has another state was switched by hand",
    )
    yield judge(
        "compaction retries",
        compactor.retries,
        lambda found: _retry_problems(found, compactor.dead_letters),
        expected=f"{_RETRIES} more tries, then to the dead-letter queue",
        advice=f"{_UPDATE}: a run that fails is forgotten otherwise",
    )
    yield dead_letters_check(
        "compaction dead letters",
        compactor.dead_letters,
        advice=f"{_RUN.format(stack.lake_uri)}; then delete the messages, one run takes all sealed days",
    )


def _schedule_problems(
    schedule: dict[str, Any], stack: Stack, dead_letters: Found, *, state: str, expression: str
) -> Iterator[str]:
    if schedule.get("State") != state:
        yield f"it is {schedule.get('State')}, not {state}"
    if schedule.get("ScheduleExpression") != expression:
        yield f"it is {schedule.get('ScheduleExpression')}, not {expression}"
    if schedule.get("ScheduleExpressionTimezone", "UTC") != "UTC":
        yield f"in the time of {schedule.get('ScheduleExpressionTimezone')}"
    target = schedule.get("Target", {})
    if not str(target.get("Arn", "")).endswith(f":function:{stack.outputs['CompactorName']}"):
        yield f"it calls {target.get('Arn')}"
    yield from _leads_to(target.get("DeadLetterConfig", {}).get("Arn"), dead_letters)


def _retry_problems(retries: dict[str, Any], dead_letters: Found) -> Iterator[str]:
    if retries.get("MaximumRetryAttempts", _RETRIES) != _RETRIES:
        yield f"{retries['MaximumRetryAttempts']} more tries"
    yield from _leads_to(retries.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"), dead_letters)


def _leads_to(arn: object, dead_letters: Found) -> Iterator[str]:
    if not arn:
        yield "failures go nowhere"
    elif not isinstance(dead_letters, Unreadable) and arn != dead_letters.get("QueueArn"):
        yield f"failures go to {arn}"


def _progress_checks(progress: Progress | Unreadable, stack: Stack) -> Iterator[Check]:
    seal = timedelta(hours=int(stack.parameters.get("CompactionSealHours", SEAL_HOURS)))
    hours = int(_LATE.total_seconds()) // 3600
    advice = _RUN.format(stack.lake_uri)
    yield judge(
        "compaction lag",
        progress,
        lambda found: _lag(found, seal),
        expected=f"each raw day is compacted {hours} hours after it was sealed, at the latest",
        advice=f"{advice}. Queries are right, and read more the longer it lasts",
    )
    yield judge(
        "compaction plan",
        progress,
        _stale_plan,
        expected="no plan waits for more than a day",
        advice=f"{advice}. It carries out the plan that is there, and no other batch can pass it",
    )
    yield judge(
        "stragglers",
        progress,
        lambda found: [f"{found.stragglers:,} file(s) that no query sees"] if found.stragglers else (),
        expected="no file came into a day that is compacted already",
        advice="the next run takes them in, accesslake audit names them; if it is usual, raise CompactionSealHours",
    )


def _lag(progress: Progress, seal: timedelta) -> Iterator[str]:
    if not progress.waiting:
        return
    oldest = min(progress.waiting)
    ended = datetime.fromisoformat(oldest).replace(tzinfo=UTC) + timedelta(days=1)
    if progress.seen_at - ended > seal + _LATE:
        days, files = len(progress.waiting), sum(progress.waiting.values())
        last = f"the last commit was {_ago(progress)}" if progress.committed_at else "no commit is known"
        yield f"{days} sealed day(s) from {oldest} on wait, {files:,} file(s); {last}"


def _stale_plan(progress: Progress) -> Iterator[str]:
    if progress.planned_at is not None and progress.seen_at - progress.planned_at > _STALE:
        yield f"one of {progress.planned_at:%Y-%m-%d %H:%M} UTC waits"


def _ago(progress: Progress) -> str:
    hours = (progress.seen_at - datetime.fromisoformat(progress.committed_at)) // timedelta(hours=1)
    return f"{hours} hours ago"
