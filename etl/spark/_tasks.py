"""How work is cut into tasks: pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

TASK_BYTES: Final = 32 << 20
"""Stored bytes that a task reads at most, unless it is one object: some 300 MB of log lines."""
OBJECT_BYTES: Final = 64 << 10
"""What opening an object costs, in bytes that could be read meanwhile: a hundred thousand tiny objects are work too."""
_LEAST_TASK_BYTES: Final = 4 << 20
_TASKS_PER_CORE: Final = 3
_PACKED: Final = 8
"""Rows in memory are about this many times as large as in a compacted file: generated ones take 907 bytes and 101 to 112."""
_LEAST_SHARE: Final = 4
_SHUFFLE_PARTS: Final = 2_000
"""As many as Spark keeps the exact sizes of."""

_Item = TypeVar("_Item")


def group_by_size(items: Iterable[_Item], *, size_of: Callable[[_Item], int], cores: int) -> list[list[_Item]]:
    """The items in their order, in groups of about as many bytes: very many tiny objects to a group, a giant one alone.

    There are some groups for each core, so that one that is slow keeps no other waiting, unless there is too little to do.
    """
    waiting = list(items)
    weights = [size_of(item) + OBJECT_BYTES for item in waiting]
    limit = min(max(sum(weights) // (cores * _TASKS_PER_CORE), _LEAST_TASK_BYTES), TASK_BYTES)
    groups: list[list[_Item]] = []
    held = limit
    for item, weight in zip(waiting, weights, strict=True):
        if held + weight > limit:
            groups.append([])
            held = 0
        groups[-1].append(item)
        held += weight
    return groups


def count_shuffle_parts(tasks: int, *, cores: int) -> int:
    """Into how many parts what so many tasks read is shuffled: as many, but each task writes a block for each part.

    So there is a bound, which leaves no core idle; above it parts become larger, and Spark sorts them on disk.
    """
    return min(tasks, max(_SHUFFLE_PARTS, cores * _TASKS_PER_CORE))


def count_parts(row_bytes: int, *, target_bytes: int, cores: int) -> int:
    """Into how many parts the sorted rows are cut, by the bytes they take in memory.

    Each part becomes a file, or one for each day in it. All cores are used as long as a file is not smaller than a quarter of the
    target.
    """
    packed = row_bytes // _PACKED
    return max(1, -(-packed // target_bytes), min(cores, packed * _LEAST_SHARE // target_bytes))
