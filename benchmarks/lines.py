"""The lines that the benchmarks read: the product's own generated ones, the same on every machine."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from etl.generate import generate

LAST_DAY = datetime.date(2026, 3, 31)
"""Of the generated events."""


@dataclass(frozen=True)
class Sample:
    """Generated lines as one text, and what is to be known about them."""

    data: bytes
    lines: int
    seed: int

    def describe(self) -> str:
        """One sentence for the head of a report."""
        mean = len(self.data) / max(self.lines, 1)
        quoted = sum(line.count(b'"') > 6 for line in self.data.split(b"\n"))
        return (
            f"{self.lines:,} generated lines (seed {self.seed}), {len(self.data) / 1e6:.0f} MB, {mean:.0f} bytes a line,"
            f" {quoted:,} of them with more than six quotes."
        )


def generate_sample(*, lines: int, seed: int) -> Sample:
    """Lines of all layouts, 1 % of them with stray quotes, in the order in which the objects would be read."""
    objects = generate(lines=lines, seed=seed, end=LAST_DAY)
    return Sample(b"".join(log.body for log in objects), lines, seed)
