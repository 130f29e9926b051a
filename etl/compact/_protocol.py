"""What compaction asks of an engine that rewrites."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from etl.lake import Lake, Plan, Winner

OnRows = Callable[[int, int], None]
"""Called now and then with the rows that are written and those that were planned, 0 as long as nobody has counted them."""
MAX_TARGET_MIB: Final = 4096
"""The largest size of a compacted file that may be asked for: S3 takes no more than 5 GiB in one request."""


class Rewrite(Protocol):
    """The one step of compaction that costs: engines differ in it and in nothing else."""

    def __call__(self, lake: Lake, plan: Plan, *, attempt: str, target_bytes: int, on_rows: OnRows) -> Winner:
        """Write the rows of `plan.inputs` and `plan.logs`, each once, into the attempt's own folder of staging.

        They are sorted, in files of one event day and of about `target_bytes`, each at the `staged_key` of a `compacted_key`.
        Rows that stand twice are dropped as `_fold` says, also those that an earlier batch holds, and counted by the day of their
        input's key. An input that cannot be read is named in `left_out` and gives no row; of each other log object there is an
        `Input` in `Winner.inputs`, and its unreadable lines are in quarantine/: `read_log` does both. Nothing else that a reader
        can see is touched. It may be called again for the same plan, at the same time too, with another attempt. Raises
        `LakeUnusable` for trouble after which the next run goes on.
        """
