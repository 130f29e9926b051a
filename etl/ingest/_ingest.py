"""Many log objects into a lake, on one process or several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Final

from etl.errors import LakeUnusable, SourceError
from etl.ingest._object import IngestedObject, ingest_object
from etl.lake import Lake, create_lake, open_lake, sweep_scratch
from etl.sources import LogSource, find_logs

_TASK_OBJECTS: Final = 64
_TASK_BYTES: Final = 16 << 20
"""A task for another process holds at most this, or one object: small enough to share out, large enough to pay."""
_TASKS_AHEAD: Final = 3


@dataclass(frozen=True)
class Ingested:
    """What an ingest did: log objects written, skipped because they are in the lake, failed; and lines = rows + quarantined."""

    objects: int
    skipped: int
    failed: tuple[SourceError, ...]
    lines: int
    rows: int
    quarantined: int


@dataclass(frozen=True)
class _Setting:
    """What every process needs to know; sent to each once."""

    lake_uri: str
    ingest_date: str
    known: frozenset[str]
    quarantined: frozenset[str]
    left_out: dict[str, str]


def ingest(
    sources: Iterable[str],
    *,
    lake: str,
    inventories: Iterable[str] = (),
    workers: int = 1,
    now: datetime | None = None,
    on_object: Callable[[IngestedObject], None] = lambda _: None,
) -> Ingested:
    """Put log objects into the lake at `lake`, which is made if need be.

    Sources are files, folders, globs, `s3://bucket/prefix`; `inventories` are manifests of S3 Inventories, whose objects are
    taken. What is in the lake already, by identity and content, is skipped, whenever it came; not if a compaction left out its
    raw object, which is taken again, on a later day than that one's. Raises `LakeUnusable` if the lake cannot take more; all that
    was written until then stays and is skipped the next time.
    """
    opened = create_lake(lake)
    sweep_scratch(opened.store)
    known, left_out = opened.ingested_and_left_out()
    setting = _Setting(
        opened.uri,
        (now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%d"),
        frozenset(known),
        frozenset(opened.quarantined_names()),
        left_out,
    )
    objects = skipped = lines = rows = quarantined = 0
    failed: list[SourceError] = []
    for result in _results(find_logs(sources, inventories=inventories, exclude=opened.uri), opened, setting, workers):
        if isinstance(result, SourceError):
            failed.append(result)
            continue
        on_object(result)
        if result.error is not None:
            failed.append(result.error)
        elif result.written is None:
            skipped += 1
        else:
            objects += 1
            lines += result.written.lines
            rows += result.written.rows
            quarantined += result.written.quarantined
    return Ingested(objects, skipped, tuple(failed), lines, rows, quarantined)


def _results(
    found: Iterable[LogSource | SourceError], lake: Lake, setting: _Setting, workers: int
) -> Iterator[IngestedObject | SourceError]:
    errors: list[SourceError] = []
    tasks = _tasks(found, errors)
    # One task is not worth starting processes for.
    first = next(tasks, [])
    second = next(tasks, None) if workers > 1 else None
    if second is None:
        for task in chain([first], tasks):
            yield from (_ingest_in(lake, log, setting) for log in task)
    else:
        yield from _in_processes(chain([first, second], tasks), setting, workers)
    yield from errors


def _tasks(found: Iterable[LogSource | SourceError], errors: list[SourceError]) -> Iterator[list[LogSource]]:
    task: list[LogSource] = []
    size = 0
    for item in found:
        if isinstance(item, SourceError):
            errors.append(item)
            continue
        if task and (len(task) == _TASK_OBJECTS or size + item.size > _TASK_BYTES):
            yield task
            task, size = [], 0
        task.append(item)
        size += item.size
    if task:
        yield task


def _ingest_in(lake: Lake, log: LogSource, setting: _Setting) -> IngestedObject:
    return ingest_object(
        log,
        lake=lake,
        ingest_date=setting.ingest_date,
        known=setting.known,
        quarantined=setting.quarantined,
        left_out=setting.left_out,
    )


def _in_processes(tasks: Iterator[list[LogSource]], setting: _Setting, workers: int) -> Iterator[IngestedObject]:
    """At most a few tasks for each process are under way, so that a long list of objects never stands in memory."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (setting,)) as pool:
        running: set[Future[list[IngestedObject]]] = set()
        try:
            for task in tasks:
                running.add(pool.submit(_run_task, task))
                if len(running) >= workers * _TASKS_AHEAD:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield from future.result()
            for future in running:
                yield from future.result()
        except BrokenProcessPool as error:
            raise LakeUnusable(
                setting.lake_uri, "a worker process ended", hint="try again with fewer workers"
            ) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


_worker: tuple[Lake, _Setting] | None = None


def _start_worker(setting: _Setting) -> None:
    global _worker
    _worker = (open_lake(setting.lake_uri), setting)


def _run_task(task: list[LogSource]) -> list[IngestedObject]:
    assert _worker is not None  # the pool's initializer ran
    lake, setting = _worker
    return [_ingest_in(lake, log, setting) for log in task]
