"""All commit records at once, and complete runs of them put together, so that years of them are read in few requests.

A lake that is compacted every hour has some nine thousand records after a year. A record never changes, so a run of them that was
put together once stays true. The records stay where they are: whoever finds a run damaged, or knows nothing of runs, reads those.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Final

from etl.lake._commits import Commit, Input, Output, commit_from_json, read_commit
from etl.lake._layout import COMMITS, batch_of_commit, commit_key, first_of_run, run_key, run_of
from etl.lake._requests import AT_ONCE, request_each

if TYPE_CHECKING:
    from etl.lake._store import ObjectStore

_BYTES_AT_ONCE: Final = 1 << 26
"""Fetched before the first of them is looked at."""
_GZIP: Final = 31
_INPUT_COLUMNS: Final = ("key", "etag", "size", "rows", "lines", "quarantined")


@dataclass(frozen=True)
class _Part:
    """What one request brings: the record of one batch, or those of a run."""

    key: str
    batches: Sequence[str]
    size: int


@dataclass(frozen=True)
class Journal:
    """The records that one listing found, in bytes: of each batch, and of each run by its first batch."""

    store: ObjectStore
    records: dict[str, int]
    runs: dict[str, int]

    @property
    def last(self) -> str:
        """The highest batch on record, `""` if there is none."""
        return max(self.records, default="")

    def read(
        self, batches: Iterable[str], *, without_record: Callable[[str], Commit] | None = None
    ) -> Iterator[Commit]:
        """The commits of these batches, which ascend; `without_record` makes those that are not on record.

        Several requests travel at once, and memory holds what they bring. Raises `LakeMismatch` for a damaged record.
        """
        for window in _windows(self._parts(batches)):
            recorded = [part for part in window if part.key]
            fetched = request_each(self.store, lambda part: self.store.read(part.key), recorded)
            for part in window:
                if part.key:
                    yield from self._commits(part, next(fetched))
                elif without_record is not None:
                    yield without_record(part.batches[0])

    def _parts(self, batches: Iterable[str]) -> Iterator[_Part]:
        wanted = list(batches)
        asked = set(wanted)
        covered: set[str] = set()
        for batch in wanted:
            run = run_of(batch)
            if batch in covered:
                continue
            if run[0] in self.runs and asked.issuperset(run):
                covered.update(run)
                yield _Part(run_key(run[0]), run, self.runs[run[0]])
            else:
                key = commit_key(batch) if batch in self.records else ""
                yield _Part(key, (batch,), self.records.get(batch, 0))

    def _commits(self, part: _Part, data: bytes) -> Iterator[Commit]:
        if len(part.batches) == 1 and part.key == commit_key(part.batches[0]):
            yield commit_from_json(self.store, part.batches[0], data)
            return
        done = 0
        try:
            for commit in _unpack(data):
                if [commit.batch] != list(part.batches[done : done + 1]):
                    break
                yield commit
                done += 1
        except (ValueError, KeyError, TypeError, zlib.error):
            pass
        yield from (read_commit(self.store, batch) for batch in part.batches[done:])


def list_journal(store: ObjectStore) -> Journal:
    """What is on record at this moment."""
    records: dict[str, int] = {}
    runs: dict[str, int] = {}
    for stored in store.list(COMMITS):
        if batch := batch_of_commit(stored.key):
            records[batch] = stored.size
        elif first := first_of_run(stored.key):
            runs[first] = stored.size
    return Journal(store, records, runs)


def read_commits(store: ObjectStore) -> Iterator[Commit]:
    """All commits on record, oldest first."""
    journal = list_journal(store)
    return journal.read(sorted(journal.records))


def put_runs_together(store: ObjectStore) -> int:
    """Put the records of each complete run together, unless somebody has; how many runs.

    Equal records give equal bytes, so of rivals it does not matter who is first. Memory is that of one commit, and of the run as
    it is stored.
    """
    journal = list_journal(store)
    made = 0
    for batch in sorted(journal.records):
        run = run_of(batch)
        if batch == run[0] and batch not in journal.runs and journal.records.keys() >= set(run):
            made += store.create(run_key(batch), _pack(read_commit(store, each) for each in run))
    return made


def _windows(parts: Iterable[_Part]) -> Iterator[list[_Part]]:
    """So many of them as may be fetched at once."""
    window: list[_Part] = []
    for part in parts:
        if window and (len(window) >= AT_ONCE or sum(each.size for each in window) + part.size > _BYTES_AT_ONCE):
            yield window
            window = []
        window.append(part)
    if window:
        yield window


def _pack(commits: Iterable[Commit]) -> bytes:
    """A line of JSON for each commit, each gzipped by itself, with its checksum; together that is one gzip file."""
    return b"".join(zlib.compress(_line(commit), wbits=_GZIP) for commit in commits)


def _line(commit: Commit) -> bytes:
    """The columns of inputs stand one after the other, since theirs are alike."""
    line = {
        "batch": commit.batch,
        "committed_at": commit.committed_at,
        "folded": dict(commit.folded),
        "outputs": [astuple(output) for output in commit.outputs],
        "inputs": _columns(commit.inputs),
        "left_out": _columns(commit.left_out),
    }
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def _columns(inputs: Sequence[Input]) -> list[list[Any]]:
    return [[getattr(item, name) for item in inputs] for name in _INPUT_COLUMNS]


def _unpack(data: bytes) -> Iterator[Commit]:
    while data:
        packed = zlib.decompressobj(_GZIP)
        line = json.loads(packed.decompress(data))
        if not packed.eof:
            raise ValueError("cut")
        data = packed.unused_data
        yield Commit(
            line["batch"],
            _inputs(line["inputs"]),
            _inputs(line["left_out"]),
            tuple(Output(*output) for output in line["outputs"]),
            line["folded"],
            line["committed_at"],
        )


def _inputs(columns: Sequence[Sequence[Any]]) -> tuple[Input, ...]:
    if len(columns) != len(_INPUT_COLUMNS):
        raise ValueError("not the columns of an input")
    return tuple(Input(*values) for values in zip(*columns, strict=True))
