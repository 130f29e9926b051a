"""Log objects in files."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from etl.errors import SourceError, SourceNotFound, SourceUnreadable
from etl.sources._log_source import PART_BYTES, LogSource

_GLOB: Final = frozenset("*?[")


def find_local_logs(source: str, *, exclude: Path | None) -> Iterator[LogSource | SourceError]:
    """Files of a path, a folder (all below it) or a glob, in order of their names.

    Hidden files and folders are passed over, and so is `exclude`: a lake inside the folder that feeds it.
    """
    path = Path(source)
    if not path.exists() and _GLOB.intersection(source):
        matches = sorted(glob.glob(source, recursive=True))
        if not matches:
            yield SourceNotFound(source, "matches no file")
        for match in matches:
            # A recursive glob names the files of a folder themselves.
            if not (os.path.isdir(match) and "**" in source):
                yield from find_local_logs(glob.escape(match) if not os.path.exists(match) else match, exclude=exclude)
    elif path.is_dir():
        empty = True
        for file in _walk(path, exclude):
            empty = False
            yield _local_log(file)
        if empty:
            yield SourceNotFound(source, "holds no files")
    else:
        yield _local_log(path)


def read_local_parts(log: LogSource) -> Iterator[bytes]:
    """The file's bytes as they are, in parts. Raises `SourceUnreadable`."""
    try:
        with open(log.location, "rb", buffering=0) as file:
            while part := file.read(PART_BYTES):
                yield part
    except OSError as error:
        raise SourceUnreadable(log.source_key, error.strerror or str(error)) from error


def hash_local(log: LogSource) -> str:
    """A digest of the file's content: two files with the same name and digest are the same log object."""
    digest = hashlib.blake2b(digest_size=16)
    for part in read_local_parts(log):
        digest.update(part)
    return digest.hexdigest()


def _local_log(path: Path) -> LogSource | SourceError:
    try:
        resolved = path.resolve(strict=True)
        size = resolved.stat().st_size
    except FileNotFoundError:
        return SourceNotFound(str(path), "no such file or folder")
    except (OSError, RuntimeError) as error:
        return SourceUnreadable(str(path), getattr(error, "strerror", None) or str(error))
    # A path that is not UTF-8 cannot be a value of a text column as it is.
    source_key = os.fsencode(resolved).decode(errors="backslashreplace")
    return LogSource(source_key, str(resolved), size)


def _walk(folder: Path, exclude: Path | None) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and Path(parent, name).resolve() != exclude
        )
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))
