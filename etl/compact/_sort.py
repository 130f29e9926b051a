"""Rows sorted by an integer in bounded memory: dealt out to parts on the disk, each of which is then sorted by itself.

Log rows are wide and their sort key is narrow. An engine's external sort carries whole rows through its runs and merges: DuckDB's
took twice the time of this one, and with a limit of 512 MB it gave up at five million rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from etl.arrays import Ints, values_to_array

SORT_KEY: Final = "sort_key"
PLACE: Final = "place"
"""Columns that the rows have besides their own: what they are sorted by, and what decides between equals."""
BYTES_PER_PART: Final = 1 << 25
_OPTIONS: Final = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)


def choose_bounds(keys: Ints, weights: Ints, *, target: int) -> Ints:
    """Where to cut the keys so that parts weigh about `target`, by a sample of keys and their weights.

    A key that weighs as much by itself has a part of its own, which needs no sorting.
    """
    order = np.lexsort((weights, keys))  # of whatever order the sample came in, so that equal rows are cut alike
    keys, weights = keys[order], weights[order]
    parts = (np.cumsum(weights) - weights) // target
    cuts = keys[1:][parts[1:] != parts[:-1]]
    values, starts = np.unique(keys, return_index=True)
    heavy = values[np.add.reduceat(weights, starts) >= target] if len(keys) else keys
    return np.unique(np.concatenate([cuts, heavy, heavy + 1]))


class Parts:
    """Takes rows in any order and gives them sorted; one file holds what it was given, compressed.

    In memory are the rows being dealt out, or one part. A part of one key is given as it came.
    """

    def __init__(self, file: Path, bounds: Ints) -> None:
        self._file, self._bounds = file, bounds
        self._chunks: list[list[int]] = [[] for _ in range(len(bounds) + 1)]
        self._writer: pa.ipc.RecordBatchFileWriter | None = None
        self._written = 0

    def add(self, rows: pa.RecordBatch) -> None:
        """Take some rows."""
        if self._writer is None:
            self._writer = pa.ipc.new_file(str(self._file), rows.schema, options=_OPTIONS)
        keys = ints_of(rows.column(SORT_KEY))
        order = np.argsort(keys, kind="stable")
        rows = _taken(rows, order)
        ends = np.append(np.searchsorted(keys[order], self._bounds), rows.num_rows).tolist()
        start = 0
        for part, end in enumerate(ends):
            if start < end:
                self._writer.write_batch(rows.slice(start, end - start))
                self._chunks[part].append(self._written)
                self._written += 1
                start = end

    def read_sorted(self) -> Iterator[pa.RecordBatch]:
        """All rows by key and place, without these two columns."""
        if self._writer is None:
            return
        self._writer.close()
        with pa.OSFile(str(self._file)) as source, pa.ipc.open_file(source) as reader:
            for part, chunks in enumerate(self._chunks):
                batches = (reader.get_batch(chunk) for chunk in chunks)
                if 0 < part < len(self._bounds) and self._bounds[part] == self._bounds[part - 1] + 1:
                    yield from (batch.drop_columns([SORT_KEY, PLACE]) for batch in batches)
                elif chunks:
                    rows = pa.concat_batches(batches)
                    order = np.lexsort((ints_of(rows.column(PLACE)), ints_of(rows.column(SORT_KEY))))
                    yield _taken(rows.drop_columns([SORT_KEY, PLACE]), order)


def _taken(rows: pa.RecordBatch, order: Ints) -> pa.RecordBatch:
    return rows.take(values_to_array(order, None, pa.int64()))


def ints_of(column: pa.Int64Array) -> Ints:
    """The column's values, of which none is null."""
    return np.frombuffer(column.buffers()[1], np.int64, len(column), offset=8 * column.offset)
