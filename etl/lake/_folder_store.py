"""A lake in a folder."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from etl.errors import LakeUnusable, ObjectNotFound
from etl.lake._layout import STAGING
from etl.lake._store import StoredObject

_Result = TypeVar("_Result")
_TRIES: Final = 100
"""To put a file into a folder that others remove: each of them does so once, after it deleted the last file in there."""


@dataclass(frozen=True)
class FolderStore:
    """Objects as files. New ones are written beside, synced, and then linked or renamed to their name in one step.

    A folder is there as long as something is in it: who deletes the last object removes it, and who creates one makes it again.
    """

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
        """Objects whose key starts with `prefix`, in order of their keys.

        Raises `LakeUnusable` for a link to a folder below, and for one that leads nowhere. To pass them over would lose rows
        without a word; to follow them could show rows twice, or all of the machine, and nothing can be created behind one that
        leads to another disk.
        """
        found = []
        folder = self.root / prefix.rpartition("/")[0]
        with _as_lake_errors(str(folder)):
            for path in _files_below(folder):
                key = path.relative_to(self.root).as_posix()
                if key.startswith(prefix) and (stat := _stat_unless_gone(path)) is not None:
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
            _sync(file)
            _put_in(self.root / key, file, file.replace)

    def copy(self, source: str, target: str) -> bool:
        """Link `source` as `target` too, unless that exists."""
        with _as_lake_errors(self.path(target)):
            return self._link(self.root / source, target)

    def delete(self, key: str) -> None:
        """Remove the object if it is there, and the folders that are empty without it; `raw/` and its like stay."""
        with _as_lake_errors(self.path(key)):
            path = self.root / key
            path.unlink(missing_ok=True)
            with suppress(OSError):  # what else is in there, or that another removes it now
                for folder in list(path.relative_to(self.root).parents)[:-2]:
                    os.rmdir(self.root / folder)

    def scratch(self) -> Path:
        """A folder inside the lake and outside every table."""
        with _as_lake_errors(self.uri):
            folder = self.root / STAGING / "incoming"
            folder.mkdir(parents=True, exist_ok=True)
            return folder

    def _link(self, file: Path, key: str) -> bool:
        """A hard link is the one step that both creates a whole file and fails if the name is taken."""

        def link(target: Path) -> bool:
            try:
                os.link(file, target)
            except FileExistsError:
                return False
            return True

        _sync(file)
        return _put_in(self.root / key, file, link)


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_raise_unless_gone):
        for path in (Path(parent, name) for name in folders if not name.startswith(".")):
            if path.is_symlink():
                raise _refused(path, "is a link to a folder, which is not followed")
        yield from (Path(parent, name) for name in names)


def _stat_unless_gone(path: Path) -> os.stat_result | None:
    """None of a file that was deleted since its folder was listed, and of a hidden link that leads nowhere: an editor's lock."""
    try:
        return path.stat()
    except FileNotFoundError:
        if path.is_symlink() and not path.name.startswith("."):
            raise _refused(path, "is a link that leads nowhere") from None
        return None


def _refused(link: Path, reason: str) -> LakeUnusable:
    return LakeUnusable(str(link), reason, hint="put in its place what it stands for, or mount it there")


def _put_in(target: Path, file: Path, put: Callable[[Path], _Result]) -> _Result:
    """Put the file to its place, in a folder that is made if need be, and again if a rival removes that before the file is in it.

    A folder that holds anything cannot be removed, so a file that is there stays there.
    """
    for remaining in reversed(range(_TRIES)):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            done = put(target)
        except (FileNotFoundError, FileExistsError):
            if not remaining or not file.exists():
                raise
        else:
            with suppress(FileNotFoundError):  # a rival deleted the file, and the folder with it
                _sync(target.parent)
            return done
    raise AssertionError("unreachable")


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
