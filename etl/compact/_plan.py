"""What a batch rewrites: pure."""

from __future__ import annotations

from collections.abc import Iterable

from etl.lake import Input, Plan
from etl.lake._layout import next_batch


def plan_batch(*, last_batch: str, readable: Iterable[Input], unreadable: Iterable[Input]) -> Plan | None:
    """The plan of the batch after `last_batch`, or None if there is nothing to rewrite.

    The id depends on nothing but the last one, so rivals plan the same batch and only one of their plans is created. An
    unreadable object alone is worth a batch: until it is left out by a commit, every reader stumbles over it.
    """
    inputs = tuple(sorted(readable, key=lambda item: item.key))
    left_out = tuple(sorted(unreadable, key=lambda item: item.key))
    if not inputs and not left_out:
        return None
    return Plan(next_batch(last_batch), inputs, left_out)
