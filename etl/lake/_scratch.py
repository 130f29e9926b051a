"""What runs that were killed left behind: in a lake's scratch, and in temporary folders of their own."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from etl.lake._store import ObjectStore

TEMPORARY_PREFIX: Final = "accesslake-"
"""How the names of all our temporary folders begin."""
_ABANDONED_SECONDS: Final = 24 * 3600


def sweep_scratch(store: ObjectStore) -> None:
    """Remove files and folders in which nothing was written for a day: no run goes without for so long.

    What cannot be removed stays: another user's files, or those of a run that ends just now. No run may fail for that.
    """
    for entry in (*_entries_of(store.scratch()), *_temporary_folders()):
        with suppress(OSError):
            if time.time() - _last_written(entry) > _ABANDONED_SECONDS:
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()


def _temporary_folders() -> Iterator[Path]:
    """This user's own: others may write to that place too, and links lead elsewhere."""
    for entry in _entries_of(Path(tempfile.gettempdir())):
        with suppress(OSError):
            ours = entry.name.startswith(TEMPORARY_PREFIX) and entry.stat().st_uid == os.getuid()
            if ours and entry.is_dir() and not entry.is_symlink():
                yield entry


def _entries_of(folder: Path) -> list[Path]:
    with suppress(OSError):
        return list(folder.iterdir())
    return []


def _last_written(entry: Path) -> float:
    return max(path.stat().st_mtime for path in (entry, *entry.rglob("*")))
