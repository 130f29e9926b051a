"""Servers that tests start themselves: tried again on other ports, bounded in time, and ended with what started them."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

_TRIES = 3
_T = TypeVar("_T")


@contextmanager
def running(
    name: str,
    start: Callable[[int], tuple[subprocess.Popen[bytes], _T]],
    *,
    answers: Callable[[subprocess.Popen[bytes], _T, float], bool],
    stop: Callable[[subprocess.Popen[bytes]], None],
    output: Callable[[_T], str],
    seconds: float,
) -> Iterator[_T]:
    """The server that `start` starts, once it answers; `start` is given the number of the try, `answers` when to give up."""
    deadline = time.monotonic() + seconds
    for attempt in itertools.count():
        process, server = start(attempt)
        if answers(process, server, deadline):
            break
        stop(process)
        # A port can be taken between its choice and its use; another choice is then as good.
        if time.monotonic() > deadline or attempt == _TRIES - 1:
            pytest.fail(f"no {name}:\n{output(server)}")
    try:
        yield server
    finally:
        stop(process)
