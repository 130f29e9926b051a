"""Readers of a stepwise lake, at all moments at once.

A reader changes nothing, so it is not run beside a compaction but afterwards, over the states the lake was in: each of its calls
is answered from any state that is not before the last one it saw. That is every interleaving of one reader with that history,
with any number of switches.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from aws_account import refusal
from stepwise import GLUE, Objects, open_lake

from etl.errors import LakeMismatch, ObjectNotFound
from etl.lake import FILE_STATE, StoredObject
from etl.lake._layout import day_of, name_of

Row = tuple[str, int]
Rows = Counter[Row]
_T = TypeVar("_T")


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


class ReaderGlue:
    """A reader's Glue: every get is a step."""

    def __init__(self, look: _Choices) -> None:
        self._look = look

    def get_table(self, *, DatabaseName: str, Name: str) -> dict[str, Any]:
        found = self._look(lambda objects: objects.get(GLUE + Name))
        if found is None:
            raise refusal("EntityNotFoundException", "GetTable")
        return {"Table": json.loads(found)}


@dataclass(frozen=True)
class Read:
    """What a reader got: the batch it looked at and its rows, or None if it was told that something is wrong, and what."""

    batch: str
    rows: Rows | None
    trouble: str = ""


Reader = Callable[[_Choices], Read]


def read_in_every_way(states: Sequence[Objects], reader: Reader) -> Iterator[Read]:
    """Everything that one reader can see who resolves the lake, and opens the files, while it goes through these states."""
    wanted: list[int] | None = []
    while wanted is not None:
        look = _Choices(states, wanted)
        yield reader(look)
        wanted = _next_choices(look.made)


def _next_choices(made: list[tuple[int, int]]) -> list[int] | None:
    while made and made[-1][0] + 1 == made[-1][1]:
        made.pop()
    return [*(chosen for chosen, _ in made[:-1]), made[-1][0] + 1] if made else None


def read_directly(look: _Choices, *, state: str = FILE_STATE) -> Read:
    """As `etl.read` does: a snapshot, then its files."""
    store = ReaderStore(look)
    batch = ""
    rows: Rows = Counter()
    try:
        snapshot = open_lake(store, ReaderGlue(look), state=state).snapshot()
        batch = snapshot.batch_id
        for file in (*snapshot.compacted, *snapshot.raw):
            rows += row_identities(store.read(file.path))
    except ObjectNotFound:
        return Read(batch, None, "gone")
    except LakeMismatch as error:
        return Read(batch, None, str(error))
    return Read(batch, rows)


def read_as_athena(look: _Choices, *, raw_first: bool) -> Read:
    """As a query of the view `access_logs` does: the view, the first day of the compacted table, the two arms' files.

    No other engine than Athena fixes in which order it lists the two.
    """
    glue, store = ReaderGlue(look), ReaderStore(look)
    view = glue.get_table(DatabaseName="logs", Name="access_logs")["Table"]
    text = view["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
    sql = json.loads(base64.b64decode(text))["originalSql"]
    (batch,), (since,) = re.findall("batch_id <= '(.*?)'", sql), re.findall("ingest_date >= '(.*?)'", sql)
    table = glue.get_table(DatabaseName="logs", Name="access_logs_compacted")["Table"]
    first_day = table["Parameters"]["projection.event_date.range"].split(",")[0]
    keys = []
    for prefix in ("raw/", "compacted/") if raw_first else ("compacted/", "raw/"):
        listed = [stored.key for stored in store.list(prefix)]
        if prefix == "raw/":
            keys += [key for key in listed if day_of(key) >= since]
        else:
            keys += [key for key in listed if day_of(key) >= first_day and name_of(key).split("-")[0] <= batch]
    rows: Rows = Counter()
    try:
        for key in keys:
            rows += row_identities(store.read(key))
    except ObjectNotFound:
        return Read(batch, None, "gone")
    return Read(batch, rows)


@cache
def row_identities(data: bytes) -> Rows:
    """What tells the rows of a Parquet file apart."""
    with pq.ParquetFile(pa.BufferReader(data)) as file:
        table = file.read(columns=["source_key", "line_no"])
    return Counter(zip(*(column.to_pylist() for column in table.columns), strict=True))
