"""Runs of commit records that were put together give what the records give, whatever is missing, damaged or of others."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_lakes import DAY_2, DAY_3, add_logs, difference, log_text, make_lake, read_lake

from etl.audit import audit
from etl.compact import _compact, compact
from etl.errors import LakeMismatch, LakeUnusable
from etl.lake import (
    Commit,
    FileKeeper,
    Input,
    ObjectStore,
    Output,
    StoredObject,
    _journal,
    _layout,
    create_lake,
    create_record,
    list_journal,
    open_lake,
    put_runs_together,
    read_commits,
)
from etl.lake._layout import batch_of_commit, batches_up_to, commit_key, first_of_run, run_key, run_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
COUNTS = st.integers(0, 1 << 40)
INPUTS = st.lists(st.builds(Input, TEXTS, TEXTS, COUNTS, COUNTS, COUNTS, COUNTS), max_size=3).map(tuple)
COMMITS = st.builds(
    Commit,
    st.just(""),
    INPUTS,
    INPUTS,
    st.lists(st.builds(Output, TEXTS, COUNTS, COUNTS), max_size=3).map(tuple),
    st.dictionaries(TEXTS, COUNTS, max_size=2),
    st.just("2024-05-04T00:00:00+00:00"),
)


def commit_number(number: int) -> Commit:
    """A commit of some inputs that no other has."""
    name = f"raw/ingest_date=2024-05-0{1 + number % 9}/{random.Random(number).randbytes(16).hex()}.parquet"
    inputs = tuple(replace(Input(name, "etag", 7, 3, 4, 1), key=f"{name}{each}") for each in range(2))
    output = Output(f"compacted/event_date=2024-05-01/{number:010}-0001.parquet", 9, 5)
    return Commit(f"{number:010}", inputs, inputs[:1], (output,), {"2024-05-01": 1}, "2024-05-04T00:00:00+00:00")


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs of three."""
    monkeypatch.setattr(_layout, "BATCHES_PER_RUN", 3)
    monkeypatch.setattr(_compact, "BATCHES_PER_RUN", 3)
    return 3


def record(folder: Path, commits: list[Commit]) -> ObjectStore:
    store = create_lake(str(folder)).store
    for commit in commits:
        assert create_record(store, commit_key(commit.batch), commit)
    return store


class Counted:
    """A store that tells what was read and listed."""

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner
        self.read_keys: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        return self.inner.list(prefix)

    def read(self, key: str) -> bytes:
        self.read_keys.append(key)
        return self.inner.read(key)


# --- Names ------------------------------------------------------------------------------------------------------------


def test_names_of_runs() -> None:
    assert run_key("0000000001") == run_key("0000000032") == "meta/commit/0000000001-0000000032.json.gz"
    assert run_key("0000000033") == "meta/commit/0000000033-0000000064.json.gz"
    assert run_of("0000000032") == tuple(batches_up_to("0000000032"))
    assert first_of_run("meta/commit/0000000033-0000000064.json.gz") == "0000000033"
    assert batch_of_commit(run_key("0000000001")) == "", "who knows nothing of runs passes over them"


@pytest.mark.parametrize(
    "name",
    [
        *("0000000002-0000000033.json.gz", "0000000001-0000000031.json.gz", "0000000000-0000000032.json.gz"),
        *("0000000001-0000000032.json.gz~", "x/0000000001-0000000032.json.gz", "0000000001.json", "", "notes"),
    ],
)
def test_what_is_no_run(name: str) -> None:
    assert first_of_run(f"meta/commit/{name}") == ""


# --- Reading ----------------------------------------------------------------------------------------------------------


