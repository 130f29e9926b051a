"""What the lake needs of a store, of a folder and of a bucket alike: whole objects, created once."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import IncompleteReadError
from botocore.response import StreamingBody
from lake_records import COMMIT, PLAN, WINNER
from s3transfer.utils import OSUtils
from small_lakes import put_raw, raw_row, read_table

from etl.errors import LakeError, LakeUnusable, ObjectNotFound
from etl.lake import (
    Lake,
    ObjectStore,
    create_lake,
    create_record,
    read_commits,
    read_plan,
    read_winner,
    sweep_scratch,
)
from etl.lake._folder_store import FolderStore
from etl.lake._layout import (
    commit_key,
    plan_key,
    winner_key,
)
from etl.lake._s3_store import S3Store

# --- Stores -----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A new lake in a folder, and one in a bucket."""
    if request.param == "folder":
        return create_lake(str(tmp_path / "lake"))
    bucket = request.getfixturevalue("new_bucket")()
    return create_lake(f"s3://{bucket}/some/lake")


@pytest.fixture
def store(lake: Lake) -> ObjectStore:
    return lake.store


def names(store: ObjectStore, prefix: str) -> list[str]:
    return [stored.key for stored in store.list(prefix)]


def new_file(store: ObjectStore, data: bytes) -> Path:
    path = store.scratch() / "new"
    path.write_bytes(data)
    return path


def test_an_object_is_created_once(store: ObjectStore) -> None:
    assert store.create("meta/x.json", b"first")
    assert not store.create("meta/x.json", b"second")
    assert not store.create("meta/x.json", b"first")
    assert store.read("meta/x.json") == b"first"


@pytest.mark.parametrize("way", ["create", "copy"])
def test_of_sixteen_rivals_one_wins(store: ObjectStore, way: str) -> None:
    for number in range(1 if store.filesystem else 9):  # the server lets rivals wait for a second each
        start = threading.Barrier(16)
        if way == "copy":
            for rival in range(16):
                store.create(f"staging/{number}/{rival}", f"by {rival}".encode())

        def attempt(rival: int, number: int = number, start: threading.Barrier = start) -> bool:
            start.wait(30)
            if way == "copy":
                return store.copy(f"staging/{number}/{rival}", f"meta/{number}")
            return store.create(f"meta/{number}", f"by {rival}".encode())

        with ThreadPoolExecutor(16) as pool:
            won = list(pool.map(attempt, range(16)))
        assert won.count(True) == 1
        assert store.read(f"meta/{number}") == f"by {won.index(True)}".encode()


def test_a_file_that_is_moved_in_becomes_the_object_and_replaces_it(store: ObjectStore) -> None:
    for data in (b"one", b"two and more"):
        file = new_file(store, data)
        store.move_in("raw/ingest_date=2024-05-02/a.parquet", file)
        assert not file.exists()
        assert store.read("raw/ingest_date=2024-05-02/a.parquet") == data


def test_a_copy_is_made_once_and_leaves_its_source(store: ObjectStore) -> None:
    store.create("staging/a", b"a")
    store.create("staging/b", b"b")
    assert store.copy("staging/a", "compacted/x")
    assert not store.copy("staging/b", "compacted/x")
    assert store.read("compacted/x") == b"a"
    store.delete("staging/a")
    assert store.read("compacted/x") == b"a"


def test_what_is_not_there_is_not_found(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFound, match="raw/none"):
        store.read("raw/none")
    with pytest.raises(ObjectNotFound):
        store.copy("staging/none", "compacted/x")
    with pytest.raises(ObjectNotFound, match="raw/none"):
        store.fetch("raw/none", tmp_path)
    store.delete("raw/none")
    assert names(store, "raw/") == []
    assert names(store, "compacted/") == []


def test_objects_are_listed_in_order_of_their_keys_with_size_and_tag(store: ObjectStore) -> None:
    for key in ("raw/b/2", "raw/a.x", "raw/a/1", "raw/b/10", "rawer/x", "meta/raw/x", "raw/ü", "raw/a b+%20"):
        store.create(key, key.encode())
    expected = sorted(["raw/b/2", "raw/a.x", "raw/a/1", "raw/b/10", "raw/ü", "raw/a b+%20"])
    listed = list(store.list("raw/"))
    assert [stored.key for stored in listed] == expected
    assert [stored.size for stored in listed] == [len(key.encode()) for key in expected]
    assert len({stored.etag for stored in listed}) == len(expected)
    assert names(store, "raw/b/1") == ["raw/b/10"]


def test_more_objects_than_a_page_are_all_listed(store: ObjectStore) -> None:
    keys = [f"staging/many/{number:04d}" for number in range(1003)]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda key: store.create(key, b""), keys))
    assert names(store, "staging/many/") == keys


def test_a_tag_changes_with_the_content(store: ObjectStore) -> None:
    tags = set()
    for data in (b"one", b"two", b"three"):
        store.move_in("raw/a", new_file(store, data))
        tags |= {stored.etag for stored in store.list("raw/a")}
    assert len(tags) == 3


