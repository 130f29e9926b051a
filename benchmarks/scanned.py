"""Questions about the benchmark's day, and how many bytes of Parquet files each must read, from their footers alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pyarrow.parquet as pq

from benchmarks.raw_day import DAY
from etl.query import Query, ScannedFile, bind, find_query, scanned_bytes
from etl.schema import BATCH_ID


@dataclass(frozen=True)
class Question:
    """One query about the benchmark's day, its parameters given."""

    name: str
    query: Query

    def count_bytes(self, files: Iterable[pq.FileMetaData]) -> int:
        """Bytes that must be read of these files, raw or compacted, all of which hold rows of the day."""
        day = DAY.isoformat()
        scanned = (ScannedFile(day if BATCH_ID.name in each.schema.names else None, each) for each in files)
        return scanned_bytes(self.query, scanned, newest_day=day)


def ask(name: str, **parameters: str) -> Question:
    """A query that comes with the product, with these parameters."""
    query = find_query(name)
    bound = replace(query, sql=bind(query, parameters, newest_day=DAY.isoformat()), parameters=())
    said = ", ".join(f"{name} given" if len(value) > 20 else f"{name} {value}" for name, value in parameters.items())
    return Question(f"{name} ({said})" if said else name, bound)
