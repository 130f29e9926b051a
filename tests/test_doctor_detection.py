"""The doctor on detection: that the detector hears of every new file, and keeps up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from doctor_stack import SEEN_AT, STACK, assert_one_fails, deployed, detector, failing

from etl.doctor import Deployed, Detector, Unreadable, examine


def announced(found: Any) -> Any:
    return found.notification["QueueConfigurations"][0]


def rules(found: Any) -> Any:
    return announced(found)["Filter"]["Key"]["FilterRules"]


DRIFT: list[tuple[str, str, Callable[[Any], Any]]] = [
    (
        "detection environment",
        "ACCESSLAKE_LAKE is s3://x",
        lambda d: d.function["Environment"]["Variables"].update(ACCESSLAKE_LAKE="s3://x"),
    ),
    ("detection concurrency", "it is stopped", lambda d: d.concurrency.update(ReservedConcurrentExecutions=0)),
    ("detection concurrency", "1 at once, and 2", lambda d: d.concurrency.update(ReservedConcurrentExecutions=1)),
    ("detection trigger", "it is Disabled", lambda d: d.event_source.update(State="Disabled")),
    ("detection trigger", "one bad message", lambda d: d.event_source.update(FunctionResponseTypes=[])),
    ("detection notification", "hears of no new file", lambda d: d.notification.clear()),
    ("detection notification", "hears of no new file", lambda d: announced(d).update(QueueArn="arn:x")),
    ("detection notification", "hears of no new file", lambda d: announced(d).update(Events=["s3:ObjectCreated:Put"])),
    ("detection notification", "hears of no new file", lambda d: rules(d)[0].update(Value="some/lake/raw/x/")),
    ("detection notification", "hears of no new file", lambda d: rules(d)[1].update(Value=".json")),
    ("detection visibility", "1019 s", lambda d: d.queue.update(VisibilityTimeout="1019")),
    ("detection redrive", "there is none", lambda d: d.queue.pop("RedrivePolicy")),
    ("detection policy", "S3 may not send to it", lambda d: d.queue.pop("Policy")),
    (
        "detection backlog",
        "the oldest of 1,234 message(s) has waited for 3,601 s",
        lambda d: d.age["Datapoints"][0].update(Maximum=3601.0),
    ),
    ("detection dead letters", "5 message(s)", lambda d: d.dead_letters.update(ApproximateNumberOfMessages="5")),
]


@pytest.mark.parametrize(("name", "word", "drift"), DRIFT, ids=[f"{name}: {word}" for name, word, _ in DRIFT])
def test_what_drifts_fails_one_check_that_says_what_to_do(name: str, word: str, drift: Callable[[Any], Any]) -> None:
    found = deployed()
    drift(found.detector)
    assert_one_fails(found, name, word)


def test_every_check_can_fail() -> None:
    names = {check.name for check in examine(deployed()) if check.name.startswith("detection")}
    assert {name for name, _, _ in DRIFT} == names


def with_detector(found: Detector | None, **parameters: str) -> Deployed:
    stack = replace(STACK, parameters={**STACK.parameters, **parameters})
    return replace(deployed(), stack=stack, detector=found)


def test_a_stack_without_detection_has_none() -> None:
    assert failing(with_detector(None, Detection="No")) == []


def test_a_function_that_should_be_there_and_is_not_is_missing() -> None:
    (check,) = failing(with_detector(None))
    assert (check.name, check.found) == ("detection function", "is missing")


@pytest.mark.parametrize("kept", [[], [0], [1]], ids=["no filter", "prefix alone", "suffix alone"])
def test_a_notification_of_more_than_the_new_files_will_do(kept: list[int]) -> None:
    found = detector()
    announced(found)["Filter"]["Key"]["FilterRules"] = [rules(found)[number] for number in kept]
    assert failing(with_detector(found)) == []


def test_a_queue_without_messages_for_hours_has_no_age() -> None:
    assert failing(with_detector(replace(detector(), age={"Datapoints": []}))) == []


def test_the_newest_figure_counts() -> None:
    older = {"Timestamp": SEEN_AT - timedelta(minutes=5), "Maximum": 9e9}
    newest = {"Timestamp": SEEN_AT, "Maximum": 0.0}
    assert failing(with_detector(replace(detector(), age={"Datapoints": [newest, older]}))) == []


def test_the_age_is_told_beside_a_queue_that_cannot_be_read() -> None:
    found = replace(
        detector(), queue=Unreadable("denied"), age={"Datapoints": [{"Timestamp": SEEN_AT, "Maximum": 1e6}]}
    )
    told = {check.name: check.found for check in failing(with_detector(found))}
    assert told.pop("detection backlog").endswith("1,000,000 s")
    assert set(told.values()) == {"denied"}
