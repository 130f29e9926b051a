"""The verb `doctor`: everything that is looked at, in the order in which a log line passes it."""

from __future__ import annotations

from etl.doctor._catalog import catalog_checks
from etl.doctor._check import Check
from etl.doctor._compaction import compaction_checks
from etl.doctor._delivery import stream_checks, workgroup_check
from etl.doctor._deployed import Deployed, Stack
from etl.doctor._detection import detection_checks
from etl.doctor._intake import bucket_checks, function_checks, queue_checks


def doctor(stack: str) -> tuple[Check, ...]:
    """Compare what is deployed as a stack with what this version expects. Changes nothing.

    Raises `BadParameter` if there is no such stack, `LakeUnusable` if CloudFormation cannot be asked; whatever else cannot be
    read is a check that is not ok.
    """
    import boto3

    from etl.doctor._collect import collect

    return examine(collect(boto3.Session(), stack))


def examine(deployed: Deployed) -> tuple[Check, ...]:
    """The checks of what was collected."""
    return (
        _stack_check(deployed.stack),
        *bucket_checks(deployed),
        *queue_checks(deployed),
        *function_checks(deployed),
        *stream_checks(deployed),
        *detection_checks(deployed),
        *compaction_checks(deployed),
        *catalog_checks(deployed),
        workgroup_check(deployed),
    )


def _stack_check(stack: Stack) -> Check:
    wrong = list(stack.unfinished)
    if not stack.status.endswith("_COMPLETE") or "ROLLBACK" in stack.status:
        wrong.insert(0, f"the stack is {stack.status}")
    expected = "every resource is made"
    advice = "see the stack's events in CloudFormation" if wrong else ""
    return Check("stack", not wrong, "; ".join(wrong) or expected, expected, advice)
