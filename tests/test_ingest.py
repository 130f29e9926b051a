"""Each log object is in the lake once, whatever happened in between."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from ingest_cases import PNG, assert_holds, take
from ingest_cases import lake as lake
from ingest_cases import logs as logs
from small_lakes import (
    DAY_1,
    DAY_2,
    DAY_3,
    MUCH_LATER,
    Crashed,
    CrashingStore,
    all_files,
    difference,
    line,
    local_truth,
    log_text,
    read_lake,
    read_quarantine,
    text,
    write_logs,
)

from etl.audit import audit
from etl.compact import _compact, compact, elect, read_or_create_plan
from etl.errors import NotALog
from etl.ingest import Ingested, IngestedObject, _ingest, ingest
from etl.lake import Lake, Winner, create_lake, open_lake
from etl.sinks import LINES_METADATA

# --- Once -------------------------------------------------------------------------------------------------------------


def test_every_line_becomes_a_row_or_a_quarantined_line(logs: Path, lake: Path) -> None:
    done = take(logs, lake)
    assert done == Ingested(objects=5, skipped=0, failed=(), lines=97, rows=86, quarantined=11)
    assert_holds(lake, logs)
    assert sum(read_lake(lake).values()) == 86
    assert len(read_quarantine(lake)) == 11
    assert {row[:2] for row in read_quarantine(lake) if row[0].endswith("bad.log")} == {
        (str(logs.resolve() / "bad.log"), 1),
        (str(logs.resolve() / "bad.log"), 3),
    }


def test_a_second_run_adds_nothing(logs: Path, lake: Path) -> None:
    take(logs, lake)
    before = all_files(lake)
    for now in (DAY_1, DAY_2, MUCH_LATER):
        assert take(logs, lake, now=now) == Ingested(0, 5, (), 0, 0, 0)
    assert all_files(lake) == before


def test_a_second_run_adds_nothing_after_compaction_either_nor_after_raw_is_collected(logs: Path, lake: Path) -> None:
    take(logs, lake)
    compact(str(lake), now=DAY_2)
    assert take(logs, lake, now=DAY_2).skipped == 5
    assert compact(str(lake), now=MUCH_LATER).collected == 5
    assert take(logs, lake, now=MUCH_LATER).skipped == 5
    assert_holds(lake, logs)
    assert open_lake(str(lake)).snapshot().raw == ()


def test_an_object_that_is_named_twice_is_taken_once(logs: Path, lake: Path) -> None:
    done = ingest([str(logs), str(logs / "a.log"), f"{logs}/**"], lake=str(lake), now=DAY_1)
    assert done.objects == 5
    assert_holds(lake, logs)


def test_a_packed_and_a_plain_file_are_two_objects(lake: Path, tmp_path: Path) -> None:
    data = log_text(10)
    logs = write_logs(tmp_path / "logs", {"a.log": data, "a.log.gz": gzip.compress(data)})
    assert take(logs, lake).rows == 20


def test_new_content_under_an_old_name_is_a_new_object(logs: Path, lake: Path) -> None:
    take(logs, lake)
    with (logs / "b.log").open("ab") as file:
        file.write(text(line(key="late")))
    done = take(logs, lake, now=DAY_2)
    assert (done.objects, done.skipped, done.rows) == (1, 4, 31)
    compact(str(lake), now=DAY_2)
    assert difference(read_lake(lake), local_truth(logs)) == "", "the lines that both hold are rows once"


def test_the_day_of_arrival_is_that_of_utc(logs: Path, lake: Path) -> None:
    east = dt.timezone(dt.timedelta(hours=9))
    take(logs, lake, now=dt.datetime(2024, 5, 3, 1, tzinfo=east))
    assert {file.day for file in open_lake(str(lake)).snapshot().raw} == {"2024-05-02"}


def test_the_same_logs_give_the_same_lake(logs: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        take(logs, tmp_path / name)
    assert all_files(tmp_path / "one") == all_files(tmp_path / "two")


def test_two_workers_give_the_same_lake_as_one(logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ingest, "_TASK_OBJECTS", 2)
    (logs / "picture.png").write_bytes(PNG)
    (logs / "cut.gz").write_bytes(gzip.compress(log_text(9))[:-9])
    one = take(logs, tmp_path / "one")
    two = take(logs, tmp_path / "two", workers=2)
    assert (one.objects, one.lines, one.rows, one.quarantined) == (two.objects, two.lines, two.rows, two.quarantined)
    assert sorted(map(str, one.failed)) == sorted(map(str, two.failed))
    assert all_files(tmp_path / "one") == all_files(tmp_path / "two")


def test_what_is_told_of_each_object(logs: Path, lake: Path) -> None:
    (logs / "picture.png").write_bytes(PNG)
    told: list[IngestedObject] = []
    ingest([str(logs)], lake=str(lake), now=DAY_1, on_object=told.append)
    by_name = {Path(each.source_key).name: each for each in told}
    assert len(told) == len(by_name) == 6
    assert by_name["b.log"].size == (logs / "b.log").stat().st_size
    written = by_name["b.log"].written
    assert written is not None
    assert (written.lines, written.rows) == (30, 30)
    assert isinstance(by_name["picture.png"].error, NotALog)


def test_the_rows_file_of_an_object_says_how_many_lines_it_had(logs: Path, lake: Path) -> None:
    take(logs, lake)
    lines = [int(pq.read_metadata(file.path).metadata[LINES_METADATA]) for file in open_lake(str(lake)).snapshot().raw]
    assert sorted(lines) == [0, 2, 25, 30, 40]


def test_nothing_is_left_in_staging(logs: Path, lake: Path) -> None:
    (logs / "picture.png").write_bytes(PNG)
    take(logs, lake)
    assert [name for name in all_files(lake) if name.startswith("staging/")] == []


# --- A process that ends anywhere -------------------------------------------------------------------------------------


def crash_ingest(
    logs: Path, lake: Path, monkeypatch: pytest.MonkeyPatch, *, at: int, after: bool, now: dt.datetime
) -> CrashingStore:
    """An ingest that ends at a change of the store; the store, which knows how many there were."""
    stores: list[CrashingStore] = []

    def open_crashing(uri: str) -> Lake:
        stores.append(CrashingStore(create_lake(uri).store, at=at, after=after))
        return Lake(stores[-1])

    with monkeypatch.context() as patch:
        patch.setattr(_ingest, "create_lake", open_crashing)
        if at < 0:
            take(logs, lake, now=now)
        else:
            with pytest.raises(Crashed):
                take(logs, lake, now=now)
    return stores[0]


def test_a_process_may_end_at_any_change_and_the_next_run_completes_it(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = local_truth(logs)
    changes = crash_ingest(logs, tmp_path / "dry", monkeypatch, at=-1, after=False, now=DAY_1).changes
    assert len(changes) == 8, "five objects, three of them with quarantined lines"
    # The end before a change is the end after the one before it.
    for at, after in [(0, False), *((at, True) for at in range(len(changes)))]:
        lake = tmp_path / f"lake-{at}-{after}"
        crash_ingest(logs, lake, monkeypatch, at=at, after=after, now=DAY_1)
        assert read_lake(lake) <= truth
        assert audit(str(lake)).ok
        take(logs, lake, now=DAY_2)
        assert_holds(lake, logs)
        assert take(logs, lake, now=DAY_3).skipped == 5


def test_quarantined_lines_are_there_before_the_rows_that_make_the_object_count(
    logs: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = crash_ingest(logs, lake, monkeypatch, at=-1, after=False, now=DAY_1).changes
    order = [(change.split("/")[0].removeprefix("move_in "), Path(change).name) for change in changes]
    for place, (table, name) in enumerate(order):
        if table == "quarantine":
            assert order[place + 1] == ("raw", name)


def test_an_object_that_two_runs_take_across_midnight_is_seen_once_after_compaction(
    logs: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run looked before the first one wrote."""
    take(logs, lake, now=DAY_1)
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "ingested_and_left_out", lambda _: (set(), {}))
        patch.setattr(Lake, "quarantined_names", lambda _: set())
        assert take(logs, lake, now=DAY_2).objects == 5
    assert sum(read_lake(lake).values()) == 2 * 86
    assert audit(str(lake)).ok
    done = compact(str(lake), now=DAY_3)
    assert (done.rows_in, done.rows_out, done.duplicates) == (172, 86, 86)
    assert difference(read_lake(lake), local_truth(logs)) == ""
    assert audit(str(lake)).ok


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_compaction_left_out_is_taken_again_on_a_later_day(
    logs: Path, lake: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """On the same day its rows would lie under the key that no reader looks at any more."""
    monkeypatch.setattr(_ingest, "_TASK_OBJECTS", 2)
    take(logs, lake)
    a_log = str(logs.resolve() / "a.log")
    damaged = next(
        path for path in lake.glob("raw/*/*.parquet") if a_log in pq.read_table(path)["source_key"].to_pylist()
    )
    damaged.write_bytes(b"")
    # As long as no compaction looked at it, it counts as what it was.
    assert take(logs, lake).skipped == 5
    assert len(compact(str(lake), now=DAY_1).left_out) == 1
    before = all_files(lake)
    done = take(logs, lake, workers=workers)
    assert (done.objects, done.skipped, [error.subject for error in done.failed]) == (0, 4, [a_log])
    assert "batch 0000000001 left out its raw object of 2024-05-02" in str(done.failed[0])
    assert "take it again on a later day" in str(done.failed[0])
    assert all_files(lake) == before
    assert [each.unreadable for each in audit(str(lake)).days] == [1]
    done = take(logs, lake, now=DAY_2, workers=workers)
    assert (done.objects, done.skipped, done.failed, done.quarantined) == (1, 4, (), 4)
    for now in (DAY_1, DAY_2, DAY_3):
        assert take(logs, lake, now=now).skipped == 5
    assert_all_is_there(lake, logs)
    assert compact(str(lake), now=DAY_3).rows_out == 36
    assert_all_is_there(lake, logs)
    assert compact(str(lake), now=MUCH_LATER).collected == 5
    assert take(logs, lake, now=MUCH_LATER).skipped == 5
    assert_all_is_there(lake, logs)
    assert damaged.exists()


def assert_all_is_there(lake: Path, logs: Path) -> None:
    """Each line once, and the audit finds nothing: it does not go on about a raw object whose log is in the lake again."""
    assert difference(read_lake(lake), local_truth(logs)) == ""
    found = audit(str(lake))
    assert (found.ok, found.problems) == (True, ())
    assert [sum(getattr(each, name) for each in found.days) for name in ("lines", "rows", "quarantined")] == [
        97,
        86,
        11,
    ]
    bad = [row[:2] for row in read_quarantine(lake)]
    assert len(set(bad)) == len(bad) == 11


def test_a_log_that_is_taken_while_its_raw_object_is_being_left_out_comes_again(logs: Path, lake: Path) -> None:
    """Its raw object was planned, and is gone; what is put in its place belongs to the batch that then leaves it out."""
    take(logs / "a.log", lake)
    (raw,) = lake.glob("raw/*/*.parquet")
    assert read_or_create_plan(open_lake(str(lake))) is not None
    raw.unlink()
    rivals: list[Callable[[], object]] = [lambda: take(logs / "a.log", lake)]

    def elect_late(opened: Lake, attempt: Winner) -> Winner:
        if rivals:
            rivals.pop()()
        return elect(opened, attempt)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_compact, "elect", elect_late)
        assert len(compact(str(lake), now=DAY_1).left_out) == 1
    assert raw.exists()
    assert sum(read_lake(lake).values()) == 0
    assert len(take(logs / "a.log", lake).failed) == 1
    assert take(logs / "a.log", lake, now=DAY_2).objects == 1
    assert sum(read_lake(lake).values()) == 36