@given(st.lists(COMMITS, min_size=1, max_size=9), st.integers(1, 4), st.integers(1, 3))
def test_runs_give_what_the_records_give(
    tmp_path_factory: pytest.TempPathFactory, commits: list[Commit], size: int, at_once: int
) -> None:
    numbered = [replace(commit, batch=f"{number:010}") for number, commit in enumerate(commits, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_layout, "BATCHES_PER_RUN", size)
        patch.setattr(_journal, "AT_ONCE", at_once)
        store = record(tmp_path_factory.mktemp("lake"), numbered)
        assert list(read_commits(store)) == numbered
        assert put_runs_together(store) == len(numbered) // size
        assert list(read_commits(store)) == numbered
        assert put_runs_together(store) == 0


def test_one_request_brings_a_run(tmp_path: Path) -> None:
    commits = [commit_number(number) for number in range(1, 71)]
    store = Counted(record(tmp_path, commits))
    assert put_runs_together(store) == 2
    store.read_keys.clear()
    assert list(read_commits(store)) == commits
    assert store.read_keys == [
        run_key("0000000001"),
        run_key("0000000033"),
        *(commit_key(f"{number:010}") for number in range(65, 71)),
    ]
    records, runs = (
        sum(path.stat().st_size for path in (tmp_path / "meta" / "commit").glob(pattern))
        for pattern in ("*.json", "*.json.gz")
    )
    assert runs < records / 3


def test_few_requests_are_fetched_before_the_first_is_looked_at(
    tmp_path: Path, short_runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = record(tmp_path, [commit_number(number) for number in range(1, 8)])
    put_runs_together(store)
    journal = list_journal(store)
    monkeypatch.setattr(_journal, "_BYTES_AT_ONCE", 1)
    parts = list(_journal._windows(journal._parts(batches_up_to(journal.last))))
    assert [len(window) for window in parts] == [1, 1, 1]
    monkeypatch.setattr(_journal, "_BYTES_AT_ONCE", 1 << 26)
    assert [len(window) for window in _journal._windows(journal._parts(batches_up_to(journal.last)))] == [3]


def unpacked(data: bytes) -> list[bytes]:
    return gzip.decompress(data).splitlines(keepends=True)


def packed(lines: list[bytes]) -> bytes:
    return b"".join(map(gzip.compress, lines))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"\x00" * len(data),
        lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
        lambda data: data[:-6] + bytes([data[-6] ^ 1]) + data[-5:],
        lambda data: packed([b"not json\n"]),
        lambda data: packed([b"[]\n"]),
        lambda data: packed(unpacked(data)[1:]),
        lambda data: packed(unpacked(data)[:2]),
        lambda data: packed(unpacked(data)[::-1]),
        lambda data: packed(unpacked(data) * 2),
        lambda data: gzip.compress(b"".join(unpacked(data))),
        lambda data: packed([line.replace(b'"inputs":[[', b'"inputs":[["x",') for line in unpacked(data)]),
        lambda data: packed([line.replace(b'"inputs":[', b'"inputs":[[],') for line in unpacked(data)]),
        lambda data: packed([line.replace(b'"folded"', b'"unfolded"') for line in unpacked(data)]),
    ],
)
def test_of_a_damaged_run_the_records_count(tmp_path: Path, short_runs: int, damage: Any) -> None:
    commits = [commit_number(number) for number in range(1, 6)]
    store = record(tmp_path, commits)
    put_runs_together(store)
    path = tmp_path / run_key("0000000001")
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert path.read_bytes() != whole
    assert list(read_commits(store)) == commits


def test_a_damaged_record_is_named_and_makes_no_run(tmp_path: Path, short_runs: int) -> None:
    store = record(tmp_path, [commit_number(number) for number in range(1, 5)])
    (tmp_path / commit_key("0000000002")).write_bytes(b"{")
    for act in (lambda: list(read_commits(store)), lambda: put_runs_together(store)):
        with pytest.raises(LakeMismatch, match=re.escape("0000000002.json")):
            act()
    assert list_journal(store).runs == {}


def test_a_run_with_a_gap_is_not_put_together(tmp_path: Path, short_runs: int) -> None:
    commits = [commit_number(number) for number in (1, 3, 4, 5, 6)]
    store = record(tmp_path, commits)
    assert put_runs_together(store) == 1
    assert list(list_journal(store).runs) == ["0000000004"]
    assert list(read_commits(store)) == commits


