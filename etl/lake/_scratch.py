"""What runs that were killed left behind: in a lake's scratch, and in temporary folders of their own."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
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
            if _is_abandoned(entry):
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


def _is_abandoned(entry: Path) -> bool:
    """Whether all of it is old. The first that is not decides: another run's folder may hold very many files."""
    latest = time.time() - _ABANDONED_SECONDS
    return all(path.stat().st_mtime < latest for path in chain((entry,), entry.rglob("*")))