def test_an_object_can_be_had_as_a_local_file(store: ObjectStore, tmp_path: Path) -> None:
    store.create("raw/ingest_date=2024-05-02/a.parquet", b"data")
    assert store.fetch("raw/ingest_date=2024-05-02/a.parquet", tmp_path).read_bytes() == b"data"


def test_arrow_reads_what_the_store_names(lake: Lake, tmp_path: Path) -> None:
    file = put_raw(tmp_path, "a", [raw_row("s", 1), raw_row("s", 2)])
    lake.store.move_in("raw/ingest_date=2024-05-02/a.parquet", file)
    snapshot = lake.snapshot()
    (found,) = snapshot.raw
    assert found.day == "2024-05-02"
    assert read_table(snapshot, found.path).num_rows == 2


def test_records_come_back_as_they_were(store: ObjectStore) -> None:
    for key, record in (
        (plan_key(PLAN.batch), PLAN),
        (winner_key(WINNER.batch), WINNER),
        (commit_key(COMMIT.batch), COMMIT),
    ):
        assert create_record(store, key, record)
        assert not create_record(store, key, record)
    assert read_plan(store, PLAN.batch) == PLAN
    assert read_winner(store, WINNER.batch) == WINNER
    assert list(read_commits(store)) == [COMMIT]
    for read in (read_plan, read_winner):
        with pytest.raises(ObjectNotFound):
            read(store, "0000000002")


# --- A folder's own trouble -------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_listed_is_never_taken_for_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its commits a lake would show its raw objects a second time."""
    lake = create_lake(str(tmp_path))
    create_record(lake.store, commit_key(COMMIT.batch), COMMIT)
    list_folder = os.scandir

    def refuse(path: str | os.PathLike[str]) -> object:
        if os.fspath(path).endswith("meta/commit"):
            raise PermissionError(13, "Permission denied", path)
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for look in (lake.snapshot, lake.uncompacted, lake.ingested_names):
        with pytest.raises(LakeUnusable, match="Permission denied"):
            look()


def test_an_object_that_vanishes_while_a_folder_is_listed_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = create_lake(str(tmp_path)).store
    for name in "abc":
        store.create(f"raw/{name}", b"")
    look = Path.stat

    def vanish(path: Path, **options: bool) -> os.stat_result:
        if path.name == "b":
            path.unlink(missing_ok=True)
        return look(path, **options)

    monkeypatch.setattr(Path, "stat", vanish)
    assert names(store, "raw/") == ["raw/a", "raw/c"]


def test_creating_leaves_nothing_in_staging(tmp_path: Path) -> None:
    store = create_lake(str(tmp_path)).store
    store.create("meta/x", b"")
    store.create("meta/x", b"")
    assert names(store, "staging/") == []


def test_a_failed_write_shows_nothing_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = create_lake(str(tmp_path)).store

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    file = new_file(store, b"data")
    monkeypatch.setattr(os, "fsync", full)
    for write in (lambda: store.create("meta/x", b"data"), lambda: store.move_in("raw/x", file)):
        with pytest.raises(LakeUnusable, match="No space left on device") as caught:
            write()
        assert caught.value.retryable
    assert names(store, "meta/") == ["meta/lake.json"]
    assert names(store, "raw/") == []


def test_arrow_reads_with_the_credentials_of_the_hour() -> None:
    """A role's credentials end within hours, and a batch may take longer."""
    keys = ["AKIAFIRST", "AKIASECOND"]
    client = boto3.client("s3", region_name="eu-west-1", aws_access_key_id=keys[0], aws_secret_access_key="x")
    store = refusing(S3Store(client, "logs", ""), "HeadBucket", "403", 403)
    first = store.filesystem
    assert store.filesystem is first
    client._request_signer._credentials.access_key = keys[1]  # type: ignore[attr-defined]
    assert [fs.__reduce__()[1][0]["access_key"] for fs in (first, store.filesystem)] == keys
    assert store.filesystem is store.filesystem


def refusing(store: S3Store, operation: str, code: str, status: int) -> S3Store:
    """The same store, which is refused this operation, each time it tries."""

    def refuse(**_: object) -> Any:
        return AWSResponse("memory", status, HTTPHeaders(), None), {
            "Error": {"Code": code, "Message": f"{code} of the test"}
        }

    store.client.meta.events.register(f"before-call.s3.{operation}", refuse)
    return store


