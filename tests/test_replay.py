"""What was set aside gets in once it can, once, whatever happens in between."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from replay_lakes import entry, older_lake, put_errors, record_of
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
    rows_of,
    text,
    truth_of,
)
from test_cli import accesslake, one_line

from etl import parse
from etl.compact import compact
from etl.errors import LakeMismatch
from etl.lake import Lake, create_glue_lake, create_lake, open_lake
from etl.replay import Replayed, Stuck, _quarantined, _replay, firehose_sink, read_receipts, replay

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOG = "s3://amzn-s3-demo-logs/2024-05-02-10-00-00-0123456789ABCDEF"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return older_lake(tmp_path)


def assert_holds(lake: Path) -> None:
    """Every row of the logs once, every other line in quarantine once."""
    logs = lake.parent / "logs"
    assert difference(read_lake(lake), local_truth(logs)) == ""
    want = sorted(
        tuple(row.values())
        for path in sorted(logs.rglob("*.log"))
        for row in parse(path.read_bytes(), source_key=str(path.resolve())).quarantine.to_pylist()
    )
    assert read_quarantine(lake) == want


def outcome(lake: Path, *, now: dt.datetime = DAY_2, **more: Any) -> tuple[int, int, int, int, int, int]:
    done = replay(str(lake), now=now, **more)
    assert done.stuck == []
    return (
        done.quarantine_objects,
        done.lines,
        done.lines_rows,
        done.error_objects,
        done.documents_rows,
        done.skipped,
    )


# --- Quarantined lines ------------------------------------------------------------------------------------------------


def test_lines_that_are_rows_now_become_rows_and_leave_quarantine(lake: Path) -> None:
    assert len(read_quarantine(lake)) == 17
    assert outcome(lake) == (3, 17, 9, 0, 0, 0)
    assert_holds(lake)
    assert len(read_quarantine(lake)) == 8


def test_they_keep_their_log_object_and_line_number_past_blank_lines(lake: Path) -> None:
    replay(str(lake), now=DAY_2)
    (lines,) = [
        receipt.lines
        for receipt in read_receipts(open_lake(str(lake)).store)
        if len(receipt.lines) == 1 and receipt.rows == 7
    ]
    assert lines == {str(lake.parent / "logs" / "a.log"): (21, 22, 23, 24, 25, 26, 27)}


def test_a_second_run_adds_nothing(lake: Path) -> None:
    replay(str(lake), now=DAY_2)
    before = all_files(lake)
    assert outcome(lake, now=DAY_3) == (2, 8, 0, 0, 0, 0)
    assert all_files(lake) == before


def test_nor_does_one_after_compaction_or_in_a_copy_of_the_lake(lake: Path) -> None:
    replay(str(lake), now=DAY_2)
    compact(str(lake), now=DAY_2)
    compact(str(lake), now=MUCH_LATER)
    copied = lake.parent / "copy"
    shutil.copytree(lake, copied, copy_function=shutil.copyfile)
    for each in (lake, copied):
        assert outcome(each, now=MUCH_LATER) == (2, 8, 0, 0, 0, 0)
    assert_holds(lake)


def test_rows_arrive_on_the_day_of_the_replay(lake: Path) -> None:
    """A day of arrival is sealed some time after its end, and what came into it later would be hidden for a while."""
    before = set(all_files(lake / "raw"))
    replay(str(lake), now=DAY_3)
    assert {Path(name).parent.name for name in set(all_files(lake / "raw")) - before} == {"ingest_date=2024-05-04"}


def test_a_line_that_is_still_none_waits_for_a_later_parser(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No receipt may stand in its way."""
    with monkeypatch.context() as patch:
        patch.setattr(_quarantined, "parse", lambda data, *, source_key: parse(b"", source_key=source_key))
        assert outcome(lake) == (3, 17, 0, 0, 0, 0)
    assert list(read_receipts(open_lake(str(lake)).store)) == []
    assert outcome(lake) == (3, 17, 9, 0, 0, 0)


