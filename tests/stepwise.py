"""A lake in memory whose every call, of the store and of Glue, is a step: runs that end or wait at any of them.

The lake keeps each state it was in, for readers (`stepwise_readers`) and for what must hold of a history (`stepwise_history`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aws_account import refusal
from botocore.exceptions import ReadTimeoutError
from small_lakes import Crashed

from etl.catalog import GlueKeeper, State, access_logs_input, table_input
from etl.errors import LakeUnusable, ObjectNotFound
from etl.lake import FILE_STATE, GLUE_STATE, Lake, StoredObject
from etl.schema import COMPACTED_TABLE

Objects = dict[str, bytes]
"""What a lake and its catalog hold; a table or view of Glue is an object below `GLUE`."""
DATABASE = "logs"
GLUE = "glue/logs."
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


# --- Glue -------------------------------------------------------------------------------------------------------------


@dataclass
class StepGlue:
    """Glue of one process, as strict about versions as the real one."""

    lake: MemoryLake
    step: Callable[[str, Callable[[], Any]], Any] = lambda _, act: act()

    def get_table(self, *, DatabaseName: str, Name: str) -> dict[str, Any]:
        def act() -> dict[str, Any]:
            assert DatabaseName == DATABASE
            if GLUE + Name not in self.lake.objects:
                raise refusal("EntityNotFoundException", "GetTable")
            return {"Table": json.loads(self.lake.objects[GLUE + Name])}

        found: dict[str, Any] = self.step(f"glue get {Name}", act)
        return found

    def update_table(self, *, DatabaseName: str, TableInput: dict[str, Any], VersionId: str, SkipArchive: bool) -> None:
        def act() -> None:
            key = GLUE + TableInput["Name"]
            version = json.loads(self.lake.objects[key])["VersionId"]
            if version != VersionId:
                raise refusal("ConcurrentModificationException", "UpdateTable")
            self.lake.put(key, json.dumps({**TableInput, "VersionId": str(int(version) + 1)}).encode())

        assert (DatabaseName, SkipArchive) == (DATABASE, True)
        self.step(f"glue update {TableInput['Name']}", act)


def new_catalog(*, first_day: str, lake_uri: str = "memory") -> Objects:
    """The stateful table and the view as `create_catalog` makes them."""
    tables = (
        table_input(COMPACTED_TABLE, lake_uri=lake_uri, first_day=first_day),
        access_logs_input(State("", first_day), database=DATABASE, lake_uri=lake_uri),
    )
    return {GLUE + table["Name"]: json.dumps({**table, "VersionId": "0"}).encode() for table in tables}


def open_lake(store: Any, glue: Any, *, state: str) -> Lake:
    """A lake over these clients."""
    if state == FILE_STATE:
        return Lake(store)
    return Lake(store, GLUE_STATE, DATABASE, glue=GlueKeeper(store, glue, DATABASE))


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
        if self.fault.startswith("ends"):
            return Crashed(name)
        if name.startswith("glue "):
            return ReadTimeoutError(endpoint_url=name)
        return LakeUnusable(name, "503 Slow Down")


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
