"""Which inputs a rewrite failed for: what is damaged is left out, trouble of the store or of this machine never is."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import duckdb

from etl.compact._duckdb import check_inputs, connect, count_objects, raw_rows
from etl.compact._inspect import find_damage
from etl.errors import LakeUnusable, ObjectNotFound, RowsNotConserved, first_line
from etl.lake import Input, Lake, ObjectStore

_MACHINE_TROUBLES: Final = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE),
    *(errno.EIO, errno.EACCES, errno.ENOENT, errno.ENOMEM),
)
"""What DuckDB tells as an IO error, as it does some damage. No object is left out for them."""


def find_damaged(lake: Lake, inputs: Sequence[Input], error: Exception) -> dict[str, str]:
    """Those of the inputs that cannot be rewritten, which gave the error, and why.

    DuckDB refuses more than Arrow does, so it is asked where Arrow finds nothing. Raises `LakeUnusable` if none is damaged: the
    error came from elsewhere.
    """
    for find in (find_damage, find_refusal):
        damaged = {item.key: reason for item in inputs if (reason := find(lake.store, item))}
        if damaged:
            return damaged
    # DuckDB reads and writes local files alone: a disk that it finds full is not the bucket's.
    is_local = isinstance(error, duckdb.Error)
    raise compaction_failed(str(lake.store.scratch()) if is_local else lake.uri, error) from error


def find_refusal(store: ObjectStore, item: Input) -> str:
    """Why DuckDB cannot read an input that is alone, `""` if it can."""
    try:
        with TemporaryDirectory(prefix="inspect-", dir=store.scratch(), ignore_cleanup_errors=True) as name:
            scratch = Path(name)
            rows = raw_rows([str(store.fetch(item.key, scratch))])
            with connect(scratch) as connection:
                check_inputs(connection, count_objects(rows), [item])
                connection.execute(f"SELECT sum(hash(COLUMNS(*))) FROM ({rows})").fetchall()
    except duckdb.OutOfMemoryException:
        return ""
    except (ObjectNotFound, RowsNotConserved) as error:
        return f"cannot be read: {first_line(error)}"
    except duckdb.Error as error:
        if any(os.strerror(code) in str(error) for code in _MACHINE_TROUBLES):
            raise compaction_failed(str(store.scratch()), error) from error
        return f"cannot be read: {first_line(error)}"
    except OSError as error:
        raise compaction_failed(str(store.scratch()), error) from error
    return ""


def compaction_failed(subject: str, error: Exception) -> LakeUnusable:
    """The error as one clear line."""
    return LakeUnusable(subject, f"compaction failed: {getattr(error, 'strerror', None) or first_line(error)}")
