"""Generated objects onto a disk: the one place here that touches it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from etl.errors import BadParameter, LakeUnusable
from etl.generate._generate import LogObject


@dataclass(frozen=True)
class WrittenObjects:
    """What was written."""

    objects: int
    lines: int
    bytes: int


def write_objects(objects: Iterable[LogObject], folder: Path) -> WrittenObjects:
    """Write each object to the file that its key names below `folder`, replacing what is there.

    A file appears under its name only when it is complete, so that a reader of the folder never sees half an object.

    Raises `BadParameter` for a key that leads out of the folder, `LakeUnusable` if the folder cannot be written to.
    """
    count = lines = size = 0
    for log in objects:
        parts = PurePosixPath(log.key).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise BadParameter(log.key, "is no key below a folder")
        _write(folder.joinpath(*parts), log.body)
        count += 1
        lines += log.body.count(b"\n")
        size += len(log.body)
    return WrittenObjects(count, lines, size)


def _write(path: Path, body: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(body)
        os.replace(unfinished, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise LakeUnusable(str(path), error.strerror or str(error)) from error
