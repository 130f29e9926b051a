"""Files that Athena has written, made the attempt's own: under their names, and as every compacted file is.

Where a file is as it must be, it is copied. Athena is expected to write times as INT96, as the engine does that it is made from:
such files are written anew, times in milliseconds, row by row in the order that they have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from etl.compact import Outputs
from etl.errors import LakeError, LakeUnusable, first_line
from etl.lake import Lake, Output, StoredObject
from etl.lake._layout import compacted_key, day_of, staged_key
from etl.schema import BATCH_ID, COMPACTED_SCHEMA, EVENT_DATE

_ROWS_PER_BATCH: Final = 40_000
_LARGER: Final = 2
"""How many times the size that was asked for a file may have: a copy is in memory as a whole."""
_TIME: Final = COMPACTED_SCHEMA.get_field_index("request_time")
_COLUMNS: Final = [name for name in COMPACTED_SCHEMA.names if name != BATCH_ID.name]


def files_by_day(lake: Lake, addresses: Sequence[str], folder: str) -> dict[str, list[StoredObject]]:
    """Unloaded files by their event day. Raises `LakeUnusable` for one that is not where it was to be written."""
    present = {stored.key: stored for stored in lake.store.list(folder)}
    files: dict[str, list[StoredObject]] = {}
    for address in sorted(set(addresses)):
        key = address.removeprefix(f"{lake.uri}/")
        day = day_of(key)
        if key not in present or not day or key.removeprefix(folder).count("/") != 1:
            raise LakeUnusable(address, f"is listed as written by Athena, but is in no day of {lake.uri}/{folder}")
        files.setdefault(day, []).append(present[key])
    return files


def adopt(
    lake: Lake,
    *,
    batch: str,
    attempt: str,
    unloaded: Mapping[str, Sequence[StoredObject]],
    target_bytes: int,
    on_rows: Callable[[int], None],
) -> tuple[Output, ...]:
    """Outputs of these event days, each given as a whole and once; the unloaded files are deleted.

    `on_rows` is told the rows that are adopted. Raises `LakeUnusable`.
    """
    outputs: list[Output] = []
    for day, files in sorted(unloaded.items()):
        try:
            footers = [(file, _read_footer(lake, file.key)) for file in files]
            if all(_fits(footer, day) and file.size <= _LARGER * target_bytes for file, footer in footers):
                outputs += _copy(lake, batch, attempt, day, footers)
            else:
                outputs += _write(lake, batch, attempt, day, files, target_bytes)
        except (OSError, pa.ArrowException) as error:
            raise LakeUnusable(lake.uri, f"compaction failed: {first_line(error)}") from error
        on_rows(sum(output.rows for output in outputs))
        for file in files:
            with suppress(LakeError):  # collecting takes all of staging, later
                lake.store.delete(file.key)
    return tuple(outputs)


def _read_footer(lake: Lake, key: str) -> pq.FileMetaData:
    return pq.read_metadata(lake.store.path(key), filesystem=lake.store.filesystem)


def _fits(footer: pq.FileMetaData, day: str) -> bool:
    """Whether a file is as every compacted one is: its columns, and times of its day alone, which its statistics tell."""
    if not footer.schema.to_arrow_schema().equals(COMPACTED_SCHEMA):
        return False
    times = [footer.row_group(group).column(_TIME).statistics for group in range(footer.num_row_groups)]
    return all(
        found is not None
        and found.has_min_max
        and {found.min.date().isoformat(), found.max.date().isoformat()} == {day}
        for found in times
    )


def _copy(
    lake: Lake, batch: str, attempt: str, day: str, files: Sequence[tuple[StoredObject, pq.FileMetaData]]
) -> Iterator[Output]:
    for number, (file, footer) in enumerate(files, 1):
        key = compacted_key(batch, day, number)
        lake.store.copy(file.key, staged_key(batch, attempt, key))
        yield Output(key, file.size, footer.num_rows)


def _write(
    lake: Lake, batch: str, attempt: str, day: str, files: Sequence[StoredObject], target_bytes: int
) -> tuple[Output, ...]:
    with (
        TemporaryDirectory(prefix="compact-", dir=lake.store.scratch(), ignore_cleanup_errors=True) as name,
        Outputs(lake, batch, attempt, Path(name), target_bytes) as outputs,
    ):
        for file in files:
            for rows in _read(lake, file.key):
                outputs.add(rows.append_column(EVENT_DATE.name, pa.repeat(pa.scalar(day), rows.num_rows)))
        return outputs.finish()


def _read(lake: Lake, key: str) -> Iterator[pa.RecordBatch]:
    path = lake.store.path(key)
    with pq.ParquetFile(path, filesystem=lake.store.filesystem, coerce_int96_timestamp_unit="ms") as file:
        yield from file.iter_batches(_ROWS_PER_BATCH, columns=_COLUMNS)
