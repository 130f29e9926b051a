"""A lake in memory whose every call is a step: runs that end or wait at any of them, and readers at all moments at once.

The store keeps each state it was in. A reader changes nothing, so it is not run beside a compaction but afterwards, over those
states: `read_in_every_way` answers each of its calls from any state that is not before the last one it saw. That is every
interleaving of one reader with that history, with any number of switches.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from small_lakes import Crashed

from etl.errors import LakeUnusable, ObjectNotFound
from etl.lake import Input, Lake, StoredObject, Winner

Objects = dict[str, bytes]
Row = tuple[str, int]
Rows = Counter[Row]
_T = TypeVar("_T")


# --- The lake ---------------------------------------------------------------------------------------------------------


@dataclass
class MemoryLake:
    """Objects by key, every state they were in, and the clock of whoever changes them."""

    objects: Objects
    shelf: Path
    """Where bytes lie under their own hash, for what must open a file by its path."""
    now: dt.datetime
    states: list[Objects] = field(default_factory=list)
    times: list[dt.datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._remember()

    def put(self, key: str, data: bytes) -> None:
        self.objects[key] = data
        self._remember()

    def drop(self, key: str) -> None:
        if self.objects.pop(key, None) is not None:
            self._remember()

    def file(self, key: str) -> Path:
        """A file with what the object holds now; one that does not exist if there is no such object."""
        if key not in self.objects:
            return self.shelf / "gone" / key
        data = self.objects[key]
        path = self.shelf / hashlib.blake2b(data, digest_size=16).hexdigest()
        if not path.exists():
            path.write_bytes(data)
        return path

    def _remember(self) -> None:
        self.states.append(dict(self.objects))
        self.times.append(self.now)


@dataclass
class StepStore:
    """The store of one process. A copy is two steps, a get and a put, as it is in a bucket."""

    lake: MemoryLake
    step: Callable[[str, Callable[[], Any]], Any] = lambda _, act: act()
    """Called with what each step is; performs it, or not."""
    filesystem: None = None
    uri: str = "memory"

    def path(self, key: str) -> str:
        """Whoever asks opens it at once."""
        return str(self.step(f"open {key}", lambda: self.lake.file(key)))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        yield from self.step(f"list {prefix}", lambda: _listed(self.lake.objects, prefix))

    def read(self, key: str) -> bytes:
        data: bytes = self.step(f"read {key}", lambda: _held(self.lake.objects, key))
        return data

    def fetch(self, key: str, folder: Path) -> Path:
        def act() -> Path:
            _held(self.lake.objects, key)
            return self.lake.file(key)

        path: Path = self.step(f"fetch {key}", act)
        return path

    def create(self, key: str, data: bytes) -> bool:
        def act() -> bool:
            if key in self.lake.objects:
                return False
            self.lake.put(key, data)
            return True

        return bool(self.step(f"create {key}", act))

    def move_in(self, key: str, file: Path) -> None:
        self.step(f"put {key}", lambda: self.lake.put(key, file.read_bytes()))
        file.unlink()

    def copy(self, source: str, target: str) -> bool:
        return self.create(target, self.read(source))

    def delete(self, key: str) -> None:
        self.step(f"delete {key}", lambda: self.lake.drop(key))

    def overwrite(self, key: str, data: bytes) -> None:
        """What no store of the product offers: for protocols that are wrong."""
        self.step(f"overwrite {key}", lambda: self.lake.put(key, data))

    def scratch(self) -> Path:
        return self.lake.shelf


def _listed(objects: Objects, prefix: str) -> tuple[StoredObject, ...]:
    return tuple(
        StoredObject(key, len(objects[key]), str(len(objects[key])))
        for key in sorted(objects)
        if key.startswith(prefix)
    )


def _held(objects: Objects, key: str) -> bytes:
    try:
        return objects[key]
    except KeyError:
        raise ObjectNotFound(key, "no such object in the lake") from None


# --- Faults -----------------------------------------------------------------------------------------------------------

FAULTS = ("ends before", "ends after", "is refused", "gets no answer")


@dataclass
class FaultyStep:
    """Counts the steps; something goes wrong at one of them."""

    at: int = -1
    fault: str = "ends before"
    steps: list[str] = field(default_factory=list)

    def __call__(self, name: str, act: Callable[[], _T]) -> _T:
        number = len(self.steps)
        self.steps.append(name)
        if number == self.at and self.fault in ("ends before", "is refused"):
            raise self._trouble(name)
        try:
            return act()
        finally:
            if number == self.at:
                raise self._trouble(name)  # whatever the answer was, it is lost

    def _trouble(self, name: str) -> BaseException:
        return Crashed(name) if self.fault.startswith("ends") else LakeUnusable(name, "503 Slow Down")


# --- Runs that take turns ---------------------------------------------------------------------------------------------


class Run:
    """A thread that stands before each of its steps until it is told to take some. One runs at a time."""

    def __init__(self, act: Callable[[Callable[[str, Callable[[], Any]], Any]], object]) -> None:
        self.error: BaseException | None = None
        self.taken = 0
        self.done = False
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._act, self._left = act, 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def take(self, steps: int | None) -> None:
        """Go on for so many steps, or (None) to the end."""
        if self.done or steps == 0:
            return
        self._left = -1 if steps is None else steps
        self._go.release()
        assert self._stands.acquire(timeout=60), "a run does not come back"
        if self.done:
            self._thread.join(60)

    def _run(self) -> None:
        self._wait()
        try:
            self._act(self._step)
        except BaseException as error:
            self.error = error
        self.done = True
        self._stands.release()

    def _wait(self) -> None:
        assert self._go.acquire(timeout=60), "nobody lets this run go on"

    def _step(self, name: str, act: Callable[[], _T]) -> _T:
        if self._left == 0:
            self._stands.release()
            self._wait()
        self._left -= 1
        self.taken += 1
        return act()


# --- The engine's answers, remembered ---------------------------------------------------------------------------------


class RememberedRewrite:
    """`_rewrite._rewrite`, with DuckDB's work done once for the same answers of the store.

    What it asks the store is asked every time, in the same order; as long as the answers are those of an earlier run, what it
    then wrote is written again. At the first other answer the real code runs, and is given the answers it has had already.
    """

    def __init__(self, real: Callable[..., Winner]) -> None:
        self._real = real
        self._known: dict[Hashable, Any] = {}
        self.runs = 0
        self.recalled = 0

    def __call__(self, lake: Lake, batch: str, inputs: tuple[Input, ...], attempt: str, target_bytes: int) -> Winner:
        place: tuple[Hashable, ...] = (batch, tuple(item.key for item in inputs), target_bytes)
        answers: list[Any] = []
        store: Any = lake.store
        while (known := self._known.get(place)) is not None:
            if isinstance(known, tuple) and known[0] == "wrote":
                self.recalled += 1
                return self._write_again(store, known[1], known[2], attempt)
            answer = _ask(store, *known)
            answers.append(answer)
            place = (*place, answer)
        self.runs += 1
        recorder = _Recorder(store, answers, attempt)
        winner = self._real(Lake(recorder), batch, inputs, attempt, target_bytes)  # type: ignore[arg-type]
        place = place[:3]
        for call, answer in recorder.asked:
            self._known[place] = call
            place = (*place, answer)
        self._known[place] = ("wrote", tuple(recorder.wrote), winner)
        return winner

    def _write_again(
        self, store: StepStore, wrote: Sequence[tuple[str, bytes]], winner: Winner, attempt: str
    ) -> Winner:
        for key, data in wrote:
            file = store.lake.shelf / f"again-{next(_numbers)}"
            file.write_bytes(data)
            store.move_in(key.format(attempt=attempt), file)
        return replace(winner, attempt=attempt)


_numbers = itertools.count()


def _ask(store: Any, verb: str, key: str) -> Any:
    if verb == "list":
        return tuple(store.list(key))
    return store.fetch(key, None) if verb == "fetch" else getattr(store, verb)(key)


class _Recorder:
    """A store that first gives the answers it was given, then those of another, and writes all down."""

    filesystem = None
    uri = "memory"

    def __init__(self, inner: StepStore, answers: Sequence[Any], attempt: str) -> None:
        self._inner, self._ready, self._attempt = inner, list(answers), attempt
        self.asked: list[tuple[tuple[str, str], Any]] = []
        self.wrote: list[tuple[str, bytes]] = []

    def path(self, key: str) -> str:
        return str(self._answer("path", key))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        yield from self._answer("list", prefix)

    def read(self, key: str) -> bytes:
        data: bytes = self._answer("read", key)
        return data

    def fetch(self, key: str, folder: Path) -> Path:
        path: Path = self._answer("fetch", key)
        return path

    def move_in(self, key: str, file: Path) -> None:
        self.wrote.append((key.replace(self._attempt, "{attempt}"), file.read_bytes()))
        self._inner.move_in(key, file)

    def scratch(self) -> Path:
        return self._inner.scratch()

    def _answer(self, verb: str, key: str) -> Any:
        answer = self._ready.pop(0) if self._ready else _ask(self._inner, verb, key)
        self.asked.append(((verb, key), answer))
        return answer


# --- Readers ----------------------------------------------------------------------------------------------------------


@dataclass
class _Choices:
    """Answers from the states, later ones after earlier ones; which of the answers that differ is chosen from outside."""

    states: Sequence[Objects]
    wanted: Sequence[int]
    now_at: int = 0
    made: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, ask: Callable[[Objects], _T]) -> _T:
        # Of states that give one answer the earliest stands for all: what can follow any of them can follow it.
        answers: dict[Any, int] = {}
        for number in range(self.now_at, len(self.states)):
            answers.setdefault(ask(self.states[number]), number)
        place = len(self.made)
        chosen = self.wanted[place] if place < len(self.wanted) else 0
        self.made.append((chosen, len(answers)))
        answer, self.now_at = list(answers.items())[chosen]
        found: _T = answer
        return found


@dataclass
class ReaderStore:
    """A reader's store: every page of a listing, of one key, is a step, and so is every get."""

    look: _Choices
    filesystem: None = None
    uri: str = "memory"

    def path(self, key: str) -> str:
        """A name: the reader opens it later."""
        return key

    def list(self, prefix: str) -> Iterator[StoredObject]:
        last = ""
        while True:
            page = self.look(lambda objects, last=last: _next_key(objects, prefix, last))  # type: ignore[misc]
            if page is None:
                return
            last = page.key
            yield page

    def read(self, key: str) -> bytes:
        found = self.look(lambda objects: objects.get(key))
        if found is None:
            raise ObjectNotFound(key, "no such object in the lake")
        return found


