"""The compaction function: what `accesslake compact` does, on a schedule, and what became of it in the log and in metrics.

Configured by its environment: `ACCESSLAKE_LAKE` (`s3://bucket/prefix`), and if its defaults do not fit `ACCESSLAKE_TARGET_MIB`,
`ACCESSLAKE_GRACE_DAYS`, `ACCESSLAKE_SEAL_HOURS`, `ACCESSLAKE_MAX_RAW_BYTES`, `ACCESSLAKE_MAX_RAW_OBJECTS` and
`ACCESSLAKE_SCRATCH` (a folder that is the function's alone).

It may run twice at once, and be ended at any point: the steps of `etl.compact` are made for that, and the next run goes on.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from etl.arrivals import embedded_metrics
from etl.catalog import open_lake
from etl.compact import (
    DEFAULT_GRACE,
    DEFAULT_SEAL_DELAY,
    DEFAULT_TARGET_BYTES,
    MAX_TARGET_MIB,
    BatchLimit,
    Compacted,
    choose_objects,
    compact,
    rewrite,
)
from etl.errors import AccessLakeError, BadParameter, LakeUnusable, ObjectNotFound, first_line
from etl.lake import Lake, Plan, Winner, read_plan, read_winner
from etl.lake._layout import next_batch
from etl.lambdas._compaction_metrics import COMPACTION_UNITS, measure_compaction
from etl.lambdas._log import log
from etl.masking import mask

_MAX_RAW_BYTES: Final = 2560 << 20
_MAX_RAW_OBJECTS: Final = 5_000
"""What 10 GiB of scratch space and 15 minutes take, with room: docs/deploy.md has the arithmetic."""
_TIME_FACTOR: Final = 3
"""Another batch is begun if so many times what the last one took is left: batches of one limit differ."""
_MOST_NAMED: Final = 50
_MOST_FRAMES: Final = 8
_REASON_LENGTH: Final = 1000


def handler(event: object, context: Any) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html .

    A batch is what fits into the function, and a backlog is worked off batch by batch while there is time for one more; what is
    left is the next run's. The answer is the last batch. A failure is raised, so that Lambda tries again, and hands the event to
    the dead-letter queue in the end. The error goes with it, so it is one line without credentials.
    """
    answer: dict[str, Any] = {}
    while True:
        start = time.monotonic()
        facts, is_more = _run_batch(context.function_name)
        took = time.monotonic() - start
        if facts["batch"] is not None or not answer:
            answer = facts
        if not is_more or context.get_remaining_time_in_millis() < took * 1000 * _TIME_FACTOR:
            return answer


def _run_batch(function: str) -> tuple[dict[str, Any], bool]:
    """Compact one batch, and tell of it; whether there may be another."""
    start, now = time.monotonic(), datetime.now(UTC)
    try:
        done, is_more = _compact(now)
    except Exception as error:
        told = _without_secrets(error)
        # Where it was, without the texts of the errors on the way, which quote what comes from outside.
        frames = [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
        ]
        log("ERROR", "compaction failed", reason=str(told), at=frames[-_MOST_FRAMES:])
        raise told from None
    facts = {**vars(done), "left_out": len(done.left_out), "stragglers": len(done.stragglers)}
    log("INFO", "compaction", **facts)
    _name("ERROR", done.left_out, f"cannot be read and is left out of batch {done.batch}; it stays where it is")
    _name("WARNING", done.stragglers, f"came after its day was sealed, and is in batch {done.batch} now")
    metrics = measure_compaction(done, seconds=time.monotonic() - start)
    print(embedded_metrics(metrics, function=function, now=now, units=COMPACTION_UNITS), flush=True)
    return facts, is_more


