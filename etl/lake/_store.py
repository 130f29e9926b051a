"""What the lake needs of the place it lies in; a folder and an S3 bucket are the two there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow.fs


@dataclass(frozen=True)
class StoredObject:
    """One object of a store: its key, size in bytes, and a tag that changes with its content."""

    key: str
    size: int
    etag: str


class ObjectStore(Protocol):
    """Objects by key. Every method that writes makes the whole object visible at once, or nothing of it.

    All raise `LakeUnusable` for trouble that a retry or the user can mend, `ObjectNotFound` for a missing key.
    """

    @property
    def uri(self) -> str:
        """Address of the store, without a slash at its end."""

    @property
    def filesystem(self) -> pyarrow.fs.FileSystem | None:
        """What opens `path` in Arrow; None if the paths are local."""

    def path(self, key: str) -> str:
        """How `filesystem`, or the local machine, names the object."""

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Objects whose key starts with `prefix`, in order of their keys."""

    def read(self, key: str) -> bytes:
        """The object's bytes."""

    def fetch(self, key: str, folder: Path) -> Path:
        """A local file with the object's bytes: the object itself, or a copy in `folder`."""

    def create(self, key: str, data: bytes) -> bool:
        """Create the object unless it exists; False if it does. Of any number of rivals, one gets True."""

    def move_in(self, key: str, file: Path) -> None:
        """Make a local file the object, replacing it if it exists; the file is gone afterwards."""

    def copy(self, source: str, target: str) -> bool:
        """Create `target` as a copy of `source` unless it exists; False if it does."""

    def delete(self, key: str) -> None:
        """Remove the object if it is there."""

    def scratch(self) -> Path:
        """A local folder for files on their way in, from where `move_in` is cheap."""
