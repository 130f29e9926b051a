"""Compaction, step by step; each step may be repeated by anybody, and only the last one shows.

Read state, plan (create-once), rewrite into an attempt of one's own, verify, elect (create-once), publish (create-once),
commit (create-once in files, compare-and-swap in Glue), collect. A run that finds a step done by another, or by itself before a
crash, adopts it.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from etl.catalog import open_lake
from etl.compact._inspect import find_misnamed, inspect_inputs
from etl.compact._plan import BatchLimit, choose_objects, plan_batch
from etl.compact._protocol import OnRows, Rewrite
from etl.compact._rewrite import DEFAULT_TARGET_BYTES, rewrite
from etl.compact._verify import verify
from etl.errors import LakeError, ObjectNotFound, RowsNotConserved
from etl.lake import (
    AT_ONCE,
    Lake,
    Output,
    Plan,
    State,
    Winner,
    commit_of,
    create_record,
    put_runs_together,
    read_plan,
    read_winner,
    request_each,
    sweep_scratch,
)
from etl.lake._layout import (
    BATCHES_PER_RUN,
    COMPACTED,
    RAW,
    STAGING,
    commit_key,
    day_of,
    is_of_batch,
    next_batch,
    plan_key,
    staged_key,
    winner_key,
)

DEFAULT_GRACE: Final = timedelta(days=7)
"""How long raw objects outlive their commit: longer than any query that may still read them."""
DEFAULT_SEAL_DELAY: Final = timedelta(hours=26)
"""How long after its end a raw day may still get objects: Firehose tries for 24 hours
(https://docs.aws.amazon.com/firehose/latest/dev/retry.html)."""
_COPIED_BYTES: Final = 1 << 30
"""Of files that are published side by side: four of the usual size."""


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
    """Raw objects that could not be read: kept, and hidden from readers. Of a back-fill, log objects: not in the lake."""
    collected: int
    """Raw objects of earlier batches that were deleted."""
    stragglers: tuple[str, ...] = ()
    """Raw objects that came after their day was sealed, hidden from queries until now. Only where Glue keeps the state."""


def compact(
    lake: str,
    *,
    rewrite: Rewrite = rewrite,
    target_bytes: int = DEFAULT_TARGET_BYTES,
    grace: timedelta = DEFAULT_GRACE,
    seal_delay: timedelta = DEFAULT_SEAL_DELAY,
    limit: BatchLimit | None = None,
    now: datetime | None = None,
    on_rows: OnRows = lambda done, planned: None,
) -> Compacted:
    """Rewrite raw objects that no committed batch holds into large sorted files by event day.

    Readers see the old state or the new one, nothing between. Where Glue keeps the state, queries see raw/ by day, and only days
    that ended at least `seal_delay` ago are rewritten; everywhere else all of raw/ is. A plan that is there already is carried
    out instead, a back-fill's too. `rewrite` is the engine, `limit` what it can take at once, `now` the clock's by default.
    `on_rows` is told the rows that are written and those that were planned. Raises `RowsNotConserved` before anything is
    committed, `LakeUnusable` for trouble after which the next run goes on.
    """
    opened = open_lake(lake)
    sweep_scratch(opened.store)
    plan = read_or_create_plan(opened, now=now, seal_delay=seal_delay, limit=limit)
    if plan is None:
        return Compacted(None, 0, 0, 0, 0, 0, (), collect(opened, now=now, grace=grace))
    winner = carry_out(opened, plan, rewrite=rewrite, target_bytes=target_bytes, now=now, on_rows=on_rows)
    collected = collect(opened, now=now, grace=grace)
    return Compacted(
        plan.batch,
        winner.rows + winner.duplicates,
        winner.rows,
        winner.duplicates,
        len(winner.outputs),
        sum(output.size for output in winner.outputs),
        tuple(sorted([*(item.key for item in plan.left_out), *winner.left_out])),
        collected,
        plan.stragglers,
    )


def carry_out(
    lake: Lake,
    plan: Plan,
    *,
    rewrite: Rewrite = rewrite,
    target_bytes: int = DEFAULT_TARGET_BYTES,
    now: datetime | None = None,
    on_rows: OnRows = lambda done, planned: None,
) -> Winner:
    """All that is left to do of a plan, from its rewriting to its commit; what came out, whoever did it. Raises as `compact`."""
    try:
        return _carry_out(lake, plan, rewrite=rewrite, target_bytes=target_bytes, now=now, on_rows=on_rows)
    except LakeError:
        # An equal run may have been first, committed and tidied up what this one was still working with.
        if lake.keeper.read().batch < plan.batch:
            raise
        return read_winner(lake.store, plan.batch)


def _carry_out(
    lake: Lake, plan: Plan, *, rewrite: Rewrite, target_bytes: int, now: datetime | None, on_rows: OnRows
) -> Winner:
    winner = _elected(lake, plan)
    if winner is None:
        attempt = _rewrite_named(lake, plan, rewrite, target_bytes=target_bytes, on_rows=on_rows)
        verify(lake, plan, attempt)
        winner = elect(lake, attempt)
    publish(lake, winner)
    check_published(lake, winner)
    commit(lake, plan, winner, now=now)
    return winner


def _rewrite_named(lake: Lake, plan: Plan, rewrite: Rewrite, *, target_bytes: int, on_rows: OnRows) -> Winner:
    """An attempt at the plan, without inputs whose names no engine can be told: earlier versions planned them."""
    misnamed = find_misnamed(item.key for item in plan.inputs)
    named = replace(plan, inputs=tuple(item for item in plan.inputs if item.key not in misnamed))
    attempt = rewrite(lake, named, attempt=uuid.uuid4().hex, target_bytes=target_bytes, on_rows=on_rows)
    return replace(attempt, left_out=(*misnamed, *attempt.left_out), reasons=misnamed | {**attempt.reasons})


def _moment(now: datetime | None) -> datetime:
    return now or datetime.now(UTC)


def read_or_create_plan(
    lake: Lake,
    *,
    now: datetime | None = None,
    seal_delay: timedelta = DEFAULT_SEAL_DELAY,
    limit: BatchLimit | None = None,
) -> Plan | None:
    """The plan of the next batch: one that is there already, whatever the time is now, or a new one of what may be taken now."""
    state = lake.keeper.read()
    pending = read_pending_plan(lake, state)
    if pending is not None:
        return pending
    chosen = choose_objects(
        lake.uncompacted(), raw_since=state.raw_since, now=_moment(now), seal_delay=seal_delay, limit=limit
    )
    readable, unreadable = inspect_inputs(lake.store, chosen.objects)
    plan = plan_batch(
        last_batch=state.batch,
        readable=readable,
        unreadable=unreadable,
        raw_since=chosen.raw_since,
        stragglers=chosen.stragglers,
    )
    return None if plan is None else create_plan(lake, plan)


def read_pending_plan(lake: Lake, state: State) -> Plan | None:
    """The plan of the batch after this state, if there is one: it is carried out before anything else is planned."""
    try:
        return read_plan(lake.store, next_batch(state.batch))
    except ObjectNotFound:
        return None


def create_plan(lake: Lake, plan: Plan) -> Plan:
    """Make this the plan of its batch, unless another one is; the one that counts."""
    return plan if create_record(lake.store, plan_key(plan.batch), plan) else read_plan(lake.store, plan.batch)


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
    """Give the winner's files their final names.

    Raises `RowsNotConserved` if a name holds something else, `ObjectNotFound` if an elected file is gone from staging.
    """
    present = {stored.key: stored.size for stored in lake.store.list(COMPACTED)}
    missing = [output for output in winner.outputs if output.key not in present]
    for output in winner.outputs:
        if present.get(output.key, output.size) != output.size:
            raise RowsNotConserved(output.key, "exists with another size than the elected file")

    def copy(output: Output) -> bool:
        staged = staged_key(winner.batch, winner.attempt, output.key)
        try:
            return lake.store.copy(staged, output.key)
        except ObjectNotFound as error:
            raise ObjectNotFound(
                f"{lake.uri}/{staged}",
                f"this file of batch {winner.batch} was elected and is gone; nothing of the batch is committed",
                hint=f"while nothing runs, delete {winner_key(winner.batch)} and {COMPACTED}*/{winner.batch}-*, "
                "then accesslake compact",
            ) from error

    # A bucket's file is in memory while it is copied.
    largest = max((output.size for output in missing), default=1)
    at_once = max(1, min(AT_ONCE, _COPIED_BYTES // largest))
    for _ in request_each(lake.store, copy, missing, at_once=at_once):
        pass


def check_published(lake: Lake, winner: Winner) -> None:
    """Hold the batch's final names against its winner. Raises `RowsNotConserved` unless exactly its files are there."""
    wanted = {output.key: output.size for output in winner.outputs}
    found = {stored.key: stored.size for stored in lake.store.list(COMPACTED) if is_of_batch(stored.key, winner.batch)}
    for key in sorted(wanted.keys() | found.keys()):
        if key not in found:
            raise RowsNotConserved(key, f"is missing, batch {winner.batch} was not committed")
        if wanted.get(key) != found[key]:
            raise RowsNotConserved(key, f"is no file of batch {winner.batch}, which was not committed")


def commit(lake: Lake, plan: Plan, winner: Winner, *, now: datetime | None = None) -> None:
    """Make the batch visible, in one step. If it is visible already, an equal run was first.

    Where Glue keeps the state that step is the change of the view, and the record is a journal, written after it: the time in it
    is never before the commit, so raw objects are never deleted too early.
    """
    days = {day_of(output.key) for output in winner.outputs}
    lake.keeper.advance(State(plan.batch, plan.raw_since), event_days=days)
    record = commit_of(plan, winner, committed_at=_iso(_moment(now)))
    create_record(lake.store, commit_key(plan.batch), record)


def collect(lake: Lake, *, now: datetime | None = None, grace: timedelta) -> int:
    """Delete raw objects whose batch was committed at least `grace` ago, and what its attempts left in staging; how many objects.

    Complete runs of commit records are put together besides.
    The age of a commit goes from one machine's clock to another's, which have to agree. A batch is committed after the one before
    it, so one whose clock was slow has at least that one's time; one whose clock was fast waits for itself alone.
    A batch whose run ended before it wrote its record gets one now: its grace starts late rather than early.
    """
    present = {stored.key for stored in lake.store.list(RAW)}
    staged: defaultdict[str, list[str]] = defaultdict(list)
    for stored in lake.store.list(STAGING):
        staged[stored.key.removeprefix(STAGING).partition("/")[0]].append(stored.key)
    consumed: list[str] = []
    tidied: list[str] = []
    recorded = 0
    latest = datetime.min.replace(tzinfo=UTC)
    for found in lake.commits():
        recorded += 1
        # Not before the batch was seen: another run may just have committed it, and write a later time.
        moment = _moment(now)
        committed_at = found.committed_at or _iso(moment)
        if not found.committed_at:
            create_record(lake.store, commit_key(found.batch), replace(found, committed_at=committed_at))
        committed = datetime.fromisoformat(committed_at)
        if committed <= moment:
            latest = committed = max(latest, committed)
        if moment - committed < grace:
            continue
        consumed += [item.key for item in found.inputs if item.key in present]
        tidied += staged[found.batch]
    for _ in request_each(lake.store, lake.store.delete, [*consumed, *tidied]):
        pass
    if recorded >= BATCHES_PER_RUN:
        put_runs_together(lake.store)
    return len(consumed)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
