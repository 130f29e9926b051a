"""What a sink is, and what became of a log object in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from etl.parse import Parsed


@dataclass(frozen=True)
class Written:
    """What became of one log object: non-blank lines = rows + quarantined."""

    lines: int
    rows: int
    quarantined: int


@dataclass(frozen=True)
class Delivered:
    """What went to Firehose, nothing if that is not where rows go. A record that was sent again counts once but in `retried`."""

    documents: int = 0
    records: int = 0
    retried: int = 0
    bytes: int = 0


class Sink(Protocol):
    """Where the rows of log objects go. Lines that could not be read go to quarantine/, whatever the sink."""

    unused: Collection[str]
    """Columns that need not be worked out for it: no reader gets them this way."""
    delivered: Delivered
    errors: list[str]
    """Why rows were lost, each reason once."""

    def write(self, parts: Iterable[Parsed], *, name: str, owner: str) -> Written:
        """Take the parts of a log object; `name` is its raw name, `owner` whoever must hear if rows of it are lost.

        Rows may be held back until `finish`. What `parts` raises goes through; rows taken until then may be delivered.
        """

    def finish(self) -> frozenset[str]:
        """Deliver what was held back; the owners of all rows that are not known to be delivered."""
