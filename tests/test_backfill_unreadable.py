"""A back-fill and what cannot be read: log objects come again, raw objects are told, and nothing holds up the lake."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from aws_account import aws_account
from backfill_cases import BATCHES, LOGS, assert_holds, planned, take, truth
from backfill_cases import lake as lake
from backfill_cases import logs as logs
from ingest_cases import PNG
from small_lakes import (
    DAY_1,
    DAY_2,
    DAY_3,
    Crashed,
    CrashingStore,
    difference,
    line,
    log_text,
    read_lake,
    read_quarantine,
    write_logs,
)

from etl import sources
from etl.audit import audit
from etl.backfill import _backfill, backfill
from etl.catalog import State
from etl.compact import compact, read_or_create_plan, read_pending_plan
from etl.errors import SourceNotFound
from etl.ingest import _ingest, ingest
from etl.lake import Lake, create_lake, open_lake, raw_name, read_commit, read_plan
from etl.sources import LogSource, _s3, version_of

# --- Log objects that cannot be read ----------------------------------------------------------------------------------


def spoil(kind: str, path: Path) -> bytes:
    """Make a log object unreadable; what mends it."""
    good = path.read_bytes()
    if kind == "vanished":
        path.unlink()
    elif kind == "truncated":
        path.write_bytes(gzip.compress(good)[:-9])
    elif kind == "picture":
        path.write_bytes(PNG)
    else:
        path.write_bytes(good + line(key="more") + b"\n")
    return good


@pytest.mark.parametrize("kind", ["vanished", "truncated", "picture", "replaced"])
@pytest.mark.parametrize("by", ["compact", "backfill"])
def test_a_log_object_that_is_spoilt_after_it_was_planned_is_left_out_and_comes_again(
    logs: Path, lake: Path, kind: str, by: str
) -> None:
    create_lake(str(lake))
    plan = planned(lake, logs)
    good = spoil(kind, logs / "b.log")
    spoilt = str(logs / "b.log")
    if by == "compact":
        assert compact(str(lake), now=DAY_1).left_out == (spoilt,)
    else:
        # What is there instead is another version, and taken by the same run if it can be read.
        done = take(logs, lake)
        assert [error.subject for error in done.failed] == ([] if kind == "replaced" else [spoilt])
    commit = read_commit(open_lake(str(lake)).store, BATCHES[0])
    assert (len(commit.inputs), commit.left_out) == (4, ())
    version = next(log.version for log in plan.logs if log.source_key == spoilt)
    assert raw_name(spoilt, version) not in open_lake(str(lake)).ingested_names()
    assert audit(str(lake)).ok
    if by == "compact" or kind != "replaced":
        assert difference(read_lake(lake), truth(logs, "b.log")) == ""
    (logs / "b.log").write_bytes(good)
    taken = ingest([str(logs)], lake=str(lake), now=DAY_2)
    assert (taken.objects, taken.failed) == (1, ())
    if by == "compact" or kind != "replaced":
        assert_holds(lake, logs)


def test_what_is_left_out_says_why_and_does_not_hold_up_the_rest(logs: Path, lake: Path) -> None:
    (logs / "b.log").write_bytes(PNG)
    (logs / "deep" / "c.gz").write_bytes(gzip.compress(LOGS["d.log"])[:-9])
    done = take(logs, lake)
    told = {Path(error.subject).name: error.reason for error in done.failed}
    assert set(told) == {"b.log", "c.gz"}
    assert "no text log" in told["b.log"]
    assert "damaged gzip" in told["c.gz"]
    assert done.objects == 3
    assert_holds(lake, logs, "b.log", "c.gz")
    (logs / "b.log").write_bytes(LOGS["b.log"])
    again = take(logs, lake, now=DAY_2)
    assert (again.objects, again.skipped, len(again.failed)) == (1, 3, 1)
    assert_holds(lake, logs, "c.gz")


def test_an_unreadable_line_stays_once_in_quarantine_whatever_tried_before(
    logs: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ingest that ended after the quarantined lines of its first object, on another day."""
    store = CrashingStore(create_lake(str(lake)).store, at=0, after=True)
    with monkeypatch.context() as patch:
        patch.setattr(_ingest, "create_lake", lambda _: Lake(store))
        with pytest.raises(Crashed):
            ingest([str(logs / "a.log")], lake=str(lake), now=DAY_1)
    assert len(list((lake / "quarantine").rglob("*.parquet"))) == 1
    take(logs, lake, now=DAY_2)
    assert_holds(lake, logs)