def _next_key(objects: Objects, prefix: str, last: str) -> StoredObject | None:
    keys = [key for key in objects if key.startswith(prefix) and key > last]
    return StoredObject(min(keys), len(objects[min(keys)]), "") if keys else None


@dataclass(frozen=True)
class Read:
    """What a reader got: the batch its snapshot is of and its rows, or None if a file was gone and it was told so."""

    batch: str
    rows: Rows | None


def read_in_every_way(states: Sequence[Objects]) -> Iterator[Read]:
    """Everything that one reader can see who resolves the lake, and opens the files, while it goes through these states."""
    wanted: list[int] | None = []
    while wanted is not None:
        look = _Choices(states, wanted)
        yield _read(ReaderStore(look))
        wanted = _next_choices(look.made)


def _next_choices(made: list[tuple[int, int]]) -> list[int] | None:
    while made and made[-1][0] + 1 == made[-1][1]:
        made.pop()
    return [*(chosen for chosen, _ in made[:-1]), made[-1][0] + 1] if made else None


def _read(store: ReaderStore) -> Read:
    batch = ""
    rows: Rows = Counter()
    try:
        snapshot = Lake(store).snapshot()  # type: ignore[arg-type]
        batch = snapshot.batch_id
        for file in (*snapshot.compacted, *snapshot.raw):
            rows += row_identities(store.read(file.path))
    except ObjectNotFound:
        return Read(batch, None)
    return Read(batch, rows)


