"""What every engine starts from: the rows of a raw object, and those of a log object, as the parser gave them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_keys import hostile_log, put_firehose
from small_lakes import all_files, log_text, put_raw, raw_row, read_quarantine, write_logs

from etl import SCHEMA, parse
from etl.compact import inspect_inputs, read_log, read_raw
from etl.errors import CorruptSource, LakeUnusable, ObjectNotFound, RowsNotConserved, SourceNotFound, SourceReplaced
from etl.ingest import ingest
from etl.lake import Input, Lake, PlannedLog, create_lake, open_lake, raw_key, raw_name
from etl.sources import LogSource, version_of


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return create_lake(str(tmp_path / "lake"))


def the_input(lake: Lake) -> Input:
    (item,), unreadable = inspect_inputs(lake.store, lake.uncompacted())
    assert unreadable == []
    return item


def planned(path: Path) -> PlannedLog:
    log = LogSource(str(path), str(path), path.stat().st_size)
    return PlannedLog(log.source_key, log.location, log.size, version_of(log))


def table_of(batches: list[pa.RecordBatch]) -> pa.Table:
    assert all(batch.schema == SCHEMA for batch in batches)
    return pa.Table.from_batches(batches, SCHEMA)


# --- Raw objects ------------------------------------------------------------------------------------------------------


def test_through_firehose_and_back(lake: Lake) -> None:
    """INT96, without what can be derived: the parser's own rows come out, the hostile ones too."""
    expected = parse(hostile_log(), source_key="s3://logs/a").table
    put_firehose(Path(lake.uri), "a", expected, day="2024-05-02")
    assert table_of(list(read_raw(lake, the_input(lake)))).to_pylist() == expected.to_pylist()


def test_through_the_direct_sink(lake: Lake, tmp_path: Path) -> None:
    logs = write_logs(tmp_path / "logs", {"a.log": log_text(50, bad_every=7)})
    ingest([str(logs)], lake=lake.uri)
    expected = parse(log_text(50, bad_every=7), source_key=str(logs / "a.log")).table
    assert table_of(list(read_raw(lake, the_input(lake)))).equals(expected)


def test_a_raw_object_that_changed_since_it_was_planned(lake: Lake) -> None:
    path = put_raw(Path(lake.uri), "a", [raw_row("s", number) for number in range(9)])
    item = the_input(lake)
    whole = path.read_bytes()
    put_raw(Path(lake.uri), "a", [raw_row("s", 1)])
    with pytest.raises(RowsNotConserved, match="1 rows, 9 were planned"):
        list(read_raw(lake, item))
    path.write_bytes(whole[:4] + b"\xff" * 200 + whole[204:])
    with pytest.raises(RowsNotConserved, match="cannot be read"):
        list(read_raw(lake, item))
    path.unlink()
    with pytest.raises(ObjectNotFound):
        list(read_raw(lake, item))


def test_a_row_without_a_time_is_damage(lake: Lake) -> None:
    put_raw(Path(lake.uri), "a", [raw_row("s", 1) | {"request_time": None}])
    with pytest.raises(RowsNotConserved):
        list(read_raw(lake, the_input(lake)))


# --- Log objects ------------------------------------------------------------------------------------------------------


def test_a_log_object_as_ingest_would_have_taken_it(lake: Lake, tmp_path: Path) -> None:
    data = log_text(50, bad_every=7)
    logs = write_logs(tmp_path / "logs", {"a.gz": gzip.compress(data)})
    log = planned(logs / "a.gz")
    with read_log(lake, log, ingest_date="2024-05-02") as read:
        rows = table_of(list(read.batches))
    assert rows.equals(parse(data, source_key=log.source_key).table)
    key = raw_key(raw_name(log.source_key, log.version), "2024-05-02")
    assert read.input == Input(key, log.version, log.size, 43, 50, 7)
    other = create_lake(str(tmp_path / "other"))
    ingest([str(logs)], lake=other.uri)
    assert read_quarantine(lake.uri) == read_quarantine(other.uri)
    assert other.quarantined_names() == lake.quarantined_names() == {raw_name(log.source_key, log.version)}
    assert not list(lake.store.scratch().iterdir())


def test_lines_that_are_in_quarantine_stay_where_they_are(lake: Lake, tmp_path: Path) -> None:
    log = planned(write_logs(tmp_path / "logs", {"a.log": b"no log line\n"}) / "a.log")
    for day in ("2024-05-02", "2024-05-03"):
        with read_log(lake, log, ingest_date=day, quarantined=lake.quarantined_names()) as read:
            assert (list(read.batches), read.input.quarantined) == ([], 1)
    assert len(lake.quarantined_keys()) == 1


@pytest.mark.parametrize("kind", ["gone", "cut", "replaced"])
def test_of_a_log_object_that_cannot_be_read_to_its_end_there_is_nothing(lake: Lake, tmp_path: Path, kind: str) -> None:
    """Neither a row nor a line in quarantine/, although most of it could be read."""
    path = write_logs(tmp_path / "logs", {"a.log": b"bad\n" + log_text(5000)}) / "a.log"
    if kind == "cut":
        path.write_bytes(gzip.compress(path.read_bytes())[:-20])
    log = planned(path)
    if kind == "gone":
        path.unlink()
    elif kind == "replaced":
        path.write_bytes(path.read_bytes()[:-1] + b" ")
    expected = {"gone": SourceNotFound, "cut": CorruptSource, "replaced": SourceReplaced}[kind]
    before = all_files(Path(lake.uri))
    with pytest.raises(expected), read_log(lake, log, ingest_date="2024-05-02"):
        pytest.fail("rows of half an object")
    assert all_files(Path(lake.uri)) == before


def test_the_lake_s_trouble_is_not_the_log_object_s(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = planned(write_logs(tmp_path / "logs", {"a.log": log_text(3)}) / "a.log")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with (
        pytest.raises(LakeUnusable, match="No space left"),
        read_log(open_lake(lake.uri), log, ingest_date="2024-05-02"),
    ):
        pytest.fail("rows that are not there")
