"""What a compaction did, as CloudWatch metrics: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from etl.compact import Compacted

COMPACTION_UNITS: Final[Mapping[str, str]] = {
    "CompactionRuns": "Count",
    "RowsIn": "Count",
    "RowsOut": "Count",
    "RowsFolded": "Count",
    "Files": "Count",
    "Bytes": "Bytes",
    "LeftOut": "Count",
    "Stragglers": "Count",
    "Collected": "Count",
    "Seconds": "Seconds",
}
"""Every metric and its unit."""


def measure_compaction(done: Compacted, *, seconds: float) -> dict[str, float]:
    """The metrics of a run that succeeded, also if there was nothing to do: an alarm counts runs, not batches."""
    return {
        "CompactionRuns": 1,
        "RowsIn": done.rows_in,
        "RowsOut": done.rows_out,
        "RowsFolded": done.duplicates,
        "Files": done.files,
        "Bytes": done.bytes,
        "LeftOut": len(done.left_out),
        "Stragglers": len(done.stragglers),
        "Collected": done.collected,
        "Seconds": round(seconds, 3),
    }
