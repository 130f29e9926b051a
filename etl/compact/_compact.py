"""Compaction, step by step; each step may be repeated by anybody, and only the last one shows.

Read state, plan (create-once), rewrite into an attempt of one's own, verify, elect (create-once), publish (create-once),
commit (create-once), collect. A run that finds a step done by another, or by itself before a crash, adopts it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from etl.compact._inspect import inspect_inputs
from etl.compact._plan import plan_batch
from etl.compact._rewrite import DEFAULT_TARGET_BYTES, rewrite
from etl.compact._verify import verify
from etl.errors import ObjectNotFound, RowsNotConserved
from etl.lake import Commit, Lake, Plan, Winner, create_record, open_lake, read_commits, read_plan, read_winner
from etl.lake._layout import STAGING, commit_key, next_batch, plan_key, staged_key, winner_key

DEFAULT_GRACE: Final = timedelta(days=7)
"""How long raw objects outlive their commit: longer than any query that may still read them."""


@dataclass(frozen=True)
class Compacted:
    """What a compaction did; `batch` is None if there was nothing to do."""

    batch: str | None
    rows_in: int
    rows_out: int
    duplicates: int
    files: int
    bytes: int
    left_out: tuple[str, ...]
    """Raw objects that could not be read: kept, and hidden from readers."""
    collected: int
    """Raw objects of earlier batches that were deleted."""


def compact(
    lake: str,
    *,
    target_bytes: int = DEFAULT_TARGET_BYTES,
    grace: timedelta = DEFAULT_GRACE,
    now: datetime | None = None,
) -> Compacted:
    """Rewrite every raw object that no committed batch holds into large sorted files by event day.

    Readers see the old state or the new one, nothing between. Raises `RowsNotConserved` before anything is published.
    """
    opened = open_lake(lake)
    moment = now or datetime.now(UTC)
    plan = read_or_create_plan(opened)
    if plan is None:
        return Compacted(None, 0, 0, 0, 0, 0, (), collect(opened, now=moment, grace=grace))
    winner = _elected(opened, plan)
    if winner is None:
        attempt = rewrite(opened, plan, attempt=uuid.uuid4().hex, target_bytes=target_bytes)
        verify(opened, plan, attempt)
        winner = elect(opened, attempt)
    publish(opened, winner)
    commit(opened, plan, winner, now=moment)
    collected = collect(opened, now=moment, grace=grace)
    return Compacted(
        plan.batch,
        winner.rows + winner.duplicates,
        winner.rows,
        winner.duplicates,
        len(winner.outputs),
        sum(output.size for output in winner.outputs),
        tuple(sorted([*(item.key for item in plan.left_out), *winner.left_out])),
        collected,
    )


def read_or_create_plan(lake: Lake) -> Plan | None:
    """The plan of the next batch: one that is there already, or a new one of all raw objects in no committed plan."""
    last = ""
    for found in read_commits(lake.store):
        last = found.batch
    batch = next_batch(last)
    try:
        return read_plan(lake.store, batch)
    except ObjectNotFound:
        readable, unreadable = inspect_inputs(lake.store, lake.uncompacted())
        plan = plan_batch(last_batch=last, readable=readable, unreadable=unreadable)
        if plan is not None and not create_record(lake.store, plan_key(batch), plan):
            return read_plan(lake.store, batch)
        return plan


def _elected(lake: Lake, plan: Plan) -> Winner | None:
    try:
        return read_winner(lake.store, plan.batch)
    except ObjectNotFound:
        return None


def elect(lake: Lake, attempt: Winner) -> Winner:
    """Make the attempt the batch's output, unless another one is."""
    if create_record(lake.store, winner_key(attempt.batch), attempt):
        return attempt
    return read_winner(lake.store, attempt.batch)


def publish(lake: Lake, winner: Winner) -> None:
    """Give the winner's files their final names. Raises `RowsNotConserved` if a name holds something else."""
    present = {stored.key: stored.size for stored in lake.store.list("compacted/")}
    for output in winner.outputs:
        if output.key not in present:
            lake.store.copy(staged_key(winner.batch, winner.attempt, output.key), output.key)
        elif present[output.key] != output.size:
            raise RowsNotConserved(output.key, "exists with another size than the elected file")


def commit(lake: Lake, plan: Plan, winner: Winner, *, now: datetime) -> None:
    """Make the batch visible: one object, created once. If it exists, an equal run was first."""
    inputs = tuple(item for item in plan.inputs if item.key not in winner.left_out)
    left_out = (*plan.left_out, *(item for item in plan.inputs if item.key in winner.left_out))
    record = Commit(plan.batch, inputs, left_out, winner.outputs, winner.folded, now.astimezone(UTC).isoformat())
    create_record(lake.store, commit_key(plan.batch), record)


def collect(lake: Lake, *, now: datetime, grace: timedelta) -> int:
    """Delete raw objects whose batch was committed at least `grace` ago, and what its attempts left in staging."""
    deleted = 0
    present = {stored.key for stored in lake.store.list("raw/")}
    for found in read_commits(lake.store):
        if now - datetime.fromisoformat(found.committed_at) < grace:
            continue
        for item in found.inputs:
            if item.key in present:
                lake.store.delete(item.key)
                deleted += 1
        for staged in list(lake.store.list(f"{STAGING}{found.batch}/")):
            lake.store.delete(staged.key)
    return deleted
