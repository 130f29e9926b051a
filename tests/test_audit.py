"""The audit finds each kind of damage, and raises no false alarm."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from small_lakes import DAY_1, DAY_2, DAY_3, MUCH_LATER, line, log_text, put_raw, raw_row, text, write_logs

from etl.audit import Audit, AuditedDay, audit
from etl.cli import main
from etl.compact import compact
from etl.errors import LakeNotFound
from etl.ingest import ingest
from etl.lake import StoredObject, create_lake
from etl.lake._folder_store import FolderStore
from etl.lake._layout import batch_of_commit

TWICE = text(line(key="twice", request_id="twice"))


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Two batches and an object that is in neither; lines that could not be read in each, one line delivered twice."""
    logs, lake = tmp_path / "logs", tmp_path / "lake"
    arrivals = [
        (DAY_1, {"a.log": log_text(40, seed="a", bad_every=9) + TWICE, "b.log": log_text(30, seed="b") + TWICE}),
        (DAY_2, {"c.log": log_text(20, seed="c", bad_every=4)}),
        (DAY_3, {"d.log": log_text(10, seed="d", bad_every=5)}),
    ]
    for day, names in arrivals:
        ingest([str(write_logs(logs, names))], lake=str(lake), now=day)
        if day != DAY_3:
            compact(str(lake), now=day)
    return lake


def one(lake: Path, pattern: str) -> Path:
    """The first file of a pattern."""
    return sorted(lake.glob(pattern))[0]


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def assert_finds(lake: Path, *words: str) -> Audit:
    """The audit is not ok, and one line of what it found has all of the words."""
    found = audit(str(lake), now=DAY_3)
    assert not found.ok
    assert any(all(word in problem for word in words) for problem in found.problems), found.problems
    assert all("\n" not in problem for problem in found.problems)
    return found


# --- No false alarm ---------------------------------------------------------------------------------------------------


def test_every_line_is_accounted_for_on_the_day_it_arrived(lake: Path) -> None:
    found = audit(str(lake), now=DAY_3)
    assert found.problems == ()
    assert found.ok
    assert found.days == (
        AuditedDay("2024-05-02", 2, lines=72, rows=67, quarantined=4, folded=1, unreadable=0, lag_days=None, ok=True),
        AuditedDay("2024-05-03", 1, lines=20, rows=15, quarantined=5, folded=0, unreadable=0, lag_days=None, ok=True),
        AuditedDay("2024-05-04", 1, lines=10, rows=8, quarantined=2, folded=0, unreadable=0, lag_days=3, ok=True),
    )


def test_a_new_lake_is_ok(tmp_path: Path) -> None:
    create_lake(str(tmp_path))
    assert audit(str(tmp_path)) == Audit(True, (), (), ())


def test_where_no_lake_is_there_is_nothing_to_audit(tmp_path: Path) -> None:
    with pytest.raises(LakeNotFound):
        audit(str(tmp_path))


def test_it_is_ok_after_all_is_compacted_and_raw_is_collected(lake: Path) -> None:
    before = audit(str(lake))
    compact(str(lake), now=DAY_3)
    compact(str(lake), now=MUCH_LATER)
    assert list((lake / "raw").rglob("*.parquet")) == []
    after = audit(str(lake))
    assert after.ok
    assert [(day.lines, day.rows, day.quarantined, day.folded) for day in after.days] == [
        (day.lines, day.rows, day.quarantined, day.folded) for day in before.days
    ]


def test_what_a_run_left_half_done_is_no_damage(lake: Path) -> None:
    (lake / "staging" / "0000000003" / "x").mkdir(parents=True)
    (lake / "staging" / "0000000003" / "x" / "y.parquet").write_bytes(b"half")
    shutil.copy(
        one(lake, "compacted/*/0000000001-*"), lake / "compacted" / "event_date=2024-05-01" / "0000000003-0001.parquet"
    )
    shutil.copy(one(lake, "quarantine/*/*"), lake / "quarantine" / "ingest_date=2024-05-04" / "ffff.parquet")
    (lake / "quarantine" / "ingest_date=2024-05-04" / "._x.parquet").write_bytes(b"")
    assert audit(str(lake)).ok