@cache
def row_identities(data: bytes) -> Rows:
    """What tells the rows of a Parquet file apart."""
    with pq.ParquetFile(pa.BufferReader(data)) as file:
        table = file.read(columns=["source_key", "line_no"])
    return Counter(zip(*(column.to_pylist() for column in table.columns), strict=True))


# --- What must hold of a history --------------------------------------------------------------------------------------


def broken_invariants(lake: MemoryLake, *, grace: dt.timedelta) -> list[str]:
    """What the states of a lake have against them, whoever reads."""
    broken = []
    for before, after, now in zip(lake.states, lake.states[1:], lake.times[1:], strict=False):
        for key, data in before.items():
            if key.startswith(("compacted/", "meta/")) and after.get(key) != data:
                broken.append(f"{key} was created and then changed")
        for key in before.keys() - after.keys():
            if key.startswith("raw/") and not _may_go(before, key, now - grace):
                broken.append(f"{key} was deleted too early")
    last = lake.states[-1]
    commits = _records(last, "meta/commit/")
    inputs = Counter(item["key"] for commit in commits for item in commit["inputs"])
    broken += [f"{key} is in {count} commits" for key, count in inputs.items() if count > 1]
    for commit in commits:
        named = {output["key"]: output["size"] for output in commit["outputs"]}
        held = {key: len(last[key]) for key in last if _is_of(key, commit["batch"])}
        if named != held:
            broken.append(f"batch {commit['batch']} is not what its commit names")
        plan = json.loads(last[f"meta/plan/{commit['batch']}.json"])
        if _named(plan) != _named(commit):
            broken.append(f"batch {commit['batch']} has not the inputs of its plan")
    return broken


def _is_of(key: str, batch: str) -> bool:
    return key.startswith("compacted/") and key.rsplit("/", 1)[-1].startswith(f"{batch}-")


def _named(record: dict[str, Any]) -> list[str]:
    return sorted(item["key"] for item in (*record["inputs"], *record["left_out"]))


def _records(objects: Objects, prefix: str) -> list[dict[str, Any]]:
    return [json.loads(objects[key]) for key in sorted(objects) if key.startswith(prefix)]


def _may_go(objects: Objects, key: str, latest: dt.datetime) -> bool:
    return any(
        key in [item["key"] for item in commit["inputs"]]
        and dt.datetime.fromisoformat(commit["committed_at"]) <= latest
        for commit in _records(objects, "meta/commit/")
    )


def what_readers_see(states: Sequence[Objects]) -> tuple[Objects, ...]:
    """The states as far as they differ in what a reader looks at."""
    seen: list[Objects] = []
    for objects in states:
        visible = {key: data for key, data in objects.items() if key.startswith(("raw/", "compacted/", "meta/commit/"))}
        if not seen or seen[-1] != visible:
            seen.append(visible)
    return tuple(seen)
