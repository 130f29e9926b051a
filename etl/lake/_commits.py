"""The records of compaction: what went into a batch, what came out, and that it counts.

They are JSON under ``meta/``, each created once. Where files keep the lake's state, a batch is visible from the creation of its
commit on and the highest commit is the state. Where Glue keeps it, the commit is written after the batch became visible, as a
journal: everything in it but the time is in plan and winner already.

Records of lakes that were made before a field was there read as if it were empty. The other way round is not provided for: a
program that does not know `Plan.logs` would carry out such a plan as an empty one, which loses nothing, for the log objects count
as in the lake only by what the winner says of them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from etl.errors import LakeMismatch
from etl.lake._layout import commit_key, name_of, plan_key, winner_key

if TYPE_CHECKING:
    from etl.lake._store import ObjectStore


@dataclass(frozen=True)
class Input:
    """One raw object of a plan, with what its log object held.

    Of a log object that was rewritten without ever being a raw object, the one it would have been: its name says that the log
    object is in the lake, and there is nothing to delete.
    """

    key: str
    etag: str
    size: int
    rows: int
    lines: int
    quarantined: int


@dataclass(frozen=True)
class PlannedLog:
    """One log object of a plan, to be read where it lies: its name, address, stored size in bytes, and version.

    Only this version counts: `raw_name(source_key, version)` names its rows and its quarantined lines.
    """

    source_key: str
    location: str
    size: int
    version: str


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
    logs: tuple[PlannedLog, ...] = ()
    """Log objects that go straight to compacted/: a back-fill. Whoever finds the plan carries it out."""
    ingest_date: str = ""
    """The day `logs` arrive, `YYYY-MM-DD`: the plan's, so that every attempt gives them the same names."""


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
    """Keys of inputs that turned out not to be readable, although their footers are, and source keys of such log objects."""
    inputs: tuple[Input, ...] = ()
    """What was read of the plan's log objects: all but those left out, which may come again."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why, by what is left out, where the engine knows."""

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

    @property
    def consumed(self) -> Iterator[str]:
        """Keys of raw objects that no reader looks at any more: those in the batch, and those that it left out."""
        return (item.key for item in (*self.inputs, *self.left_out))


def read_plan(store: ObjectStore, batch: str) -> Plan:
    """The plan of a batch. Raises `ObjectNotFound`."""
    with _parsed(store, plan_key(batch), store.read(plan_key(batch))) as found:
        inputs, left_out = _inputs(found["inputs"]), _inputs(found["left_out"])
        return Plan(
            found["batch"],
            inputs,
            left_out,
            found.get("raw_since", ""),
            tuple(found.get("stragglers", ())),
            tuple(PlannedLog(**log) for log in found.get("logs", ())),
            found.get("ingest_date", ""),
        )


def read_winner(store: ObjectStore, batch: str) -> Winner:
    """The elected attempt of a batch. Raises `ObjectNotFound`."""
    with _parsed(store, winner_key(batch), store.read(winner_key(batch))) as found:
        return Winner(
            found["batch"],
            found["attempt"],
            _outputs(found["outputs"]),
            found["folded"],
            tuple(found["left_out"]),
            _inputs(found.get("inputs", [])),
            found.get("reasons", {}),
        )


def read_commit(store: ObjectStore, batch: str) -> Commit:
    """The commit of a batch. Raises `ObjectNotFound`."""
    return commit_from_json(store, batch, store.read(commit_key(batch)))


def commit_from_json(store: ObjectStore, batch: str, data: bytes) -> Commit:
    """The commit of a batch, from its record's bytes. Raises `LakeMismatch`."""
    with _parsed(store, commit_key(batch), data) as found:
        return Commit(
            found["batch"],
            _inputs(found["inputs"]),
            _inputs(found["left_out"]),
            _outputs(found["outputs"]),
            found["folded"],
            found["committed_at"],
        )


def commit_of(plan: Plan, winner: Winner, *, committed_at: str) -> Commit:
    """What a batch of this plan and this winner commits.

    A log object that was left out is in neither list: it is not in the lake, and whoever names it again has it read again.
    """
    dropped = frozenset(winner.left_out)
    inputs = (*(item for item in plan.inputs if item.key not in dropped), *winner.inputs)
    left_out = (*plan.left_out, *(item for item in plan.inputs if item.key in dropped))
    return Commit(plan.batch, inputs, left_out, winner.outputs, winner.folded, committed_at)


def never_taken_again(commits: Sequence[Commit], waiting: Collection[str]) -> Iterator[tuple[Input, str]]:
    """Raw objects that a batch left out, each with the batch: no reader sees their rows.

    Not those whose log objects came again: then a committed batch holds one of the same name, or it is among the `waiting`, the
    names of raw objects in no batch.
    """
    taken = {name_of(item.key) for commit in commits for item in commit.inputs}.union(waiting)
    for commit in commits:
        for item in commit.left_out:
            if name_of(item.key) not in taken:
                yield item, commit.batch


def create_record(store: ObjectStore, key: str, record: Plan | Winner | Commit) -> bool:
    """Write a record once; False if somebody was first, whose record then counts."""
    return store.create(key, json.dumps(asdict(record), indent=1).encode())


@contextmanager
def _parsed(store: ObjectStore, key: str, data: bytes) -> Iterator[dict[str, Any]]:
    try:
        yield json.loads(data)
    except (ValueError, KeyError, TypeError) as error:
        raise LakeMismatch(f"{store.uri}/{key}", "is damaged, or of a newer format") from error


def _inputs(found: list[dict[str, Any]]) -> tuple[Input, ...]:
    return tuple(Input(**item) for item in found)


def _outputs(found: list[dict[str, Any]]) -> tuple[Output, ...]:
    return tuple(Output(**item) for item in found)