def test_events_later_than_today_are_named(tmp_path: Path) -> None:
    times = ["2024-05-01T00:00:00", "2024-05-02T23:59:59", "2024-05-03T00:00:00", "2030-01-01T00:00:00"]
    logs = write_logs(tmp_path / "logs", {"a.log": text(*(line(time) for time in times))})
    lake = tmp_path / "lake"
    ingest([str(logs)], lake=str(lake), now=DAY_1)
    assert "2030-01-01" in audit(str(lake), now=DAY_1).days_beyond_today
    compact(str(lake), now=DAY_1)
    assert audit(str(lake), now=DAY_1).days_beyond_today == ("2024-05-03", "2030-01-01")
    assert audit(str(lake), now=dt.datetime(2030, 1, 1, tzinfo=dt.UTC)).days_beyond_today == ()
    assert audit(str(lake), now=DAY_1).ok, "the line says so; nothing is lost"
    east = dt.timezone(dt.timedelta(hours=9))
    assert audit(str(lake), now=dt.datetime(2024, 5, 3, 8, tzinfo=east)).days_beyond_today[0] == "2024-05-03", "UTC"


# --- Damage -----------------------------------------------------------------------------------------------------------


def test_a_compacted_file_that_is_gone(lake: Path) -> None:
    path = one(lake, "compacted/*/0000000001-*")
    path.unlink()
    assert_finds(lake, path.name, "missing")


@pytest.mark.parametrize("left", [0, 4, 900, -1])
def test_a_compacted_file_that_is_cut(lake: Path, left: int) -> None:
    path = one(lake, "compacted/*/0000000002-*")
    os.truncate(path, left if left >= 0 else path.stat().st_size + left)
    assert_finds(lake, path.name, "cannot be read")


def test_a_compacted_file_of_other_rows(lake: Path) -> None:
    path = one(lake, "compacted/*/0000000001-*")
    with pq.ParquetFile(path) as file:
        table = file.read()
    pq.write_table(table.slice(1), path)
    assert_finds(lake, path.name, f"holds {table.num_rows - 1} rows", f"{table.num_rows} rows were committed")


def test_a_compacted_file_that_was_written_anew(lake: Path) -> None:
    path = one(lake, "compacted/*/0000000001-*")
    with pq.ParquetFile(path) as file:
        table = file.read()
    pq.write_table(table, path, compression="none")
    assert_finds(lake, path.name, "not the file")


def test_quarantined_lines_that_are_gone(lake: Path) -> None:
    for day in ("2024-05-02", "2024-05-03", "2024-05-04"):
        path = one(lake, f"quarantine/ingest_date={day}/*")
        data = path.read_bytes()
        path.unlink()
        found = assert_finds(lake, path.stem, "0 are in quarantine/")
        assert {each.ingest_date for each in found.days if not each.ok} == {day}
        path.write_bytes(data)
    assert audit(str(lake)).ok


def test_quarantined_lines_that_cannot_be_read(lake: Path) -> None:
    path = one(lake, "quarantine/*/*")
    os.truncate(path, 20)
    assert_finds(lake, path.name, "cannot be read")


def test_quarantined_lines_that_are_fewer(lake: Path) -> None:
    path = one(lake, "quarantine/ingest_date=2024-05-02/*")
    with pq.ParquetFile(path) as file:
        table = file.read()
    pq.write_table(table.slice(1), path)
    assert_finds(lake, path.stem, "4 of its lines were quarantined, 3 are")


