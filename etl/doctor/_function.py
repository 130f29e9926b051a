"""Checks of a function: what it is told, what calls it, and that it may run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from etl.doctor._check import Check, Found, judge

_UPDATE: Final = "update the stack"


def environment_check(name: str, function: Found, wanted: Mapping[str, str], *, expected: str) -> Check:
    """It works on this stack's lake, as its parameters say."""

    def problems(found: dict[str, Any]) -> Iterator[str]:
        variables = found.get("Environment", {}).get("Variables", {})
        for variable, value in wanted.items():
            there = variables.get(variable, "")
            if (there.rstrip("/") if variable == "ACCESSLAKE_LAKE" else there) != value:
                yield f"{variable} is {there or 'not set'}, not {value}"

    return judge(name, function, problems, expected=expected, advice=_UPDATE)


def trigger_check(name: str, event_source: Found) -> Check:
    """Its queue calls it, and hears of each message alone."""
    return judge(
        name,
        event_source,
        _trigger_problems,
        expected="enabled, answers for each message",
        advice=f"{_UPDATE}; one that is disabled was switched off by hand",
    )


def concurrency_check(name: str, concurrency: Found, *, least: int) -> Check:
    """The template reserves nothing: what is reserved by hand is a limit too, and none at all stops the function
    (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html)."""

    def problems(found: dict[str, Any]) -> Iterator[str]:
        reserved = found.get("ReservedConcurrentExecutions")
        if reserved == 0:
            yield "it is stopped: no run is allowed"
        elif reserved is not None and reserved < least:
            yield f"{reserved} at once, and {least} are called"

    return judge(
        name,
        concurrency,
        problems,
        expected=f"nothing reserved, or at least {least}",
        advice="aws lambda delete-function-concurrency takes the limit away",
    )


def _trigger_problems(event_source: dict[str, Any]) -> Iterator[str]:
    if event_source.get("State") != "Enabled":
        yield f"it is {event_source.get('State')}"
    if "ReportBatchItemFailures" not in event_source.get("FunctionResponseTypes", []):
        yield "one bad message fails its whole batch"
