"""The records of compaction: what went into a batch, what came out, and that it counts.

They are JSON under ``meta/``, each created once. Where files keep the lake's state, a batch is visible from the creation of its
commit on and the highest commit is the state. Where Glue keeps it, the commit is written after the batch became visible, as a
journal: everything in it but the time is in plan and winner already.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from etl.errors import LakeMismatch
from etl.lake._layout import COMMITS, batch_of_commit, commit_key, plan_key, winner_key

if TYPE_CHECKING:
    from etl.lake._store import ObjectStore


@dataclass(frozen=True)
class Input:
    """One raw object of a plan, with what its log object held."""

    key: str
    etag: str
    size: int
    rows: int
    lines: int
    quarantined: int


@dataclass(frozen=True)
class Plan:
    """What a batch rewrites. `left_out` are raw objects that cannot be read: kept, counted, and hidden from readers."""

    batch: str
    inputs: tuple[Input, ...]
    left_out: tuple[Input, ...]
    raw_since: str = ""
    """The first raw day that readers see once the batch is committed; `""` where files keep the state."""
    stragglers: tuple[str, ...] = ()
    """Keys of those that came into a day after it was sealed: no query sees them before the batch is committed."""


@dataclass(frozen=True)
class Output:
    """One compacted file."""

    key: str
    size: int
    rows: int


@dataclass(frozen=True)
class Winner:
    """The attempt whose files are the batch's output."""

    batch: str
    attempt: str
    outputs: tuple[Output, ...]
    folded: Mapping[str, int]
    """Rows dropped because they stood twice, by the day their log object arrived."""
    left_out: tuple[str, ...] = ()
    """Keys of inputs that turned out not to be readable, although their footers are."""

    @property
    def rows(self) -> int:
        """Rows of all outputs."""
        return sum(output.rows for output in self.outputs)

    @property
    def duplicates(self) -> int:
        """Rows dropped."""
        return sum(self.folded.values())


@dataclass(frozen=True)
class Commit:
    """A batch that readers see."""

    batch: str
    inputs: tuple[Input, ...]
    left_out: tuple[Input, ...]
    outputs: tuple[Output, ...]
    folded: Mapping[str, int]
    committed_at: str
    """UTC, ISO 8601; not before the batch was visible."""


def read_plan(store: ObjectStore, batch: str) -> Plan:
    """The plan of a batch. Raises `ObjectNotFound`."""
    with _record(store, plan_key(batch)) as found:
        inputs, left_out = _inputs(found["inputs"]), _inputs(found["left_out"])
        return Plan(found["batch"], inputs, left_out, found.get("raw_since", ""), tuple(found.get("stragglers", ())))


def read_winner(store: ObjectStore, batch: str) -> Winner:
    """The elected attempt of a batch. Raises `ObjectNotFound`."""
    with _record(store, winner_key(batch)) as found:
        left_out = tuple(found["left_out"])
        return Winner(found["batch"], found["attempt"], _outputs(found["outputs"]), found["folded"], left_out)


def read_commits(store: ObjectStore) -> Iterator[Commit]:
    """All commits, oldest first."""
    for stored in store.list(COMMITS):
        if batch_of_commit(stored.key):
            yield read_commit(store, batch_of_commit(stored.key))


def read_commit(store: ObjectStore, batch: str) -> Commit:
    """The commit of a batch. Raises `ObjectNotFound`."""
    with _record(store, commit_key(batch)) as found:
        return Commit(
            found["batch"],
            _inputs(found["inputs"]),
            _inputs(found["left_out"]),
            _outputs(found["outputs"]),
            found["folded"],
            found["committed_at"],
        )


def commit_of(plan: Plan, winner: Winner, *, committed_at: str) -> Commit:
    """What a batch of this plan and this winner commits."""
    inputs = tuple(item for item in plan.inputs if item.key not in winner.left_out)
    left_out = (*plan.left_out, *(item for item in plan.inputs if item.key in winner.left_out))
    return Commit(plan.batch, inputs, left_out, winner.outputs, winner.folded, committed_at)


def create_record(store: ObjectStore, key: str, record: Plan | Winner | Commit) -> bool:
    """Write a record once; False if somebody was first, whose record then counts."""
    return store.create(key, json.dumps(asdict(record), indent=1).encode())


@contextmanager
def _record(store: ObjectStore, key: str) -> Iterator[dict[str, Any]]:
    data = store.read(key)
    try:
        yield json.loads(data)
    except (ValueError, KeyError, TypeError) as error:
        raise LakeMismatch(f"{store.uri}/{key}", "is damaged, or of a newer format") from error


def _inputs(found: list[dict[str, Any]]) -> tuple[Input, ...]:
    return tuple(Input(**item) for item in found)


def _outputs(found: list[dict[str, Any]]) -> tuple[Output, ...]:
    return tuple(Output(**item) for item in found)