@pytest.mark.parametrize("left", [0, 4, -1])
def test_a_raw_object_that_is_cut(lake: Path, left: int) -> None:
    path = one(lake, "raw/ingest_date=2024-05-04/*")
    os.truncate(path, left if left >= 0 else path.stat().st_size + left)
    found = assert_finds(lake, path.name, "cannot be read")
    assert [day.unreadable for day in found.days] == [0, 0, 1]
    assert [day.ok for day in found.days] == [True, True, False]
    compact(str(lake), now=DAY_3)
    assert_finds(lake, path.name, "left out of batch 0000000003")


def test_a_raw_object_with_other_rows_than_its_lines(lake: Path) -> None:
    path = one(lake, "raw/ingest_date=2024-05-04/*")
    with pq.ParquetFile(path) as file:
        table, metadata = file.read(), file.metadata.metadata
    pq.write_table(table.slice(1).replace_schema_metadata(metadata), path)
    found = audit(str(lake))
    assert not found.ok
    assert [day.ok for day in found.days] == [True, True, False]


def test_a_raw_object_outside_of_a_day_s_folder_is_no_traceback(lake: Path) -> None:
    odd = put_raw(lake, "odd", [raw_row("s", 1)], day="2024-99-99")
    shutil.copy(odd, lake / "raw" / "stray.parquet")
    assert [day.ingest_date for day in audit(str(lake)).days][::4] == ["", "2024-99-99"]


# --- What is in no count ----------------------------------------------------------------------------------------------


STRAYS = {
    "raw": [
        "raw/ingest_date=2024-05-04/x.PARQUET",
        "raw/ingest_date=2024-05-04/x.parquet.gz",
        "raw/ingest_date=2024-05-04/x",
        "raw/x.csv",
    ],
    "compacted": [
        "compacted/event_date=2024-05-01/0000000001-9999.parquet",
        "compacted/event_date=2024-05-01/0000000002-9999.parquet",
        "compacted/event_date=2024-05-01/0000000001-0001.PARQUET",
        "compacted/event_date=2024-05-01/copy.parquet",
        "compacted/event_date=2024-05-01/below/0000000002-0001.parquet",
        "compacted/0000000001-0001.parquet",
    ],
}


@pytest.mark.parametrize("key", [key for keys in STRAYS.values() for key in keys])
def test_a_file_that_no_answer_counts(lake: Path, key: str) -> None:
    """Athena lists folders: of some of these it shows the rows, twice if they are copies."""
    source = one(lake, f"{key.split('/')[0]}/*/*.parquet")
    (lake / key).parent.mkdir(exist_ok=True)
    shutil.copy(source, lake / key)
    found = assert_finds(lake, f"{key}: ")
    in_raw = key in STRAYS["raw"]
    assert (found.strays_in_raw, found.strays_in_compacted) == (((key,), ()) if in_raw else ((), (key,)))
    assert len(found.problems) == 1
    assert all(day.ok for day in found.days)


def test_a_raw_file_under_another_name_is_no_longer_there_without_a_word(lake: Path) -> None:
    path = one(lake, "raw/ingest_date=2024-05-04/*.parquet")
    path.rename(path.with_suffix(".PARQUET"))
    assert_finds(lake, "PARQUET", "none of its rows is in an answer")


@pytest.mark.parametrize(
    "key",
    [
        "raw/ingest_date=2024-05-04/.x",
        "raw/ingest_date=2024-05-04/_SUCCESS",
        "raw/_temporary/0/x",
        "raw/ingest_date=2024-05-04/.snapshot/x",
        "compacted/event_date=2024-05-01/.x.parquet",
        "compacted/.trash/0000000001-0009.parquet",
        "compacted/event_date=2024-05-01/0000000003-0001.parquet",
        "compacted/event_date=2024-05-01/0000000004-0001.parquet",
    ],
)
def test_what_is_hidden_or_still_to_come_is_no_stray(lake: Path, key: str) -> None:
    (lake / key).parent.mkdir(parents=True, exist_ok=True)
    (lake / key).write_bytes(b"x")
    assert audit(str(lake)).problems == ()


