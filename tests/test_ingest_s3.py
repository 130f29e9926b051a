"""The whole way with the logs in one bucket and the lake in another, on an S3 server that checks what it is asked."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from small_lakes import (
    DAY_1,
    DAY_2,
    MUCH_LATER,
    difference,
    line,
    log_text,
    read_lake,
    read_quarantine,
    read_rows,
    text,
    truth_of,
    write_logs,
)

from etl.audit import audit
from etl.compact import Compacted, _compact, compact
from etl.errors import (
    CorruptSource,
    LakeNotFound,
    LakeUnusable,
    NotALog,
    SourceError,
    SourceNotFound,
    SourceReplaced,
    SourceUnreadable,
)
from etl.ingest import _ingest, ingest
from etl.lake import create_lake, open_lake, read_commits
from etl.schema import SCHEMA
from etl.sources import LogSource, _decompress, _s3, find_logs, read_parts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SOURCE_KEY = SCHEMA.names.index("source_key")
LOGS = {
    "logs/2024-05-01-00-00-00-AAAA": log_text(40, seed="a", bad_every=9),
    "logs/2024-05-01-00-00-01-BBBB": log_text(30, seed="b"),
    "logs/by day/c+d%2Fé.gz": gzip.compress(log_text(25, seed="c", bad_every=5)),
    "logs/empty": b"",
    "other/d": log_text(10, seed="d"),
}


@pytest.fixture
def logs(s3: S3Client, new_bucket: Callable[[], str]) -> str:
    """A bucket of logs."""
    bucket = new_bucket()
    for key, data in LOGS.items():
        s3.put_object(Bucket=bucket, Key=key, Body=data)
    return bucket


@pytest.fixture
def lake(new_bucket: Callable[[], str]) -> str:
    return f"s3://{new_bucket()}/some/lake"


def plain(data: bytes) -> bytes:
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def found(source: str, *, exclude: str | None = None) -> list[LogSource | SourceError]:
    return list(find_logs([source], exclude=exclude))


def the_error(source: str) -> SourceError:
    (error,) = found(source)
    assert isinstance(error, SourceError)
    assert "\n" not in str(error)
    assert source in str(error)
    return error


# --- The whole way ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_the_lake_in_a_bucket_holds_what_the_lake_in_a_folder_does(
    logs: str, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(_ingest, "_TASK_OBJECTS", 2)
    mirror = write_logs(tmp_path / "mirror", LOGS)
    local = str(tmp_path / "lake")
    there = ingest([f"s3://{logs}"], lake=lake, now=DAY_1, workers=workers)
    here = ingest([str(mirror)], lake=local, now=DAY_1)
    assert (there.objects, there.lines, there.rows, there.quarantined) == (5, 105, 96, 9)
    assert (here.objects, here.lines, here.rows, here.quarantined) == (5, 105, 96, 9)

    def as_if_local(rows: Iterable[tuple[object, ...]], place: int) -> Counter[tuple[object, ...]]:
        names = {f"s3://{logs}/{key}": str(mirror.resolve() / key) for key in LOGS}
        return Counter((*row[:place], names[str(row[place])], *row[place + 1 :]) for row in rows)

    def assert_equal() -> None:
        assert as_if_local(read_lake(lake).elements(), SOURCE_KEY) == read_lake(local)
        assert as_if_local(read_quarantine(lake), 0) == Counter(read_quarantine(local))
        for uri in (lake, local):
            assert audit(uri).ok, audit(uri).problems

    truth = truth_of({f"s3://{logs}/{key}": plain(data) for key, data in LOGS.items()})
    assert difference(read_lake(lake), truth) == ""
    assert_equal()
    snapshot = open_lake(lake).snapshot()
    for uri in (lake, local):
        done = compact(uri, now=DAY_1)
        assert (done.batch, done.rows_in, done.rows_out, done.files) == ("0000000001", 96, 96, 2)
    assert difference(read_lake(lake), truth) == ""
    assert difference(read_rows(snapshot), truth) == "", "a reader goes on with what it saw"
    assert open_lake(lake).snapshot().raw == ()
    assert_equal()
    for uri in (lake, local):
        assert compact(uri, now=MUCH_LATER).collected == 5
        assert compact(uri, now=MUCH_LATER).batch is None
    assert_equal()
    again = ingest([f"s3://{logs}"], lake=lake, now=MUCH_LATER, workers=workers)
    assert (again.objects, again.skipped, again.rows) == (0, 5, 0)


def test_rivals_compact_a_lake_once(logs: str, lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest([f"s3://{logs}"], lake=lake, now=DAY_1)
    truth = truth_of({f"s3://{logs}/{key}": plain(data) for key, data in LOGS.items()})
    opened = [open_lake(lake) for _ in range(4)]
    start = threading.Barrier(len(opened))
    monkeypatch.setattr(_compact, "open_lake", lambda _: opened.pop())

    def act(_: int) -> Compacted:
        start.wait(30)
        return compact(lake, now=DAY_1)

    with ThreadPoolExecutor(len(opened)) as pool:
        done = list(pool.map(act, range(4)))
    assert {each.batch for each in done} <= {"0000000001", None}
    assert {each.rows_out for each in done if each.batch} == {96}
    assert len(list(read_commits(open_lake(lake).store))) == 1
    assert difference(read_lake(lake), truth) == ""
    assert audit(lake).ok


def test_only_what_is_under_the_prefix_is_taken_under_its_own_name(logs: str, lake: str) -> None:
    done = ingest([f"s3://{logs}/logs/by", f"s3://{logs}/other/d"], lake=lake, now=DAY_1)
    assert done.objects == 2
    names = {row[SOURCE_KEY] for row in read_lake(lake)}
    assert names == {f"s3://{logs}/logs/by day/c+d%2Fé.gz", f"s3://{logs}/other/d"}


def test_logs_in_a_bucket_and_a_lake_in_a_folder_and_the_other_way_round(logs: str, lake: str, tmp_path: Path) -> None:
    mirror = write_logs(tmp_path / "mirror", LOGS)
    assert ingest([f"s3://{logs}/other/"], lake=str(tmp_path / "lake"), now=DAY_1).rows == 10
    assert ingest([str(mirror / "other")], lake=lake, now=DAY_1).rows == 10
    assert sum(read_lake(tmp_path / "lake").values()) == sum(read_lake(lake).values()) == 10


def test_new_content_under_an_old_key_is_a_new_object(s3: S3Client, logs: str, lake: str) -> None:
    ingest([f"s3://{logs}"], lake=lake, now=DAY_1)
    compact(lake, now=DAY_1)
    grown = LOGS["other/d"] + text(line(key="late"))
    s3.put_object(Bucket=logs, Key="other/d", Body=grown)
    done = ingest([f"s3://{logs}"], lake=lake, now=DAY_2)
    assert (done.objects, done.skipped, done.rows) == (1, 4, 11)
    compact(lake, now=DAY_2)
    truth = truth_of({f"s3://{logs}/{key}": plain(data) for key, data in {**LOGS, "other/d": grown}.items()})
    assert difference(read_lake(lake), truth) == "", "each line once, although ten came again"
    (_, second) = read_commits(open_lake(lake).store)
    assert sum(second.folded.values()) == 10


def test_a_damaged_raw_object_is_left_out_and_readers_go_on(s3: S3Client, logs: str, lake: str) -> None:
    ingest([f"s3://{logs}/other/"], lake=lake, now=DAY_1)
    bucket = lake.split("/")[2]
    for name, data in (("rubbish", b"PAR1 rubbish"), ("nothing", b"")):
        s3.put_object(Bucket=bucket, Key=f"some/lake/raw/ingest_date=2024-05-02/{name}.parquet", Body=data)
    done = compact(lake, now=DAY_1)
    assert done.left_out == tuple(f"raw/ingest_date=2024-05-02/{name}.parquet" for name in ("nothing", "rubbish"))
    assert sum(read_lake(lake).values()) == 10
    found = audit(lake)
    assert not found.ok
    assert found.days[0].unreadable == 2


def test_a_lake_at_the_top_of_a_bucket(logs: str, new_bucket: Callable[[], str]) -> None:
    lake = f"s3://{new_bucket()}"
    assert create_lake(lake + "/").uri == lake
    assert ingest([f"s3://{logs}"], lake=lake, now=DAY_1).objects == 5
    compact(lake, now=DAY_1)
    assert audit(lake).ok
    assert sum(read_lake(lake).values()) == 96


# --- Finding and reading ----------------------------------------------------------------------------------------------


def test_a_log_object_is_named_by_bucket_and_key_and_carries_its_tag(s3: S3Client, logs: str) -> None:
    (log,) = found(f"s3://{logs}/other/d")
    assert isinstance(log, LogSource)
    tag = s3.head_object(Bucket=logs, Key="other/d")["ETag"].strip('"')
    assert log == LogSource(f"s3://{logs}/other/d", f"s3://{logs}/other/d", len(LOGS["other/d"]), tag)


def test_every_object_is_found_once_and_folder_marks_are_passed_over(s3: S3Client, logs: str) -> None:
    s3.put_object(Bucket=logs, Key="logs/marker/", Body=b"")
    listed = [log for log in found(f"s3://{logs}") if isinstance(log, LogSource)]
    assert {log.source_key for log in listed} == {f"s3://{logs}/{key}" for key in LOGS}
    assert len(list(find_logs([f"s3://{logs}", f"s3://{logs}/other/"]))) == len(LOGS)


def test_objects_of_several_parts_are_read_whole(s3: S3Client, logs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_s3, "PART_BYTES", 700)
    monkeypatch.setattr(_decompress, "PART_BYTES", 700)
    for log in found(f"s3://{logs}"):
        assert isinstance(log, LogSource)
        parts = list(read_parts(log))
        assert b"".join(parts) == plain(LOGS[log.source_key.removeprefix(f"s3://{logs}/")])
        assert all(len(part) <= 700 for part in parts)


def test_an_object_that_was_replaced_since_it_was_listed_is_not_read(s3: S3Client, logs: str, lake: str) -> None:
    """Its rows would stand under the tag of another content, and come a second time with the next ingest."""
    (log,) = found(f"s3://{logs}/other/d")
    assert isinstance(log, LogSource)
    s3.put_object(Bucket=logs, Key="other/d", Body=b"something else")
    with pytest.raises(SourceReplaced, match="changed") as caught:
        list(read_parts(log))
    assert caught.value.retryable
    s3.delete_object(Bucket=logs, Key="other/d")
    with pytest.raises(SourceNotFound, match="is gone"):
        list(read_parts(log))


def test_a_lake_in_the_bucket_of_the_logs_is_not_read(logs: str) -> None:
    lake = f"s3://{logs}/lake"
    for _ in range(2):
        done = ingest([f"s3://{logs}", f"s3://{logs}/l"], lake=lake, now=DAY_1)
        assert done.failed == ()
        compact(lake, now=DAY_1)
    assert sum(read_lake(lake).values()) == 96
    assert len(found(f"s3://{logs}/lake", exclude=lake)) == 1
    assert isinstance(found(f"s3://{logs}/lake", exclude=lake)[0], SourceNotFound)
    assert len(found(f"s3://{logs}/logs/", exclude=f"s3://{logs}")) == 4, "a source in the lake's own folder is read"


def test_what_is_no_log_is_named_and_the_rest_is_taken(s3: S3Client, logs: str, lake: str) -> None:
    s3.put_object(Bucket=logs, Key="logs/picture.png", Body=b"\x89PNG\r\n\x1a\n" + bytes(9_000_000))
    s3.put_object(Bucket=logs, Key="logs/cut.gz", Body=gzip.compress(log_text(900))[:-50])
    done = ingest([f"s3://{logs}"], lake=lake, now=DAY_1)
    assert {type(error) for error in done.failed} == {NotALog, CorruptSource}
    assert done.objects == 5
    assert audit(lake).ok


# --- Trouble ----------------------------------------------------------------------------------------------------------


def test_a_prefix_under_which_nothing_is_is_one_error(logs: str) -> None:
    assert isinstance(the_error(f"s3://{logs}/none/"), SourceNotFound)


@pytest.mark.parametrize(
    "source", ["s3://no-such-bucket", "s3://no-such-bucket/logs/", "s3://", "s3:///key", "s3://B_a d!/x"]
)
@pytest.mark.usefixtures("s3")
def test_a_bucket_that_is_not_there_is_one_error(source: str) -> None:
    assert isinstance(the_error(source), SourceUnreadable | SourceNotFound)


@pytest.mark.parametrize("uri", ["s3://no-such-bucket/lake", "s3://no-such-bucket"])
@pytest.mark.usefixtures("s3")
def test_a_lake_in_a_bucket_that_is_not_there_is_one_error(uri: str, tmp_path: Path) -> None:
    logs = write_logs(tmp_path, {"a.log": text(line())})
    with pytest.raises(LakeNotFound) as caught:
        ingest([str(logs)], lake=uri)
    assert "bucket" in caught.value.reason
    assert uri in str(caught.value)
    assert "\n" not in str(caught.value)
    for act in (open_lake, compact, audit):
        with pytest.raises(LakeNotFound):
            act(uri)


@pytest.mark.usefixtures("s3")
def test_where_no_lake_is_none_is_opened(new_bucket: Callable[[], str]) -> None:
    with pytest.raises(LakeNotFound):
        open_lake(f"s3://{new_bucket()}/lake")


def forget_clients() -> None:
    _s3._client.cache_clear()
    boto3.DEFAULT_SESSION = None


def test_wrong_credentials_are_one_error(logs: str, lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest([f"s3://{logs}"], lake=lake, now=DAY_1)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    forget_clients()
    error = the_error(f"s3://{logs}")
    assert isinstance(error, SourceUnreadable)
    assert "SignatureDoesNotMatch" in str(error)
    assert "wrong" not in str(error)
    for act in (open_lake, create_lake, compact, audit):
        with pytest.raises(LakeUnusable, match="SignatureDoesNotMatch") as caught:
            act(lake)
        assert "\n" not in str(caught.value)


def test_no_credentials_are_one_error(logs: str, lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    forget_clients()
    assert "credentials" in str(the_error(f"s3://{logs}"))
    with pytest.raises(LakeUnusable, match="credentials"):
        create_lake(lake)


def test_a_server_that_is_not_there_is_one_error(logs: str, lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    forget_clients()
    assert isinstance(the_error(f"s3://{logs}"), SourceUnreadable)
    with pytest.raises(LakeUnusable, match=r"127\.0\.0\.1:9") as caught:
        create_lake(lake)
    assert caught.value.retryable
    assert "\n" not in str(caught.value)
