"""How many log objects are rewritten at once: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from etl.lake import PlannedLog


def cut_batches(logs: Iterable[PlannedLog], *, objects: int, size: int) -> Iterator[tuple[PlannedLog, ...]]:
    """The logs in their order, cut so that no batch has more than so many objects or, but for one object alone, bytes."""
    batch: list[PlannedLog] = []
    held = 0
    for log in logs:
        if batch and (len(batch) == objects or held + log.size > size):
            yield tuple(batch)
            batch, held = [], 0
        batch.append(log)
        held += log.size
    if batch:
        yield tuple(batch)
