"""A long call in a thread of its own, while this one tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final, TypeVar

_SECONDS: Final = 0.2
_Result = TypeVar("_Result")


def watch(act: Callable[[], _Result], *, tell: Callable[[], None], cancel: Callable[[], None]) -> _Result:
    """What `act` gives. `tell` is called in the caller's thread; if that is interrupted, `cancel` is called until
    `act` ends.
    """
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(act)
        try:
            while not future.done():
                wait([future], _SECONDS)
                tell()
        except BaseException:
            while not future.done():  # between two jobs there is nothing to cancel
                cancel()
                wait([future], _SECONDS)
            raise
        return future.result()