def refuse(*paths: Path) -> None:
    """Let them be there, and let nobody read them."""
    for path in paths:
        path.rename(path.with_name(f".{path.name}"))
        path.mkdir()


def allow(*paths: Path) -> None:
    for path in paths:
        path.rmdir()
        path.with_name(f".{path.name}").rename(path)


def listed(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> list[str]:
    """Have them found as in a bucket, where a listing tells the version; the names of those that are opened."""
    found = [LogSource(str(path), str(path), path.stat().st_size) for path in paths]
    found = [replace(log, version=version_of(log)) for log in found]
    opened: list[str] = []

    def read_stored_parts(log: LogSource) -> Iterator[bytes]:
        opened.append(Path(log.source_key).name)
        return sources.read_stored_parts(log)

    monkeypatch.setattr(_backfill, "find_logs", lambda *_, **__: iter(found))
    monkeypatch.setattr(_backfill, "read_stored_parts", read_stored_parts)
    return opened


def test_a_pending_plan_of_which_nothing_can_be_read_holds_up_nothing(logs: Path, lake: Path) -> None:
    """Nobody can drop a plan: it is committed empty, and what it named comes again."""
    ingest([str(logs / "d.log")], lake=str(lake), now=DAY_1)
    before = read_lake(lake)
    paths = [logs / name for name in ("a.log", "b.log", "deep/c.gz", "empty.log")]
    planned(lake, *paths)
    refuse(*paths)
    done = compact(str(lake), now=DAY_2)
    assert (done.batch, sorted(done.left_out)) == (BATCHES[0], sorted(map(str, paths)))
    assert read_lake(lake) == before
    assert audit(str(lake)).ok
    done = compact(str(lake), now=DAY_2)
    assert (done.batch, done.left_out, done.rows_out) == (BATCHES[1], (), 10)
    planned(lake, logs / "d.log")
    refuse(logs / "d.log")
    done_by_backfill = take(logs / "none", lake, now=DAY_2)
    assert (done_by_backfill.batches, len(done_by_backfill.failed)) == ((BATCHES[2],), 2)
    allow(logs / "d.log", *paths)
    again = take(logs, lake, now=DAY_3)
    assert (again.objects, again.skipped, again.failed) == (4, 1, ())
    assert_holds(lake, logs)


def test_what_cannot_be_opened_is_not_planned_until_it_can(
    logs: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [logs / name for name in ("a.log", "b.log", "d.log")]
    opened = listed(monkeypatch, *paths)
    refuse(*paths)
    done = backfill([], lake=str(lake), now=DAY_1)
    assert (done.objects, done.batches) == (0, ())
    assert [(error.subject, error.reason) for error in done.failed] == [(str(path), "Is a directory") for path in paths]
    assert read_pending_plan(open_lake(str(lake)), State("", "")) is None
    allow(logs / "b.log")
    opened.clear()
    done = backfill([], lake=str(lake), now=DAY_1)
    # The first can be told beforehand, the last only when it is read.
    assert opened == ["a.log", "b.log"]
    assert (done.objects, done.batches) == (1, (BATCHES[0],))
    assert {error.subject: "left out" in error.reason for error in done.failed} == {
        str(paths[0]): False,
        str(paths[2]): True,
    }
    assert [log.source_key for log in read_plan(open_lake(str(lake)).store, BATCHES[0]).logs] == [*map(str, paths[1:])]
    allow(logs / "a.log", logs / "d.log")
    done = backfill([], lake=str(lake), now=DAY_2)
    assert (done.objects, done.skipped, done.failed) == (2, 1, ())
    assert difference(read_lake(lake), truth(logs, "c.gz")) == ""


def test_of_many_that_cannot_be_opened_only_some_are_tried_from_everywhere(
    tmp_path: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive whose first half is in another storage class: what lies behind it is found all the same."""
    monkeypatch.setattr(_backfill, "_PROBES", 4)
    logs = write_logs(tmp_path / "logs", {f"{number}.log": log_text(2, seed=str(number)) for number in range(9)})
    paths = sorted(logs.iterdir())
    opened = listed(monkeypatch, *paths)
    refuse(*paths)
    done = backfill([], lake=str(lake), now=DAY_1)
    assert opened == ["0.log", "3.log", "6.log"]
    assert (done.batches, len(done.failed)) == ((), 9)
    told = [error.reason for error in done.failed if Path(error.subject).name not in opened]
    assert told == ["was not tried: of 9 log objects 3 were, and none can be read"] * 6
    allow(*paths[5:])
    done = backfill([], lake=str(lake), now=DAY_1)
    assert (done.objects, len(done.failed), done.batches) == (4, 5, (BATCHES[0],))


def test_a_source_that_is_not_there_is_named(logs: Path, lake: Path) -> None:
    done = backfill([str(logs), str(logs / "none")], lake=str(lake), now=DAY_1)
    assert done.objects == 5
    assert [type(error) for error in done.failed] == [SourceNotFound]


def test_what_lies_in_an_archive_storage_class_is_not_planned(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _s3._client.cache_clear()
    with aws_account(monkeypatch):
        bucket = boto3.client("s3")
        bucket.create_bucket(Bucket="logs-bucket")
        for name, data in LOGS.items():
            bucket.put_object(Bucket="logs-bucket", Key=name, Body=data, StorageClass="GLACIER")
        done = backfill(["s3://logs-bucket/"], lake=str(lake), now=DAY_1)
        assert (len(done.failed), done.batches) == (5, ())
        assert "InvalidObjectState" in done.failed[0].reason
        bucket.put_object(Bucket="logs-bucket", Key="b.log", Body=LOGS["b.log"])
        done = backfill(["s3://logs-bucket/"], lake=str(lake), now=DAY_1)
        assert (done.objects, len(done.failed), done.batches) == (1, 4, (BATCHES[0],))
        for name, data in LOGS.items():
            bucket.put_object(Bucket="logs-bucket", Key=name, Body=data)
        done = backfill(["s3://logs-bucket/"], lake=str(lake), now=DAY_2)
        assert (done.objects, done.skipped, done.failed) == (4, 1, ())
        assert audit(str(lake)).ok
    _s3._client.cache_clear()


# --- Raw objects that cannot be read ----------------------------------------------------------------------------------


def test_what_a_pending_compaction_left_out_has_failed_and_is_taken_from_its_log(logs: Path, lake: Path) -> None:
    """Its plan knows of one, only reading tells of the other; both logs are still there."""
    assert ingest([str(logs)], lake=str(lake), now=DAY_1).objects == 5
    cut, damaged = (one_raw(lake, logs / name) for name in ("a.log", "b.log"))
    cut.write_bytes(b"")
    assert read_or_create_plan(open_lake(str(lake))) is not None
    data = bytearray(damaged.read_bytes())
    data[4 : len(data) // 3] = b"\xa5" * (len(data) // 3 - 4)
    damaged.write_bytes(data)
    done = take(logs, lake, now=DAY_1)
    assert [error.subject for error in done.failed] == [path.relative_to(lake).as_posix() for path in (cut, damaged)]
    assert all("left out of batch 0000000001" in error.reason for error in done.failed)
    assert (done.objects, done.skipped, list(done.batches)) == (2, 3, BATCHES[:2])
    assert difference(read_lake(lake), truth(logs)) == ""
    found = audit(str(lake))
    assert [(day.lines, day.rows, day.quarantined, day.unreadable) for day in found.days] == [(105, 96, 9, 0)]
    assert (found.ok, found.problems) == (True, ())
    bad = [row[:2] for row in read_quarantine(lake)]
    assert len(set(bad)) == len(bad) == 9
    assert take(logs, lake, now=DAY_2).skipped == 5
    assert ingest([str(logs)], lake=str(lake), now=DAY_3).skipped == 5


def one_raw(lake: Path, log: Path) -> Path:
    name = raw_name(str(log), version_of(LogSource(str(log), str(log), 0)))
    (found,) = lake.glob(f"raw/*/{name}.parquet")
    return found
