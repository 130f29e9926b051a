"""What a job is told."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from etl.compact import DEFAULT_GRACE, DEFAULT_SEAL_DELAY, DEFAULT_TARGET_BYTES, MAX_TARGET_MIB
from etl.errors import BadParameter

VERBS: Final = ("compact", "ingest")


@dataclass(frozen=True)
class Job:
    """One run."""

    verb: str
    lake: str
    sources: tuple[str, ...] = ()
    inventories: tuple[str, ...] = ()
    target_mib: int = DEFAULT_TARGET_BYTES >> 20
    grace_days: int = DEFAULT_GRACE.days
    seal_hours: int = int(DEFAULT_SEAL_DELAY.total_seconds()) // 3600


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadParameter("job arguments", message)


def read_arguments(arguments: Sequence[str]) -> Job:
    """The run that `--name value` pairs ask for; those that Glue adds for itself are passed over.

    `--sources` and `--inventories` are lists as in a shell, as a job has each argument once. Raises `BadParameter`.
    """
    parser = _Parser(allow_abbrev=False, add_help=False)
    parser.add_argument("--verb", default="compact")
    parser.add_argument("--lake", default="")
    parser.add_argument("--sources", default="")
    parser.add_argument("--inventories", default="")
    parser.add_argument("--target-mib", default=str(Job.target_mib))
    parser.add_argument("--grace-days", default=str(Job.grace_days))
    parser.add_argument("--seal-hours", default=str(Job.seal_hours))
    given, _ = parser.parse_known_args(list(arguments))
    if given.verb not in VERBS:
        raise BadParameter("--verb", f"{given.verb!r} is neither {' nor '.join(VERBS)}")
    if not given.lake:
        raise BadParameter("--lake", "is not given", hint="s3://bucket/prefix")
    job = Job(
        given.verb,
        given.lake,
        _list("--sources", given.sources),
        _list("--inventories", given.inventories),
        _number("--target-mib", given.target_mib, least=1, most=MAX_TARGET_MIB),
        _number("--grace-days", given.grace_days),
        _number("--seal-hours", given.seal_hours),
    )
    if (job.verb == "ingest") != bool(job.sources or job.inventories):
        needed = (
            "needs --sources or --inventories" if job.verb == "ingest" else "takes neither --sources nor --inventories"
        )
        raise BadParameter(f"--verb {job.verb}", needed)
    return job


def _list(name: str, text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise BadParameter(name, f"{text!r} is no list: {error}") from error


def _number(name: str, text: str, *, least: int = 0, most: int | None = None) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < least or (most is not None and int(text) > most):
        raise BadParameter(name, f"{text!r} is no number from {least} {'on' if most is None else f'to {most}'}")
    return int(text)