@pytest.fixture
def bucket(new_bucket: Callable[[], str]) -> Iterator[S3Store]:
    with closing(boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])) as client:
        yield S3Store(client, new_bucket(), "lake")


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [("AccessDenied", 403, LakeUnusable), ("SlowDown", 503, LakeUnusable), ("NoSuchBucket", 404, ObjectNotFound)],
)
def test_a_file_that_a_bucket_refuses_is_one_clear_error(
    bucket: S3Store, code: str, status: int, kind: type[LakeError]
) -> None:
    file = new_file(bucket, b"data")
    with pytest.raises(kind, match=code if kind is LakeUnusable else "no such") as caught:
        refusing(bucket, "PutObject", code, status).move_in("raw/a", file)
    assert caught.value.subject == f"{bucket.uri}/raw/a"
    assert caught.value.retryable == (kind is LakeUnusable)
    assert file.exists(), "the next try needs it"


def test_a_file_that_breaks_off_at_every_try_is_one_clear_error(
    bucket: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.create("raw/a", b"data")

    def break_off(body: StreamingBody, *_: object, **__: object) -> bytes:
        body.close()
        raise IncompleteReadError(actual_bytes=1, expected_bytes=4)

    monkeypatch.setattr(StreamingBody, "read", break_off)
    with pytest.raises(LakeUnusable, match=r"raw/a: 1 read, but total bytes expected is 4") as caught:
        bucket.fetch("raw/a", tmp_path)
    assert caught.value.retryable


def test_a_full_local_disk_is_not_the_bucket_s(
    bucket: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.create("raw/a", b"data")

    def full(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    for place, name in ((OSUtils, "rename_file"), (Path, "mkdir")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, full)
            with pytest.raises(LakeUnusable, match="No space left on device") as caught:
                bucket.fetch("raw/a", tmp_path / "x")
            assert caught.value.subject == str(tmp_path / "x")
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(LakeUnusable, match="the temporary folder: No space left on device"):
        bucket.scratch()


def test_what_killed_runs_left_in_scratch_is_swept_after_a_day(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    yesterday = time.time() - 25 * 3600
    for name, written in (("old", yesterday), ("new", time.time())):
        (store.scratch() / name).write_bytes(b"x")
        spill = store.scratch() / f"compact-{name}" / "parts"
        spill.mkdir(parents=True)
        (spill / "1").write_bytes(b"x")
        for path in (store.scratch() / name, spill / "1", spill.parent, spill):
            os.utime(path, (written, written))
    used = store.scratch() / "compact-used"
    used.mkdir()
    (used / "part").write_bytes(b"x")
    os.utime(used, (yesterday, yesterday))
    sweep_scratch(store)
    assert sorted(path.name for path in store.scratch().iterdir()) == ["compact-new", "compact-used", "new"]


def test_a_run_that_is_at_work_costs_no_walk_through_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path)
    walked: list[str] = []

    def walk(path: Path, _: str) -> Iterator[Path]:
        walked.append(path.name)
        yield from ()

    for name in ("compact-now", "compact-old"):
        (store.scratch() / name).mkdir()
    os.utime(store.scratch() / "compact-old", (time.time() - 25 * 3600,) * 2)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(Path, "rglob", walk)
    sweep_scratch(store)
    assert walked == ["compact-old"]


def test_temporary_folders_of_killed_runs_are_swept_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, elsewhere = tmp_path / "temporary", tmp_path / "elsewhere"
    for folder in (temporary / "accesslake-old", temporary / "accesslake-new", temporary / "other", elsewhere):
        (folder / "spill").mkdir(parents=True)
        (folder / "spill" / "1").write_bytes(b"x")
    (temporary / "accesslake-link").symlink_to(elsewhere)
    (temporary / "accesslake-gone").symlink_to(tmp_path / "nowhere")
    yesterday = time.time() - 25 * 3600
    for path in (*tmp_path.rglob("*"),):
        if "new" not in str(path.relative_to(tmp_path)) and not path.is_symlink():
            os.utime(path, (yesterday, yesterday))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    sweep_scratch(FolderStore(tmp_path / "lake"))
    assert sorted(path.name for path in temporary.iterdir()) == [
        *("accesslake-gone", "accesslake-link", "accesslake-new", "other")
    ]
    assert (elsewhere / "spill" / "1").exists()


def test_what_cannot_be_swept_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's folder, of which nothing may be removed; what may be is."""
    store = FolderStore(tmp_path / "lake")
    temporary = tmp_path / "temporary"
    theirs = (temporary / "accesslake-root", store.scratch() / "compact-root")
    for folder in theirs:
        (folder / "locked").mkdir(parents=True)
    for name in ("a", "locked", "z"):
        (store.scratch() / name).write_bytes(b"x")
    yesterday = time.time() - 25 * 3600
    for path in tmp_path.rglob("*"):
        os.utime(path, (yesterday, yesterday))

    def refuse(path: str | Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    unlink = Path.unlink
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(os, "rmdir", refuse)
    monkeypatch.setattr(Path, "unlink", lambda path: (refuse if path.name == "locked" else unlink)(path))
    sweep_scratch(store)
    assert all(folder.exists() for folder in theirs)
    assert sorted(path.name for path in store.scratch().iterdir()) == ["compact-root", "locked"]
    monkeypatch.setattr(Path, "iterdir", refuse)
    sweep_scratch(store)
