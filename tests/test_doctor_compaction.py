"""The doctor on compaction: what calls the function, what becomes of its failures, and how far the lake is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from doctor_stack import SEEN_AT, STACK, assert_one_fails, deployed, failing

from etl.doctor import Compactor, Deployed, Progress, examine

HOUR = dt.timedelta(hours=1)
SECOND = dt.timedelta(seconds=1)
FUNCTION_CHECKS = {
    "compaction environment",
    "compaction concurrency",
    "compaction schedule",
    "compaction retries",
    "compaction dead letters",
}


def target(found: Any) -> Any:
    return found.schedule["Target"]


DRIFT: list[tuple[str, str, Callable[[Any], Any]]] = [
    (
        "compaction environment",
        "ACCESSLAKE_LAKE is s3://x",
        lambda c: c.function["Environment"]["Variables"].update(ACCESSLAKE_LAKE="s3://x"),
    ),
    (
        "compaction environment",
        "ACCESSLAKE_GRACE_DAYS is 0, not 7",
        lambda c: c.function["Environment"]["Variables"].update(ACCESSLAKE_GRACE_DAYS="0"),
    ),
    (
        "compaction environment",
        "ACCESSLAKE_SEAL_HOURS is not set",
        lambda c: c.function["Environment"]["Variables"].pop("ACCESSLAKE_SEAL_HOURS"),
    ),
    ("compaction concurrency", "it is stopped", lambda c: c.concurrency.update(ReservedConcurrentExecutions=0)),
    ("compaction schedule", "it is DISABLED, not ENABLED", lambda c: c.schedule.update(State="DISABLED")),
    ("compaction schedule", "it is rate(7 days)", lambda c: c.schedule.update(ScheduleExpression="rate(7 days)")),
    ("compaction schedule", "Asia/Tokyo", lambda c: c.schedule.update(ScheduleExpressionTimezone="Asia/Tokyo")),
    ("compaction schedule", "it calls arn:x", lambda c: target(c).update(Arn="arn:x")),
    ("compaction schedule", "failures go nowhere", lambda c: target(c).pop("DeadLetterConfig")),
    ("compaction schedule", "failures go to arn:x", lambda c: target(c).update(DeadLetterConfig={"Arn": "arn:x"})),
    ("compaction retries", "0 more tries", lambda c: c.retries.update(MaximumRetryAttempts=0)),
    ("compaction retries", "failures go nowhere", lambda c: c.retries.pop("DestinationConfig")),
    ("compaction dead letters", "2 message(s)", lambda c: c.dead_letters.update(ApproximateNumberOfMessages="2")),
]


@pytest.mark.parametrize(("name", "word", "drift"), DRIFT, ids=[f"{name}: {word}" for name, word, _ in DRIFT])
def test_what_drifts_fails_one_check_that_says_what_to_do(name: str, word: str, drift: Callable[[Any], Any]) -> None:
    found = deployed()
    drift(found.compactor)
    assert_one_fails(found, name, word)


def test_every_check_of_the_function_can_fail() -> None:
    assert {name for name, _, _ in DRIFT} == FUNCTION_CHECKS


def one_reserved() -> Deployed:
    found = deployed()
    assert isinstance(found.compactor, Compactor)
    return replace(found, compactor=replace(found.compactor, concurrency={"ReservedConcurrentExecutions": 1}))


def test_one_run_at_once_is_enough() -> None:
    assert failing(one_reserved()) == []


# --- Who compacts -----------------------------------------------------------------------------------------------------


def with_mode(mode: str, *, function: bool = True) -> Deployed:
    found = deployed()
    stack = replace(STACK, parameters={**STACK.parameters, "Compaction": mode})
    return replace(found, stack=stack, compactor=found.compactor if function else None)


def test_a_stack_that_is_paused_must_not_be_called() -> None:
    (check,) = failing(with_mode("paused"))
    assert (check.name, check.found) == ("compaction schedule", "it is ENABLED, not DISABLED")


def test_a_stack_that_compacts_elsewhere_has_no_function_and_is_still_watched() -> None:
    found = with_mode("elsewhere", function=False)
    assert failing(found) == []
    assert {"compaction lag", "compaction plan", "stragglers"} == {
        check.name for check in examine(found) if check.name.startswith(("compaction", "straggler"))
    }


def test_a_function_that_should_be_there_and_is_not_is_missing() -> None:
    (check,) = failing(with_mode("scheduled", function=False))
    assert (check.name, check.found, check.advice) == ("compaction function", "is missing", "update the stack")


def test_a_stack_of_a_version_without_these_parameters_has_their_defaults() -> None:
    parameters = {name: value for name, value in STACK.parameters.items() if not name.startswith("Compact")}
    assert failing(replace(deployed(), stack=replace(STACK, parameters=parameters))) == []


# --- How far it is ----------------------------------------------------------------------------------------------------


def at(**changed: Any) -> list[tuple[str, str]]:
    """(name, found) of what fails with this progress."""
    found = deployed()
    assert isinstance(found.progress, Progress)
    progress = replace(found.progress, **changed)
    return [(check.name, check.found) for check in failing(replace(found, progress=progress))]


def test_a_day_that_has_been_sealed_for_too_long_lags() -> None:
    ((name, found),) = at(seen_at=SEEN_AT + SECOND)
    assert name == "compaction lag"
    assert found == "2 sealed day(s) from 2024-05-01 on wait, 186 file(s); the last commit was 48 hours ago"


def test_a_lake_that_was_never_compacted_says_so() -> None:
    ((_, found),) = at(seen_at=SEEN_AT + SECOND, committed_at="")
    assert found.endswith("no commit is known")


def test_a_longer_seal_waits_longer() -> None:
    found = deployed()
    assert isinstance(found.progress, Progress)
    stack = replace(STACK, parameters={**STACK.parameters, "CompactionSealHours": "27"})
    compactor: Any = found.compactor
    compactor.function["Environment"]["Variables"]["ACCESSLAKE_SEAL_HOURS"] = "27"
    late = replace(found, stack=stack, progress=replace(found.progress, seen_at=SEEN_AT + HOUR))
    assert failing(late) == []
    (check,) = failing(replace(late, progress=replace(found.progress, seen_at=SEEN_AT + HOUR + SECOND)))
    assert check.name == "compaction lag"


def test_a_quiet_lake_does_not_lag_however_old_its_last_commit() -> None:
    assert at(seen_at=SEEN_AT + 9_000 * HOUR, waiting={}) == []


def test_a_plan_that_waits_for_more_than_a_day_is_stale() -> None:
    assert at(planned_at=SEEN_AT - 24 * HOUR) == []
    assert at(planned_at=SEEN_AT - 24 * HOUR - SECOND) == [("compaction plan", "one of 2024-05-03 03:59 UTC waits")]


def test_files_that_no_query_sees_are_told_at_once() -> None:
    assert at(stragglers=1_200) == [("stragglers", "1,200 file(s) that no query sees")]
