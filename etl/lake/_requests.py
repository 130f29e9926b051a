"""Many small requests to a store: one after the other where they are calls to the disk, side by side where they travel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from etl.lake._store import ObjectStore

AT_ONCE: Final = 16
"""Requests that travel at the same time, unless fewer are asked for."""
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def request_each(
    store: ObjectStore, act: Callable[[_Item], _Result], items: Iterable[_Item], *, at_once: int = AT_ONCE
) -> Iterator[_Result]:
    """What `act` gives for each item, in their order; the first exception ends it.

    A day of small log objects is thousands of requests to S3, and waiting for them is nearly all of their time.
    """
    if store.filesystem is None:
        yield from map(act, items)
        return
    with ThreadPoolExecutor(at_once) as pool:
        try:
            yield from pool.map(act, items)
        finally:
            pool.shutdown(cancel_futures=True)
