"""A lake in a folder: its folders come and go with what is in them, and links in it are not followed."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from small_lakes import DAY_1, DAY_2, add_logs, log_text, make_lake, read_lake

from etl.audit import audit
from etl.compact import compact
from etl.errors import LakeError, LakeUnusable, ObjectNotFound
from etl.ingest import ingest
from etl.lake import create_lake, open_lake
from etl.lake._folder_store import FolderStore

KEY = "raw/ingest_date=2024-05-02/a.parquet"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    found = create_lake(str(tmp_path / "lake")).store
    assert isinstance(found, FolderStore)
    return found


def folders(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_dir())


# --- Folders without objects ------------------------------------------------------------------------------------------


def test_a_folder_goes_with_its_last_object(store: FolderStore) -> None:
    for name in ("1/x/event_date=2024-05-01/a", "1/x/event_date=2024-05-01/b", "1/y/c", "2/z/d"):
        store.create(f"staging/{name}", b"")
    store.delete("staging/1/x/event_date=2024-05-01/a")
    assert (store.root / "staging/1/x/event_date=2024-05-01").is_dir()
    store.delete("staging/1/x/event_date=2024-05-01/b")
    assert folders(store.root / "staging") == ["1", "1/y", "2", "2/z", "incoming"]
    store.delete("staging/1/y/c")
    store.delete("staging/1/y/c")
    assert folders(store.root / "staging") == ["2", "2/z", "incoming"]
    store.delete("staging/2/z/d")
    store.create(KEY, b"")
    store.delete(KEY)
    assert folders(store.root) == ["meta", "raw", "staging", "staging/incoming"], "a lake's own folders stay"


def test_collection_leaves_no_empty_folder(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    for day in range(3):
        moment = DAY_1 + dt.timedelta(days=day)
        add_logs(lake, now=moment, **{f"l{day}": log_text(10, seed=f"s{day}")})
        compact(str(lake), now=moment, grace=dt.timedelta(0))
    assert folders(lake / "raw") == []
    assert folders(lake / "staging") == ["incoming"]
    assert audit(str(lake)).ok


def rivals(store: FolderStore) -> dict[str, Callable[[], object]]:
    """The ways to put an object there."""
    file = store.scratch() / "new"
    file.write_bytes(b"data")
    store.create("staging/source", b"data")
    return {
        "create": lambda: store.create(KEY, b"data"),
        "copy": lambda: store.copy("staging/source", KEY),
        "move_in": lambda: store.move_in(KEY, file),
    }


@pytest.mark.parametrize("way", ["create", "copy", "move_in"])
@pytest.mark.parametrize("of", ["the day", "the table"])
def test_a_folder_that_is_removed_before_the_object_is_in_it_is_made_again(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, way: str, of: str
) -> None:
    """A rival removes it twice, between its making and what needs it."""
    put = rivals(store)[way]
    day = (store.root / KEY).parent
    removed: list[str] = []

    def after_a_rival(act: Callable[..., Any], *, needs: Path) -> Callable[..., Any]:
        def acting(*arguments: Any, **options: Any) -> Any:
            if len(removed) < 2 and needs.is_dir():
                removed.append(act.__name__)
                shutil.rmtree(needs)
            return act(*arguments, **options)

        return acting

    # With its table's folder gone, mkdir itself finds that what it has just made is no more.
    names, needs = (("mkdir",), day.parent) if of == "the table" else (("link", "replace"), day)
    for name in names:
        monkeypatch.setattr(os, name, after_a_rival(getattr(os, name), needs=needs))
    assert put() in (True, None)
    assert store.read(KEY) == b"data"
    assert len(removed) == 2


@pytest.mark.parametrize("way", ["create", "copy", "move_in"])
def test_a_folder_that_goes_at_every_try_is_one_clear_error(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    put = rivals(store)[way]
    make = os.mkdir

    def make_nothing(path: str | Path, *arguments: Any, **options: Any) -> None:
        make(path, *arguments, **options)
        if os.fspath(path).endswith("=2024-05-02"):
            os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", make_nothing)
    with pytest.raises(LakeError):
        put()


@pytest.mark.parametrize("way", ["create", "copy", "move_in"])
@pytest.mark.parametrize("place", ["raw", "raw/ingest_date=2024-05-02"])
def test_a_file_where_a_folder_must_be_is_no_object_that_exists(store: FolderStore, way: str, place: str) -> None:
    put = rivals(store)[way]
    (store.root / place).parent.mkdir(exist_ok=True)
    (store.root / place).write_bytes(b"mine")
    with pytest.raises(LakeUnusable):
        put()
    assert (store.root / place).read_bytes() == b"mine"


def test_a_source_that_is_gone_is_looked_for_once(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Path] = []

    def link(source: Path, target: Path) -> None:
        tries.append(source)
        source.unlink(missing_ok=True)
        raise FileNotFoundError(2, "No such file or directory", source)

    copy = rivals(store)["copy"]
    monkeypatch.setattr(os, "link", link)
    with pytest.raises(ObjectNotFound):
        copy()
    assert len(tries) == 1


def test_an_object_that_is_deleted_at_once_was_there(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def link_and_lose(source: Path, target: Path) -> None:
        link(source, target)
        store.delete(KEY)

    monkeypatch.setattr(os, "link", link_and_lose)
    assert store.create(KEY, b"data")
    assert not (store.root / KEY).parent.exists()


def test_who_creates_beside_who_deletes_finds_all_of_it(store: FolderStore) -> None:
    """Each thread creates objects in one folder and deletes all but its last, so the folder goes and comes all the time."""
    start = threading.Barrier(6)

    def work(number: int) -> None:
        start.wait(30)
        for turn in range(150):
            key = f"staging/1/x/{number}-{turn}"
            if turn % 2:
                assert store.create(key, b"data")
            else:
                file = store.scratch() / f"{number}-{turn}"
                file.write_bytes(b"data")
                store.move_in(key, file)
            assert store.read(key) == b"data"
            if turn < 149:
                store.delete(key)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert [stored.key for stored in store.list("staging/1/")] == [f"staging/1/x/{number}-149" for number in range(6)]


# --- Links ------------------------------------------------------------------------------------------------------------


def looks(lake: Path) -> list[Callable[[], object]]:
    logs = str(lake.parent / "logs")
    return [
        open_lake(str(lake)).snapshot,
        *(lambda act=act: act(str(lake)) for act in (audit, compact)),
        lambda: ingest([logs], lake=str(lake), now=DAY_2),
    ]


@pytest.mark.parametrize("nowhere", [False, True])
def test_a_day_s_folder_behind_a_link_is_one_clear_error_and_never_an_empty_day(tmp_path: Path, nowhere: bool) -> None:
    """Its rows were in no answer, its logs were taken again, and the audit was content. A disk may be gone for a while."""
    lake = make_lake(tmp_path)
    before = read_lake(lake)
    day, elsewhere = lake / "raw" / "ingest_date=2024-05-02", tmp_path / "elsewhere"
    shutil.move(day, elsewhere)
    day.symlink_to(tmp_path / "unmounted" if nowhere else elsewhere)
    for look in looks(lake):
        with pytest.raises(LakeUnusable) as caught:
            look()
        assert str(caught.value).startswith(f"{day}: is a link ")
        assert "\n" not in str(caught.value)
    assert len(list(elsewhere.iterdir())) == 3
    day.unlink()
    shutil.move(elsewhere, day)
    assert read_lake(lake) == before


def test_a_raw_file_behind_a_link_is_read_and_one_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    before = read_lake(lake)
    file = sorted((lake / "raw").rglob("*.parquet"))[0]
    shutil.move(file, tmp_path / "elsewhere.parquet")
    file.symlink_to(tmp_path / "elsewhere.parquet")
    assert read_lake(lake) == before
    assert audit(str(lake)).ok
    (tmp_path / "elsewhere.parquet").unlink()
    for look in looks(lake):
        with pytest.raises(LakeUnusable, match="is a link that leads nowhere"):
            look()


def test_a_whole_table_s_folder_may_be_a_link(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    before = read_lake(lake)
    shutil.move(lake / "raw", tmp_path / "raw")
    (lake / "raw").symlink_to(tmp_path / "raw")
    assert read_lake(lake) == before
    compact(str(lake), now=DAY_1, grace=dt.timedelta(0))
    assert (lake / "raw").is_symlink()
    assert read_lake(lake) == before


def test_hidden_links_are_passed_over(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    before = read_lake(lake)
    day = lake / "raw" / "ingest_date=2024-05-02"
    (day / ".#a.parquet").symlink_to("somebody@somewhere")
    (day / ".snapshot").symlink_to("/")
    assert read_lake(lake) == before
    assert audit(str(lake)).ok