def _compact(now: datetime) -> tuple[Compacted, bool]:
    uri = os.environ.get("ACCESSLAKE_LAKE", "")
    if not uri:
        raise BadParameter("ACCESSLAKE_LAKE", "is not set")
    seal_delay = timedelta(hours=_number("ACCESSLAKE_SEAL_HOURS", DEFAULT_SEAL_DELAY // timedelta(hours=1)))
    target_mib = _number("ACCESSLAKE_TARGET_MIB", DEFAULT_TARGET_BYTES >> 20, least=1, most=MAX_TARGET_MIB)
    grace = timedelta(days=_number("ACCESSLAKE_GRACE_DAYS", DEFAULT_GRACE.days))
    limit = BatchLimit(
        objects=_number("ACCESSLAKE_MAX_RAW_OBJECTS", _MAX_RAW_OBJECTS),
        bytes=_number("ACCESSLAKE_MAX_RAW_BYTES", _MAX_RAW_BYTES),
    )
    _clear_scratch()
    sizes, is_more = look_ahead(open_lake(uri), now=now, seal_delay=seal_delay, limit=limit)
    if sum(sizes) > limit.bytes or len(sizes) > limit.objects:
        raise LakeUnusable(
            uri,
            f"the next batch has {len(sizes):,} objects of {sum(sizes):,} bytes, and {limit.objects:,} of {limit.bytes:,} fit",
            hint="run accesslake compact on a machine once, or with --engine spark; the schedule goes on after it",
        )
    done = compact(
        uri, rewrite=rewrite_raw, target_bytes=target_mib << 20, grace=grace, seal_delay=seal_delay, limit=limit
    )
    return done, is_more


def rewrite_raw(lake: Lake, plan: Plan, **options: Any) -> Winner:
    """The engine of one machine, but for log objects: this function's role reads no log bucket, and writes no quarantine/.

    It would elect an empty batch, and throw away what the back-fill that planned it has read until then. Raises `LakeUnusable`.
    """
    if plan.logs:
        raise LakeUnusable(
            lake.uri,
            f"batch {plan.batch} is a back-fill's, of {len(plan.logs):,} log objects, which this function may not read",
            hint="go on with the back-fill where it ran; the schedule goes on after it",
        )
    return rewrite(lake, plan, **options)


def look_ahead(
    lake: Lake, *, now: datetime, seal_delay: timedelta, limit: BatchLimit | None = None
) -> tuple[list[int], bool]:
    """Sizes of what the next batch has to rewrite, and whether there may be more to do after it.

    They are the raw objects of a plan that stands, or those that may be planned; none of a batch that has been rewritten
    already, which only has to be published, and none of a back-fill's, which is not rewritten here.
    """
    state = lake.keeper.read()
    batch = next_batch(state.batch)
    try:
        plan = read_plan(lake.store, batch)
    except ObjectNotFound:
        chosen = choose_objects(
            lake.uncompacted(), raw_since=state.raw_since, now=now, seal_delay=seal_delay, limit=limit
        )
        return [stored.size for stored in chosen.objects], chosen.waiting > 0
    try:
        read_winner(lake.store, batch)
    except ObjectNotFound:
        return [item.size for item in plan.inputs], True
    return [], True


def _clear_scratch() -> None:
    """Start with an empty scratch folder: a run that was ended in its middle leaves gigabytes, which its successor may find."""
    scratch = os.environ.get("ACCESSLAKE_SCRATCH")
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)
        Path(scratch).mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = scratch


def _name(level: str, keys: Sequence[str], what: str) -> None:
    """A line for each object, up to a number of them: a bad day must not flood the log."""
    for key in keys[:_MOST_NAMED]:
        log(level, what, object=mask(key))
    if len(keys) > _MOST_NAMED:
        log(level, what, more=len(keys) - _MOST_NAMED)


def _without_secrets(error: Exception) -> AccessLakeError:
    """The error as it may be shown, of a class that others know; one that is none of ours says what it was."""
    if isinstance(error, AccessLakeError):
        known = (kind for kind in type(error).__mro__ if issubclass(kind, AccessLakeError))
        public = next(kind for kind in known if kind.__module__ == AccessLakeError.__module__)
        return public(_line(error.subject), _line(error.reason), hint=_line(error.hint))
    return AccessLakeError("compaction", _line(f"{type(error).__name__}: {first_line(error)}"))


def _line(text: str) -> str:
    return " ".join(mask(text).split())[:_REASON_LENGTH]


def _number(name: str, default: int, *, least: int = 0, most: int | None = None) -> int:
    given = os.environ.get(name, str(default))
    if not (given.isascii() and given.isdigit()) or int(given) < least or (most is not None and int(given) > most):
        raise BadParameter(name, f"{given!r} is no number from {least} {'on' if most is None else f'to {most}'}")
    return int(given)
