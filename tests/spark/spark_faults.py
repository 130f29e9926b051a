"""Tasks that go wrong after they have done all of their work. Executors get them whole: they cannot import a test."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etl.errors import LakeUnusable


@dataclass(frozen=True)
class ThenFails:
    """A task whose first runs are lost."""

    inner: Callable[[Iterator[Any]], Iterator[Any]]
    folder: str
    times: int

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        done = list(self.inner(batches))
        lost = len(list(Path(self.folder).iterdir()))
        if lost < self.times:
            Path(self.folder, str(lost)).touch()
            raise LakeUnusable("the machine", "went away")
        yield from done


@dataclass(frozen=True)
class ThenKills:
    """A task that ends the driver, and goes on."""

    inner: Callable[[Iterator[Any]], Iterator[Any]]
    driver: int

    def __call__(self, batches: Iterator[Any]) -> Iterator[Any]:
        done = list(self.inner(batches))
        os.kill(self.driver, signal.SIGKILL)
        yield from done


def send_whole() -> None:
    """Have executors told what these classes are."""
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
