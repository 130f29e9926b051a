"""A lake in a folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from etl.errors import LakeUnusable, ObjectNotFound
from etl.lake._layout import STAGING
from etl.lake._store import StoredObject


@dataclass(frozen=True)
class FolderStore:
    """Objects as files. New ones are written beside, synced, and then linked or renamed to their name in one step."""

    root: Path

    filesystem = None

    @property
    def uri(self) -> str:
        """The folder's absolute path."""
        return str(self.root)

    def path(self, key: str) -> str:
        """The object's local path."""
        return str(self.root / key)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Objects whose key starts with `prefix`, in order of their keys."""
        found = []
        folder = self.root / prefix.rpartition("/")[0]
        with _as_lake_errors(str(folder)):
            for parent, _, names in os.walk(folder, onerror=_raise_unless_gone):
                for name in names:
                    path = Path(parent, name)
                    key = path.relative_to(self.root).as_posix()
                    if key.startswith(prefix):
                        try:
                            stat = path.stat()
                        except FileNotFoundError:
                            continue  # deleted since the folder was listed
                        found.append(StoredObject(key, stat.st_size, f"{stat.st_size}-{stat.st_mtime_ns}"))
        yield from sorted(found, key=lambda stored: stored.key)

    def read(self, key: str) -> bytes:
        """The object's bytes."""
        with _as_lake_errors(self.path(key)):
            return (self.root / key).read_bytes()

    def fetch(self, key: str, folder: Path) -> Path:
        """The object's own file."""
        with _as_lake_errors(self.path(key)):
            (self.root / key).stat()
        return self.root / key

    def create(self, key: str, data: bytes) -> bool:
        """Create the object unless it exists; False if it does."""
        with _as_lake_errors(self.path(key)):
            temporary = self.scratch() / uuid.uuid4().hex
            try:
                temporary.write_bytes(data)
                return self._link(temporary, key)
            finally:
                temporary.unlink(missing_ok=True)

    def move_in(self, key: str, file: Path) -> None:
        """Rename a file of the same file system (see `scratch`) to the object."""
        with _as_lake_errors(self.path(key)):
            target = self.root / key
            target.parent.mkdir(parents=True, exist_ok=True)
            _sync(file)
            file.replace(target)
            _sync(target.parent)

    def copy(self, source: str, target: str) -> bool:
        """Link `source` as `target` too, unless that exists."""
        with _as_lake_errors(self.path(target)):
            return self._link(self.root / source, target)

    def delete(self, key: str) -> None:
        """Remove the object if it is there."""
        with _as_lake_errors(self.path(key)):
            (self.root / key).unlink(missing_ok=True)

    def scratch(self) -> Path:
        """A folder inside the lake and outside every table."""
        with _as_lake_errors(self.uri):
            folder = self.root / STAGING / "incoming"
            folder.mkdir(parents=True, exist_ok=True)
            return folder

    def _link(self, file: Path, key: str) -> bool:
        """A hard link is the one step that both creates a whole file and fails if the name is taken."""
        target = self.root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(file)
        try:
            os.link(file, target)
        except FileExistsError:
            return False
        _sync(target.parent)
        return True


def _raise_unless_gone(error: OSError) -> None:
    """A folder that is not there holds nothing; one that cannot be listed may hold anything."""
    if not isinstance(error, FileNotFoundError):
        raise error


@contextmanager
def _as_lake_errors(subject: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ObjectNotFound(subject, "no such object in the lake") from error
    except OSError as error:
        raise LakeUnusable(subject, error.strerror or str(error)) from error


def _sync(path: Path) -> None:
    """Have the file, or the folder's list of names, on the disk before anything relies on it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