def test_a_later_parser_that_reads_more_goes_on_where_the_last_one_stopped(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads_some(data: bytes, *, source_key: str) -> Any:
        lines = data.split(b"\n")
        return parse(b"\n".join(each if b"/k2" in each else b"" for each in lines), source_key=source_key)

    with monkeypatch.context() as patch:
        patch.setattr(_quarantined, "parse", reads_some)
        assert outcome(lake)[2] == 1
    assert outcome(lake, now=DAY_3)[2] == 8
    assert_holds(lake)


def test_lines_no_sink_would_have_written_stay_and_move_no_others(lake: Path) -> None:
    path = lake / "quarantine" / "ingest_date=2024-05-02" / "odd.parquet"
    good = line(request_id="GOOD")
    rows: list[dict[str, Any]] = [
        {"source_key": LOG, "line_no": 4, "reason": "x", "raw_line": good + b"\n" + good},
        {"source_key": None, "line_no": 5, "reason": "x", "raw_line": good},
        {"source_key": LOG, "line_no": None, "reason": "x", "raw_line": good},
        {"source_key": LOG, "line_no": 7, "reason": "x", "raw_line": None},
        {"source_key": LOG, "line_no": 8, "reason": "x", "raw_line": b""},
        {"source_key": LOG, "line_no": 9, "reason": "x", "raw_line": good},
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert outcome(lake)[2] == 10
    kept = [row for row in _rows(path) if row["source_key"] in (LOG, None)]
    assert kept == rows[:5]
    assert (LOG, 9) in {(row[-3], row[-2]) for row in read_lake(lake)}


def _rows(path: Path) -> list[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        rows: list[dict[str, Any]] = file.read().to_pylist()
    return rows


@pytest.mark.parametrize("cut", [0, 10, 300])
def test_an_object_that_is_damaged_is_named_and_costs_no_other(lake: Path, cut: int) -> None:
    path = sorted((lake / "quarantine").rglob("*.parquet"))[0]
    data = path.read_bytes()
    path.write_bytes(data[:cut])
    done = replay(str(lake), now=DAY_2)
    assert [(each.object, each.reason) for each in done.stuck] == [
        (path.relative_to(lake).as_posix(), "cannot be read as quarantined lines")
    ]
    path.write_bytes(data)
    replay(str(lake), now=DAY_3)
    assert_holds(lake)


# --- Error objects ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["ErrorCode", "lastErrorCode"])
def test_documents_of_an_error_object_become_the_rows_they_were(tmp_path: Path, spelling: str) -> None:
    create_lake(str(tmp_path))
    data = log_text(30)
    table = parse(data, source_key=LOG).table
    errors = put_errors(
        tmp_path, *(entry(record_of(table.slice(at, 10)), spelling=spelling) for at in range(0, 30, 10))
    )
    done = replay(str(tmp_path), now=DAY_1)
    assert (done.error_objects, done.documents_rows, done.stuck) == (1, 30, [])
    assert done.error_codes == {"DataFormatConversion.ParseError": 3}
    assert difference(read_lake(tmp_path), truth_of({LOG: data})) == ""
    before = all_files(tmp_path)
    assert replay(str(tmp_path), now=DAY_2) == Replayed(skipped=1)
    assert all_files(tmp_path) == before
    assert errors.exists()


def test_what_fits_is_sent_and_what_does_not_is_named_on_every_run(tmp_path: Path) -> None:
    create_lake(str(tmp_path))
    table = parse(log_text(3), source_key=LOG).table
    first, second, third = record_of(table).splitlines(keepends=True)
    key = put_errors(
        tmp_path,
        entry(first + b'{"t":"2024-05-02 10:00:00"}\n' + second),
        b"no json\n",
        b'{"rawData":"###"}\n',
        entry(b"\n"),
        entry(third),
    ).relative_to(tmp_path)
    stuck = [
        Stuck(str(key), "line 1, document 2", "source_key is missing"),
        Stuck(str(key), "line 2", "is no JSON object"),
        Stuck(str(key), "line 3", "its rawData is no base64 text"),
        Stuck(str(key), "line 4", "the record holds no document"),
    ]
    assert replay(str(tmp_path), now=DAY_1).stuck == stuck
    assert read_lake(tmp_path) == rows_of(table)
    again = replay(str(tmp_path), now=DAY_2)
    assert (again.stuck, again.skipped, again.documents_rows) == (stuck, 1, 0)
    assert read_lake(tmp_path) == rows_of(table)


def test_a_copied_lake_sends_nothing_again(tmp_path: Path) -> None:
    create_lake(str(tmp_path / "lake"))
    put_errors(tmp_path / "lake", entry(record_of(parse(log_text(5), source_key=LOG).table)))
    replay(str(tmp_path / "lake"), now=DAY_1)
    shutil.copytree(tmp_path / "lake", tmp_path / "copy", copy_function=shutil.copyfile)
    assert replay(str(tmp_path / "copy"), now=DAY_2) == Replayed(skipped=1)


def test_a_lake_that_glue_keeps_is_replayed_too(tmp_path: Path) -> None:
    create_glue_lake(str(tmp_path), database="accesslake")
    put_errors(tmp_path, entry(record_of(parse(log_text(5), source_key=LOG).table)))
    assert outcome(tmp_path) == (0, 0, 0, 1, 5, 0)
    assert outcome(tmp_path, now=DAY_3) == (0, 0, 0, 0, 0, 1)
    assert len(list((tmp_path / "raw").rglob("*.parquet"))) == 1


def test_a_receipt_that_is_damaged_stops_the_replay(lake: Path) -> None:
    replay(str(lake), now=DAY_2)
    for path in (lake / "meta" / "replay").iterdir():
        path.write_text("{}")
    with pytest.raises(LakeMismatch):
        list(read_receipts(open_lake(str(lake)).store))


# --- A process that ends anywhere -------------------------------------------------------------------------------------


def crash_replay(
    lake: Path, monkeypatch: pytest.MonkeyPatch, *, at: int, after: bool, now: dt.datetime
) -> CrashingStore:
    stores: list[CrashingStore] = []

    def open_crashing(uri: str, **_: Any) -> Lake:
        stores.append(CrashingStore(create_lake(uri).store, at=at, after=after))
        return Lake(stores[-1])

    with monkeypatch.context() as patch:
        patch.setattr(_replay, "open_lake", open_crashing)
        if at < 0:
            replay(str(lake), now=now)
        else:
            with pytest.raises(Crashed):
                replay(str(lake), now=now)
    return stores[0]


def lake_of_both(folder: Path) -> Path:
    """Something to replay of both kinds; a compacted batch already holds what the older parser could read."""
    lake = older_lake(folder)
    compact(str(lake), now=DAY_1)
    (folder / "logs" / "e.log").write_bytes(data := log_text(12, seed="e"))
    put_errors(lake, entry(record_of(parse(data, source_key=str(folder.resolve() / "logs" / "e.log")).table)))
    return lake


def test_a_process_may_end_at_any_change_and_the_next_run_completes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = crash_replay(lake_of_both(tmp_path / "dry"), monkeypatch, at=-1, after=False, now=DAY_1).changes
    kinds = [change.split("/")[0] for change in changes]
    assert sorted(kinds[:3]) == ["create meta", "move_in quarantine", "move_in raw"] or "delete quarantine" in kinds[:3]
    assert len(changes) == 8, "two objects of lines, one of documents"
    for at, after in [(0, False), *((at, True) for at in range(len(changes)))]:
        for compacted in (False, True):
            lake = lake_of_both(tmp_path / f"{at}-{after}-{compacted}")
            crash_replay(lake, monkeypatch, at=at, after=after, now=DAY_1)
            assert read_lake(lake) <= local_truth(lake.parent / "logs"), "never twice"
            if compacted:
                compact(str(lake), now=DAY_1)
                compact(str(lake), now=MUCH_LATER)
            replay(str(lake), now=DAY_2)
            assert_holds(lake)
            before = all_files(lake)
            assert replay(str(lake), now=DAY_3).lines_rows == 0
            assert all_files(lake) == before


def test_rows_are_visible_before_the_receipt_and_lines_go_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = crash_replay(older_lake(tmp_path), monkeypatch, at=-1, after=False, now=DAY_1).changes
    order = [change.split("/")[0].split(" ")[1] for change in changes]
    assert order == ["raw", "meta", "quarantine"] * 2


def test_a_better_parser_after_a_crash_loses_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run that ended had read fewer lines: its file must not stand for those of the next one."""
    lake = older_lake(tmp_path)

    def reads_some(data: bytes, *, source_key: str) -> Any:
        lines = data.split(b"\n")
        return parse(b"\n".join(each if b"/k2" in each else b"" for each in lines), source_key=source_key)

    with monkeypatch.context() as patch:
        patch.setattr(_quarantined, "parse", reads_some)
        crash_replay(lake, monkeypatch, at=0, after=True, now=DAY_1)
    replay(str(lake), now=DAY_2)
    truth = local_truth(tmp_path / "logs")
    assert not truth - read_lake(lake), "nothing lost"
    compact(str(lake), now=DAY_2)
    assert_holds(lake)


# --- Firehose ---------------------------------------------------------------------------------------------------------


class Stream:
    """Takes every record, or none."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.data = b""

    def put_record_batch(self, **arguments: Any) -> Any:
        records = arguments["Records"]
        if self.refuses:
            return {"RequestResponses": [{"ErrorCode": "ServiceUnavailableException"} for _ in records]}
        self.data += b"".join(record["Data"] for record in records)
        return {"RequestResponses": [{"RecordId": "1"} for _ in records]}


def test_rows_can_go_to_a_delivery_stream(tmp_path: Path) -> None:
    lake = lake_of_both(tmp_path)
    stream = Stream()
    seconds = iter(range(100_000))
    assert outcome(lake, sink=firehose_sink(stream, "logs", clock=lambda: next(seconds)))[2:5] == (9, 1, 12)
    numbers = [(each["l"], each["ln"]) for each in map(json.loads, stream.data.splitlines())]
    assert len(numbers) == len(set(numbers)) == 21
    assert outcome(lake, sink=firehose_sink(stream, "logs"))[2:] == (0, 0, 0, 1)
    assert len(read_quarantine(lake)) == 8


def test_what_a_stream_refuses_stays_to_be_replayed(tmp_path: Path) -> None:
    lake = lake_of_both(tmp_path)
    before = all_files(lake)
    seconds = iter([0.0, *(890.0 for _ in range(100))])
    done = replay(str(lake), sink=firehose_sink(Stream(refuses=True), "logs", clock=lambda: next(seconds)), now=DAY_2)
    assert (done.lines_rows, done.documents_rows) == (0, 0)
    assert len(done.stuck) == 3
    assert "not all of its rows were taken; no time was left to send all records" in done.stuck[0].reason
    assert all_files(lake) == before
    replay(str(lake), now=DAY_3)
    assert_holds(lake)


def test_a_file_of_large_rows_beside_firehose_does_not_stand_for_all_rows(tmp_path: Path) -> None:
    """A run that ended had put the large row into raw/, and sent none of the others."""
    create_lake(str(tmp_path / "lake"))
    large = line(agent="x" * 1_100_000, request_id="LARGE")
    table = parse(text(large, line()), source_key=LOG).table
    put_errors(tmp_path / "lake", entry(record_of(table)))
    seconds = iter([0.0, *(890.0 for _ in range(100))])
    refusing = firehose_sink(Stream(refuses=True), "logs", clock=lambda: next(seconds))
    assert replay(str(tmp_path / "lake"), sink=refusing, now=DAY_1).stuck
    assert sum(read_lake(tmp_path / "lake").values()) == 1
    shutil.copytree(tmp_path / "lake", tmp_path / "other")

    stream = Stream()
    replay(str(tmp_path / "lake"), sink=firehose_sink(stream, "logs"), now=DAY_2)
    assert [json.loads(each)["ln"] for each in stream.data.splitlines()] == [2]
    replay(str(tmp_path / "other"), now=DAY_2)
    assert set(read_lake(tmp_path / "other")) == set(rows_of(table))


# --- Where a lake can be ----------------------------------------------------------------------------------------------


def test_a_lake_in_s3(s3: S3Client, tmp_path: Path) -> None:
    bucket = "replay-lake"
    s3.create_bucket(Bucket=bucket)
    for name, data in all_files(lake_of_both(tmp_path)).items():
        s3.put_object(Bucket=bucket, Key=f"l/{name}", Body=data)
    uri = f"s3://{bucket}/l"
    done = replay(uri, now=DAY_2)
    assert (done.lines_rows, done.documents_rows, done.stuck) == (9, 12, [])
    assert difference(read_lake(uri), local_truth(tmp_path / "logs")) == ""
    again = replay(uri, now=DAY_3)
    assert (again.lines_rows, again.documents_rows, again.skipped) == (0, 0, 1)


# --- The command line -------------------------------------------------------------------------------------------------


def test_the_verb_prints_what_it_did(lake: Path) -> None:
    code, out, err = accesslake("replay", "--lake", lake, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["lines"], found["lines_rows"], found["stuck"]) == (17, 9, [])
    code, out, _ = accesslake("replay", "--lake", lake)
    assert code == 0
    assert "8 quarantined lines parsed again: 0 are rows now" in out


def test_the_verb_names_what_is_stuck_and_shows_no_credential(tmp_path: Path) -> None:
    create_lake(str(tmp_path))
    document = b'{"t":"2024-05-02 10:00:00","l":"s","ln":1,"X-Amz-Signature=abcdef":1}\n' * 12
    put_errors(tmp_path, entry(document, code="X\x1b[31m X-Amz-Signature=abcdef"))
    code, out, err = accesslake("replay", "--lake", tmp_path)
    assert code == 1
    assert len(err.splitlines()) == 12
    assert "abcdef" not in out + err
    assert "\x1b" not in err
    code, out, _ = accesslake("replay", "--lake", tmp_path, "--json")
    assert (code, len(json.loads(out)["stuck"])) == (1, 12)


@pytest.mark.parametrize("arguments", [["--sink", "firehose"], ["--stream", "x"], ["--sink", "other"]])
def test_bad_arguments(lake: Path, arguments: list[str]) -> None:
    code, out, err = accesslake("replay", "--lake", lake, *arguments)
    assert (code, out) == (2, "")
    one_line(err)


def test_no_lake(tmp_path: Path) -> None:
    code, _, err = accesslake("replay", "--lake", tmp_path)
    assert code == 1
    assert "no lake here" in one_line(err)
