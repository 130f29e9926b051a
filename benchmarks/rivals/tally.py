"""What was done to a lake and what its readers saw."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

_TEXTS: Final = {
    "rounds": "rounds",
    "started": "compactors started",
    "killed": "... killed",
    "stopped": "... stopped for a while",
    "overtaken": "...... whose batch others had committed when they went on",
    "finished": "... that finished",
    "failed": "... that gave up with an error (`LakeError`)",
    "broken": "... that ended with any other exception",
    "objects": "raw objects",
    "batches": "batches committed",
    "taken_over": "... by another compactor than planned or elected them",
    "reads": "reads that succeeded",
    "engine_reads": "... of them through `etl.read` and `etl.query`",
    "crossed": "... of them with a commit between the listing and the last row",
    "told": "reads told of a file that was gone",
    "missing": "rows missing",
    "doubled": "rows doubled",
    "strange": "rows that nobody had put there",
    "unsettled": "wrong in a lake at its end",
    "seconds": "seconds",
}


@dataclass
class Tally:
    """Numbers; those of several lakes add up."""

    rounds: int = 0
    started: int = 0
    killed: int = 0
    stopped: int = 0
    overtaken: int = 0
    finished: int = 0
    failed: int = 0
    """The store's trouble, or a fault: whatever a rival does to it, a compactor finds that its batch is committed."""
    broken: int = 0
    objects: int = 0
    batches: int = 0
    taken_over: int = 0
    reads: int = 0
    engine_reads: int = 0
    crossed: int = 0
    told: int = 0
    """Reads that found a raw file gone, which can only be where there is no grace period."""
    missing: int = 0
    doubled: int = 0
    strange: int = 0
    unsettled: int = 0
    """Files that no commit names, or that should be gone, and what `audit` complains of, once everybody has ended."""
    seconds: float = 0.0

    @property
    def wrong(self) -> int:
        """Of whatever must never be."""
        return self.missing + self.doubled + self.strange + self.unsettled + self.broken + self.failed

    def add(self, other: Tally) -> None:
        """Take another's numbers too."""
        for name, number in asdict(other).items():
            setattr(self, name, getattr(self, name) + number)


def tally_table(columns: dict[str, Tally]) -> str:
    """A Markdown table, a column for each tally."""
    numbers = [asdict(tally) for tally in columns.values()]
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    lines += [f"| {text} | {' | '.join(f'{each[name]:,.0f}' for each in numbers)} |" for name, text in _TEXTS.items()]
    return "\n".join(lines)
