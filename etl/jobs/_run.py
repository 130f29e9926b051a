"""A run of the job: the verb of the command line with Spark as its engine, told in lines of JSON.

It may be ended at any point and run beside another one, as `etl.compact` and `etl.backfill` may: the next run goes on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, Final

from etl.backfill import Backfilled, backfill
from etl.compact import Rewrite, compact
from etl.errors import AccessLakeError, first_line
from etl.jobs._arguments import Job, read_arguments
from etl.masking import mask
from etl.spark import rewrite_on_spark

_MOST_NAMED: Final = 50
_REASON_LENGTH: Final = 1000


def run_job(arguments: Sequence[str], *, rewrite: Rewrite = rewrite_on_spark) -> None:
    """Do what the arguments ask for, and print what came of it.

    Raises where the command line's exit code is not 0, so that the run counts as failed: a new `AccessLakeError` in one line
    without credentials, for whoever may look at the run sees it. What was committed until then stays.
    """
    try:
        job = read_arguments(arguments)
        left_out = _compact(job, rewrite) if job.verb == "compact" else _ingest(job, rewrite)
    except Exception as error:
        told = _without_secrets(error)
        _tell("ERROR", "failed", reason=str(told))
        raise told from None
    for line in left_out[:_MOST_NAMED]:
        _tell("ERROR", "left out", object=line)
    if left_out:
        raise AccessLakeError(
            job.verb, f"{len(left_out)} objects cannot be read and are left out", hint="the run's output names them"
        )


def _compact(job: Job, rewrite: Rewrite) -> list[str]:
    done = compact(
        job.lake,
        rewrite=rewrite,
        target_bytes=job.target_mib << 20,
        grace=timedelta(days=job.grace_days),
        seal_delay=timedelta(hours=job.seal_hours),
    )
    _tell("INFO", "compact", **{**asdict(done), "left_out": len(done.left_out), "stragglers": len(done.stragglers)})
    _name_stragglers(done.stragglers)
    return [mask(key) for key in done.left_out]


def _ingest(job: Job, rewrite: Rewrite) -> list[str]:
    done = backfill(
        job.sources,
        lake=job.lake,
        inventories=job.inventories,
        rewrite=rewrite,
        target_bytes=job.target_mib << 20,
        on_batch=lambda so_far: _tell("INFO", "ingest, so far", **_counts(so_far)),
    )
    _tell("INFO", "ingest", **_counts(done))
    _name_stragglers(done.stragglers)
    return [mask(str(error)) for error in done.failed]


def _counts(done: Backfilled) -> dict[str, Any]:
    facts = asdict(replace(done, failed=()))
    return {
        **facts,
        "failed": len(done.failed),
        "batches": len(done.batches),
        "stragglers": len(done.stragglers),
    }


def _name_stragglers(keys: Sequence[str]) -> None:
    for key in keys[:_MOST_NAMED]:
        _tell("WARNING", "came after its day was sealed", object=mask(key))


def _tell(level: str, what: str, **facts: object) -> None:
    print(json.dumps({"level": level, "what": what, **facts}), flush=True)


def _without_secrets(error: Exception) -> AccessLakeError:
    if isinstance(error, AccessLakeError):
        return AccessLakeError(_line(error.subject), _line(error.reason), hint=_line(error.hint))
    return AccessLakeError("job", _line(f"{type(error).__name__}: {first_line(error)}"))


def _line(text: str) -> str:
    return " ".join(mask(text).split())[:_REASON_LENGTH]
