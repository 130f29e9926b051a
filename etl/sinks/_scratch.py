"""Local files on their way into a lake."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from etl.lake import ObjectStore


@contextmanager
def scratch_files(store: ObjectStore) -> Iterator[tuple[Path, Path]]:
    """Two names, one for rows and one for quarantined lines; what is still there at the end is removed."""
    token = uuid.uuid4().hex
    folder = store.scratch()
    files = folder / f"{token}-rows", folder / f"{token}-quarantine"
    try:
        yield files
    finally:
        for file in files:
            file.unlink(missing_ok=True)
