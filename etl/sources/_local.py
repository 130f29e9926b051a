"""Log objects in files."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from etl.errors import SourceError, SourceNotFound, SourceReplaced, SourceUnreadable
from etl.sources._log_source import PART_BYTES, LogSource

_GLOB: Final = frozenset("*?[")
_DIGEST_BYTES: Final = 16


def find_local_logs(source: str, *, exclude: Path | None) -> Iterator[LogSource | SourceError]:
    """Files of a path, a folder (all below it) or a glob, in order of their names.

    Hidden files and folders are passed over, and so are links to folders inside a folder (one to `/` would read the whole
    machine) and everything in `exclude`, a resolved path, unless the source itself lies in it.
    """
    if not source or "\0" in source:
        yield SourceNotFound(repr(source), "no such file or folder")
        return
    if not os.path.lexists(source) and _GLOB.intersection(source):
        matches, nothing = sorted(glob.glob(source, recursive=True)), "matches no file"
    else:
        matches, nothing = [source], "holds no files"
    if exclude is not None and exclude in Path(os.path.realpath(_folder_of(source))).parents:
        exclude = None
    empty = True
    for match in matches:
        for found in _find_below(Path(match), exclude):
            empty = False
            yield found
    if empty:
        yield SourceNotFound(source, nothing)


def read_local_parts(log: LogSource) -> Iterator[bytes]:
    """The file's bytes as they are, in parts, of the listed version only.

    Raises `SourceNotFound` if it is gone, else `SourceUnreadable`; `SourceReplaced`, after the last part, if there is a listed
    digest and theirs is another.
    """
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    try:
        with open(log.location, "rb", buffering=0) as file:
            while part := file.read(PART_BYTES):
                if log.version is not None:
                    digest.update(part)
                yield part
            status = os.fstat(file.fileno())
    except FileNotFoundError as error:
        raise SourceNotFound(log.source_key, "is gone") from error
    except OSError as error:
        raise SourceUnreadable(log.source_key, error.strerror or str(error)) from error
    if log.version is not None and digest.hexdigest() != log.version:
        raise SourceReplaced(log.source_key, "changed since it was listed", hint="take it again")
    if log.modified_ns is not None and (status.st_size, status.st_mtime_ns) != (log.size, log.modified_ns):
        raise SourceUnreadable(log.source_key, "changed since it was listed", hint="take it again when it is complete")


def hash_local(log: LogSource) -> str:
    """A digest of the file's content: two files with the same name and digest are the same log object."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in read_local_parts(log):
        digest.update(part)
    return digest.hexdigest()


def _folder_of(source: str) -> str:
    """What of a glob is a plain path; of a path, all."""
    if os.path.lexists(source):
        return source
    parts = Path(source).parts
    plain = next((place for place, part in enumerate(parts) if _GLOB.intersection(part)), len(parts))
    return os.path.join(*parts[:plain], "") if plain else os.curdir


def _find_below(path: Path, exclude: Path | None) -> Iterator[LogSource | SourceError]:
    if not os.path.isdir(path):
        yield from _local_log(path, exclude)
        return
    errors: list[OSError] = []
    for parent, folders, names in os.walk(path, onerror=errors.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if exclude is not None and Path(parent).resolve().is_relative_to(exclude):
            folders.clear()
            continue
        for name in sorted(names):
            if not name.startswith("."):
                yield from _local_log(Path(parent, name), exclude)
    for error in errors:
        yield SourceUnreadable(_printable(error.filename), error.strerror or str(error))


def _local_log(path: Path, exclude: Path | None) -> Iterator[LogSource | SourceError]:
    """The log object at a path, or why it is none; nothing if it is excluded."""
    try:
        resolved = path.resolve(strict=True)
        status = resolved.stat()
    except FileNotFoundError:
        yield SourceNotFound(_printable(path), "no such file or folder")
    except (OSError, RuntimeError) as error:
        yield SourceUnreadable(_printable(path), getattr(error, "strerror", None) or "is a loop of links")
    else:
        if exclude is not None and resolved.is_relative_to(exclude):
            return
        if stat.S_ISREG(status.st_mode):
            yield LogSource(_source_key(resolved), str(resolved), status.st_size, modified_ns=status.st_mtime_ns)
        else:
            # Opening a pipe waits for a writer, and a device may never end.
            yield SourceUnreadable(_printable(path), "is no regular file")


def _source_key(resolved: Path) -> str:
    """The path; as a URI if it is not UTF-8, which a text column cannot hold, and no other path can look like."""
    try:
        str(resolved).encode()
    except UnicodeEncodeError:
        return resolved.as_uri()
    return str(resolved)


def _printable(path: str | Path) -> str:
    return os.fsencode(path).decode(errors="backslashreplace")
