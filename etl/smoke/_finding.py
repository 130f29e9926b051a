"""What one check found. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Outcome = Literal["as expected", "unexpected", "undecided", "failed", "left out"]
"""`undecided`: the time was up; `failed`: the check itself could not be run; `left out`: there is nothing to look at."""
WELL: Final[frozenset[Outcome]] = frozenset(("as expected", "left out"))


@dataclass(frozen=True)
class Finding:
    """A question, how it turned out, and what was seen."""

    name: str
    outcome: Outcome
    found: str


def judged(name: str, expected: bool, found: str) -> Finding:
    """The finding of something that is so, or is not."""
    return Finding(name, "as expected" if expected else "unexpected", found)
