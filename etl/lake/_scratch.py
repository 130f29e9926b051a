"""What runs that were killed left in scratch."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from etl.lake._store import ObjectStore

_ABANDONED_SECONDS: Final = 24 * 3600


def sweep_scratch(store: ObjectStore) -> None:
    """Remove files and folders in which nothing was written for a day: no run goes without for so long."""
    for entry in store.scratch().iterdir():
        with suppress(FileNotFoundError):  # its run ends, or another one sweeps too
            if time.time() - _last_written(entry) > _ABANDONED_SECONDS:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _last_written(entry: Path) -> float:
    return max(path.stat().st_mtime for path in (entry, *entry.rglob("*")))