def test_batches_that_are_not_asked_for_are_not_given(tmp_path: Path, short_runs: int) -> None:
    commits = [commit_number(number) for number in range(1, 7)]
    store = record(tmp_path, commits)
    put_runs_together(store)
    journal = list_journal(store)
    assert list(journal.read(batches_up_to("0000000004"))) == commits[:4]
    made = commit_number(7)
    assert list(journal.read(batches_up_to("0000000007"), without_record={made.batch: made}.__getitem__)) == [
        *commits,
        made,
    ]


def test_rivals_put_the_same_bytes(tmp_path: Path, short_runs: int) -> None:
    commits = [commit_number(number) for number in range(1, 4)]
    one, two = (record(tmp_path / name, commits) for name in ("one", "two"))
    put_runs_together(one)
    put_runs_together(two)
    key = run_key("0000000001")
    assert one.read(key) == two.read(key)
    lines = [json.loads(line) for line in gzip.decompress(one.read(key)).splitlines()]
    assert [line["batch"] for line in lines] == batches_up_to("0000000003")


# --- In a lake --------------------------------------------------------------------------------------------------------


def test_a_lake_reads_the_same_with_runs_and_without(tmp_path: Path, short_runs: int) -> None:
    lake = make_lake(tmp_path / "lake")
    truth = read_lake(lake)
    for number in range(7):
        truth = truth | add_logs(lake, now=DAY_2, **{f"log{number}": log_text(5, seed=f"s{number}")})
        compact(str(lake), now=DAY_3)
    folder = lake / "meta" / "commit"
    names = sorted(path.name for path in folder.glob("*.gz"))
    assert names == ["0000000001-0000000003.json.gz", "0000000004-0000000006.json.gz"]
    opened = open_lake(str(lake))
    assert FileKeeper(opened.store).read().batch == "0000000007"
    assert difference(read_lake(lake), truth) == ""
    assert audit(str(lake), now=DAY_3).ok
    with_runs = (opened.snapshot(), opened.ingested_and_left_out(), list(opened.commits()))
    for path in folder.glob("*.gz"):
        path.unlink()
    assert (opened.snapshot(), opened.ingested_and_left_out(), list(opened.commits())) == with_runs


def test_a_store_that_refuses_runs_is_told_and_loses_nothing(
    tmp_path: Path, short_runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch counts by then: whoever runs next puts the run together."""
    lake = make_lake(tmp_path / "lake")
    for number in range(2):
        add_logs(lake, now=DAY_2, **{f"log{number}": log_text(5, seed=f"s{number}")})
        compact(str(lake), now=DAY_3)
    truth = add_logs(lake, now=DAY_2, last=log_text(5, seed="last"))
    expected = read_lake(lake)

    def refuse(store: ObjectStore) -> int:
        raise LakeUnusable(store.uri, "no")

    with monkeypatch.context() as patch:
        patch.setattr(_compact, "put_runs_together", refuse)
        with pytest.raises(LakeUnusable):
            compact(str(lake), now=DAY_3)
    assert difference(read_lake(lake), expected) == ""
    assert set(truth) <= set(expected)
    assert open_lake(str(lake)).keeper.read().batch == "0000000003"
    assert compact(str(lake), now=DAY_3).batch is None
    assert list(list_journal(open_lake(str(lake)).store).runs) == ["0000000001"]


def test_records_of_newer_programs_are_refused_in_runs_too(tmp_path: Path, short_runs: int) -> None:
    commits = [commit_number(number) for number in range(1, 4)]
    store = record(tmp_path, commits[:2])
    newer = asdict(commits[2])
    newer["inputs"][0]["rows_deleted"] = 1
    store.create(commit_key(commits[2].batch), json.dumps(newer).encode())
    with pytest.raises(LakeMismatch):
        put_runs_together(store)
    with pytest.raises(LakeMismatch):
        list(read_commits(store))
