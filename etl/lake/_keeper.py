"""Who knows which batches readers see, and lets them see the next one.

In a folder, and at any S3 endpoint, the commit records do: readers list files, and see a batch once its record is created. On
AWS people query a view, which has to change in the same moment; what keeps the state there is `etl.catalog`'s, since a lake must
not need AWS.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from etl.lake._commits import Commit
from etl.lake._journal import read_commits
from etl.lake._layout import COMMITS, batch_of_commit

if TYPE_CHECKING:
    from etl.lake._store import ObjectStore


@dataclass(frozen=True)
class State:
    """What readers see: committed batches up to `batch` (`""` before the first), and raw days from `raw_since` on.

    `raw_since` is `""` where readers see all of raw/ that no batch holds.
    """

    batch: str
    raw_since: str


class StateKeeper(Protocol):
    """The one place that says what is committed. All methods raise `LakeUnusable`, and `LakeMismatch` for a state of others."""

    def read(self) -> State:
        """The state at this moment."""

    def commits(self) -> Iterator[Commit]:
        """All committed batches, oldest first; `committed_at` is `""` of one that has no record yet."""

    def advance(self, to: State, *, event_days: Collection[str]) -> None:
        """Let readers see the batch, if that takes more than its commit record: only from the batch before it, and only once.

        `event_days` are those of its rows.
        """


@dataclass(frozen=True)
class FileKeeper:
    """The commit records themselves."""

    store: ObjectStore

    def read(self) -> State:
        """The highest commit."""
        batches = (batch_of_commit(stored.key) for stored in self.store.list(COMMITS))
        return State(max(batches, default=""), "")

    def commits(self) -> Iterator[Commit]:
        """The records."""
        return read_commits(self.store)

    def advance(self, to: State, *, event_days: Collection[str]) -> None:
        """Nothing: the record is created next, and that is the commit."""
