"""What a reader may see of a lake at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow.fs


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table: where it is, the day in its path (`YYYY-MM-DD`), its size in bytes."""

    path: str
    day: str
    size: int


@dataclass(frozen=True)
class Snapshot:
    """The files that hold each stored row once: all of the committed batches, and the raw objects in none of them.

    Direct readers must use it and never list folders themselves: between publishing a batch and committing it, its rows
    stand in two places (https://docs.aws.amazon.com/athena/latest/ug/tables-location-format.html says what engines list).
    """

    batch_id: str
    """The highest committed batch, `""` before the first."""
    compacted: tuple[DataFile, ...]
    """`day` is the event day."""
    raw: tuple[DataFile, ...]
    """`day` is the day of ingest."""
    quarantine: tuple[DataFile, ...]
    findings: tuple[DataFile, ...]
    filesystem: pyarrow.fs.FileSystem | None = None
    """None if the paths are local; else what opens them."""
