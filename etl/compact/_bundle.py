"""Many raw files put together into few, so that a rewrite's memory and time do not follow their number.

Of each file that a statement reads DuckDB keeps some 10 KB beside its limit, and each of its statements opens all of them again.
A batch of many files is read once, some at a time, into local files that hold the rows of many raw objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb

from etl.compact._duckdb import bundled_rows, check_inputs, count_objects, quoted, raw_rows
from etl.errors import ObjectNotFound, RowsNotConserved
from etl.lake import Input

MOST_FILES: Final = 1000
"""Raw files that DuckDB is given at once; of more than these it is given bundles."""
_OPTIONS: Final = "FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE 20_000, ROW_GROUP_SIZE_BYTES '32MB'"

Fetch = Callable[[Sequence[Input]], Iterable[str]]
FindDamaged = Callable[[Sequence[Input], Exception], Mapping[str, str]]


@dataclass(frozen=True)
class Bundles:
    """Local files that hold the rows of raw objects: bundles, or one of each."""

    files: tuple[str, ...]
    items: tuple[Input, ...]
    """The raw objects, whose place here is their number in the files."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Raw objects that are damaged, and why."""


def are_many(items: Sequence[Input]) -> bool:
    """Whether so many raw objects have to be bundled."""
    return len(items) > MOST_FILES


def bundle(
    connection: duckdb.DuckDBPyConnection,
    items: Sequence[Input],
    *,
    scratch: Path,
    fetch: Fetch,
    find_damaged: FindDamaged,
) -> Bundles:
    """Write the rows of all these raw objects into bundles.

    Damage costs its bundle a second reading, and nobody else. `fetch` gives the raw objects' local files, of which copies in
    `scratch` are removed as soon as they are read; `find_damaged` says which raw objects an error came from, and raises if that
    is none of them.
    """
    files: list[str] = []
    kept: list[Input] = []
    left_out: dict[str, str] = {}
    for start in range(0, len(items), MOST_FILES):
        some = list(items[start : start + MOST_FILES])
        file = str(scratch / f"bundle-{len(files):06}")
        while some:
            try:
                copies = list(fetch(some))
                _write(connection, copies, file=file, first=len(kept))
                check_inputs(connection, count_objects(bundled_rows([file])), some, first=len(kept))
            except (duckdb.Error, ObjectNotFound, RowsNotConserved) as error:
                damaged = find_damaged(some, error)
                some = [item for item in some if item.key not in damaged]
                left_out |= damaged
            else:
                remove_copies(copies, scratch)
                files.append(file)
                kept += some
                break
    return Bundles(tuple(files), tuple(kept), left_out)


def remove_copies(files: Iterable[str], scratch: Path) -> None:
    """Make room: those of the files that are in `scratch` have been read."""
    for file in map(Path, files):
        if file.is_relative_to(scratch):
            file.unlink()


def _write(connection: duckdb.DuckDBPyConnection, files: Iterable[str], *, file: str, first: int) -> None:
    connection.execute(f"COPY ({raw_rows(files, first=first)}) TO {quoted(file)} ({_OPTIONS})")