def test_marks_of_folders_are_no_strays(new_bucket: Callable[[], str]) -> None:
    """A console makes such objects."""
    uri = f"s3://{new_bucket()}/lake"
    store = create_lake(uri).store
    for key in ("raw/", "raw/ingest_date=2024-05-04/", "compacted/"):
        store.create(key, b"")
    assert audit(uri).ok


def test_each_folder_is_listed_once(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lake of years has many files."""
    asked: list[str] = []
    look = FolderStore.list

    def listing(store: FolderStore, prefix: str) -> Iterator[StoredObject]:
        asked.append(prefix)
        return look(store, prefix)

    monkeypatch.setattr(FolderStore, "list", listing)
    assert audit(str(lake)).ok
    assert [asked.count(prefix) for prefix in ("raw/", "compacted/", "quarantine/")] == [1, 1, 1]


def test_a_stray_is_named_on_the_command_line(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stray = lake / "compacted" / "event_date=2024-05-01" / "0000000001-9999.parquet"
    shutil.copy(one(lake, "compacted/*/0000000001-*"), stray)
    for arguments in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main(["audit", "--lake", str(lake), *arguments])
        out, err = capsys.readouterr()
        assert ended.value.code == 1
        assert "0000000001-9999.parquet: no commit names it" in err
        if arguments:
            assert json.loads(out)["strays_in_compacted"] == ["compacted/event_date=2024-05-01/0000000001-9999.parquet"]
            assert json.loads(out)["strays_in_raw"] == []
        else:
            assert out.splitlines()[-1] == "there are files that no answer counts"


NUMBERS: dict[str, Callable[[dict[str, Any]], None]] = {
    "rows of an input": lambda commit: _add(commit["inputs"][0], "rows"),
    "lines of an input": lambda commit: _add(commit["inputs"][0], "lines"),
    "quarantined of an input": lambda commit: _add(commit["inputs"][0], "quarantined"),
    "rows and lines of an input": lambda commit: _add(commit["inputs"][0], "rows", "lines"),
    "quarantined and lines of an input": lambda commit: _add(commit["inputs"][0], "quarantined", "lines"),
    "rows of an output": lambda commit: _add(commit["outputs"][0], "rows"),
    "size of an output": lambda commit: _add(commit["outputs"][0], "size"),
    "folded": lambda commit: commit["folded"].update({"2024-05-02": 2}),
    "folded of a day": lambda commit: commit.update(folded={"2024-05-09": 1}),
    "an input less": lambda commit: commit["inputs"].pop(),
    "an output less": lambda commit: commit["outputs"].pop(),
    "an output twice": lambda commit: commit["outputs"].append(commit["outputs"][0]),
    "an input twice": lambda commit: commit["inputs"].append(commit["inputs"][0]),
}


def _add(numbers: dict[str, int], *names: str) -> None:
    for name in names:
        numbers[name] += 1


@pytest.mark.parametrize("change", NUMBERS.values(), ids=NUMBERS.keys())
def test_a_commit_whose_numbers_were_changed(lake: Path, change: Callable[[dict[str, Any]], None]) -> None:
    edit(lake / "meta" / "commit" / "0000000001.json", change)
    assert not audit(str(lake)).ok


def test_a_commit_that_is_gone(lake: Path) -> None:
    (lake / "meta" / "commit" / "0000000001.json").unlink()
    assert_finds(lake, "0000000001", "missing")


def test_the_last_commit_that_is_gone_is_made_again_from_its_plan(lake: Path) -> None:
    path = lake / "meta" / "commit" / "0000000002.json"
    before = json.loads(path.read_text())
    path.unlink()
    assert batch_of_commit(f"meta/commit/{path.name}") == compact(str(lake), now=DAY_2).batch
    assert json.loads(path.read_text()) == before
    assert audit(str(lake)).ok
