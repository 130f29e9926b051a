"""A lake whose state Glue keeps, through every verb: compacted by sealed days, read exactly, and refused where that must be."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from glue_lakes import live, make_glue_lake, put, state
from small_lakes import Truth, difference, line, log_text, put_raw, raw_row, read_rows, rows_of, text, truth_of
from stepwise import MemoryLake, StepGlue

from etl import parse
from etl.audit import audit
from etl.catalog import State, _keeper, access_logs_input, open_lake
from etl.cli._main import _run
from etl.compact import _compact, compact
from etl.errors import AccessLakeError, LakeMismatch, LakeNotFound, LakeUnusable
from etl.ingest import ingest
from etl.lake import Commit, create_glue_lake, create_record, read_commit
from etl.lake import open_lake as open_file_lake
from etl.query import query
from etl.read import read
from etl.sinks import ParquetSink

NOW = dt.datetime(2024, 5, 4, 12, tzinfo=dt.UTC)
"""2024-05-02 is sealed, 2024-05-03 is not."""
LOGS = {
    "2024-05-02": {"s3://logs/a": log_text(40, seed="a"), "s3://logs/b": log_text(30, seed="b", bad_every=7)},
    "2024-05-03": {"s3://logs/c": log_text(20, seed="c")},
}
OLD = {"s3://logs/old": text(line("2024-04-11T10:00:00", key="old"))}


def arrive(uri: str, day: str, logs: dict[str, bytes]) -> None:
    """What the parser function writes on a day."""
    for source_key, data in logs.items():
        sink = ParquetSink(open_lake(uri).store, ingest_date=day)
        sink.write([parse(data, source_key=source_key)], name=source_key.rsplit("/", 1)[-1], owner=source_key)
        assert sink.finish() == set()


@pytest.fixture
def lake(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


@pytest.fixture
def catalog(lake: str, monkeypatch: pytest.MonkeyPatch) -> MemoryLake:
    found = make_glue_lake(lake, monkeypatch)
    for day, logs in LOGS.items():
        arrive(lake, day, logs)
    return found


def truth(*more: dict[str, bytes]) -> Truth:
    return truth_of({key: data for logs in (*LOGS.values(), *more) for key, data in logs.items()})


def assert_reads(uri: str, expected: Truth) -> None:
    """Whoever reads it directly."""
    assert difference(read_rows(open_lake(uri).snapshot()), expected) == ""
    assert difference(rows_of(read(uri)), expected) == ""
    counted = query(lake=uri, sql="SELECT count(*) AS n FROM access_logs").read_all()
    assert counted.column("n").to_pylist() == [sum(expected.values())]


def test_sealed_days_are_compacted_and_all_is_read_exactly_all_the_time(lake: str, catalog: MemoryLake) -> None:
    assert_reads(lake, truth())
    done = compact(lake, now=NOW)
    assert (done.batch, done.rows_in, done.stragglers, done.left_out) == ("0000000001", 66, (), ())
    assert state(catalog) == State("0000000001", "2024-05-03")
    assert_reads(lake, truth())
    found = audit(lake, now=NOW)
    assert (found.ok, found.problems, found.stragglers) == (True, (), ())
    assert compact(lake, now=NOW).batch is None
    assert compact(lake, now=NOW + dt.timedelta(days=1)).rows_in == 20
    assert state(catalog) == State("0000000002", "2024-05-04")
    assert_reads(lake, truth())
    assert compact(lake, now=NOW + dt.timedelta(days=9)).collected == 3
    assert open_lake(lake).snapshot().raw == ()
    assert_reads(lake, truth())
    assert audit(lake).ok


def test_the_delay_is_the_callers(lake: str, catalog: MemoryLake) -> None:
    assert compact(lake, now=NOW, seal_delay=dt.timedelta(days=9)).batch is None
    assert compact(lake, now=NOW, seal_delay=dt.timedelta(0)).rows_in == 86
    assert state(catalog) == State("0000000001", "2024-05-04")


def test_what_comes_into_a_sealed_day_is_counted_and_taken_by_the_next_run(lake: str, catalog: MemoryLake) -> None:
    compact(lake, now=NOW)
    arrive(lake, "2024-05-02", OLD)
    key = "raw/ingest_date=2024-05-02/old.parquet"
    assert audit(lake, now=NOW).stragglers == (key,)
    assert audit(lake, now=NOW).ok
    assert_reads(lake, truth(OLD))
    done = compact(lake, now=NOW)
    assert (done.batch, done.stragglers, done.rows_out) == ("0000000002", (key,), 1)
    assert state(catalog) == State("0000000002", "2024-05-03")
    assert audit(lake, now=NOW).stragglers == ()
    assert_reads(lake, truth(OLD))


def test_a_late_row_widens_the_table_before_it_is_seen(lake: str, catalog: MemoryLake) -> None:
    arrive(lake, "2024-05-02", OLD)
    compact(lake, now=NOW)
    table = live(catalog, "access_logs_compacted")
    assert table["Parameters"]["projection.event_date.range"] == "2024-04-11,NOW"
    changed = [next(key for key in after if after[key] != before.get(key)) for before, after in _pairs(catalog)]
    assert changed == ["glue/logs.access_logs_compacted", "glue/logs.access_logs"]


def _pairs(catalog: MemoryLake) -> list[tuple[dict[str, bytes], dict[str, bytes]]]:
    return list(zip(catalog.states, catalog.states[1:], strict=False))


def test_a_plan_that_is_days_old_hides_what_it_planned_and_no_more(
    lake: str, catalog: MemoryLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(StepGlue, "update_table", _times_out)
        with pytest.raises(LakeUnusable, match="access_logs"):
            compact(lake, now=NOW)
    arrive(lake, "2024-05-03", OLD)
    done = compact(lake, now=NOW + dt.timedelta(days=5))
    assert (done.batch, done.rows_in) == ("0000000001", 66)
    assert state(catalog) == State("0000000001", "2024-05-03"), "not what the clock would say now"
    assert_reads(lake, truth(OLD))
    assert compact(lake, now=NOW + dt.timedelta(days=5)).stragglers == ()
    assert_reads(lake, truth(OLD))


def _times_out(*_: object, **__: object) -> None:
    raise ReadTimeoutError(endpoint_url="glue")


def test_an_object_in_no_days_folder_becomes_visible(lake: str, catalog: MemoryLake) -> None:
    odd = put_raw(Path(lake), "odd", [raw_row("s3://logs/odd", 1)], day="2024-99-99")
    done = compact(lake, now=NOW)
    assert done.stragglers == (f"raw/ingest_date=2024-99-99/{odd.name}",)
    assert done.rows_in == 67


def test_a_damaged_object_is_left_out_and_named(lake: str, catalog: MemoryLake) -> None:
    path = put_raw(Path(lake), "bad", [raw_row("s3://logs/bad", 1)])
    path.write_bytes(path.read_bytes()[:50])
    done = compact(lake, now=NOW)
    assert done.left_out == ("raw/ingest_date=2024-05-02/bad.parquet",)
    assert_reads(lake, truth())
    assert not audit(lake, now=NOW).ok


# --- Records and state that do not go together ------------------------------------------------------------------------


def refused(error: type[AccessLakeError], message: str, act: Callable[[], object]) -> None:
    with pytest.raises(error, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)


def test_a_view_that_was_moved_back_is_refused_by_readers_and_moved_on_by_runs(lake: str, catalog: MemoryLake) -> None:
    before = live(catalog)
    compact(lake, now=NOW)
    compact(lake, now=NOW + dt.timedelta(days=1))
    put(catalog, before)
    for act in (lambda: read(lake), lambda: audit(lake), lambda: query(lake=lake, sql="SELECT 1 AS one")):
        refused(LakeMismatch, "shows batch none, but batch 0000000002 was committed", act)
    refused(LakeMismatch, "shows batch 0000000001, but batch 0000000002", lambda: compact(lake, now=NOW))
    assert compact(lake, now=NOW).batch == "0000000002"
    assert state(catalog) == State("0000000002", "2024-05-04")
    assert_reads(lake, truth())


@pytest.mark.parametrize("gone", ["plan", "winner"])
def test_a_batch_without_any_record_is_refused(lake: str, catalog: MemoryLake, gone: str) -> None:
    compact(lake, now=NOW)
    for name in ("commit", gone):
        (Path(lake) / "meta" / name / "0000000001.json").unlink()
    refused(LakeMismatch, "no plan or winner of batch 0000000001", lambda: read(lake))


def test_a_batch_whose_record_was_not_written_is_read_all_the_same(lake: str, catalog: MemoryLake) -> None:
    compact(lake, now=NOW)
    record = Path(lake) / "meta" / "commit" / "0000000001.json"
    written = json.loads(record.read_text())
    record.unlink()
    assert_reads(lake, truth())
    assert audit(lake, now=NOW).ok
    later = NOW + dt.timedelta(hours=1)
    assert compact(lake, now=later).batch is None
    assert json.loads(record.read_text()) == {**written, "committed_at": later.isoformat()}


def test_another_lakes_view_is_refused(lake: str, catalog: MemoryLake) -> None:
    put(catalog, access_logs_input(State("", "2024-05-01"), database="logs", lake_uri="s3://another/lake"))
    for act in (lambda: read(lake), lambda: compact(lake, now=NOW), lambda: audit(lake)):
        refused(LakeMismatch, "access_logs: is a view of the lake s3://another/lake", act)


def test_a_catalog_that_is_not_there_is_one_line(lake: str, catalog: MemoryLake) -> None:
    catalog.drop("glue/logs.access_logs")
    refused(LakeNotFound, r"logs.access_logs: is not in Glue \(the stack makes it", lambda: compact(lake, now=NOW))


def test_glue_that_cannot_be_reached_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    create_glue_lake(str(tmp_path / "l"), database="logs")
    refused(LakeUnusable, "logs: You must specify a region", lambda: read(str(tmp_path / "l")))


def test_whoever_lists_files_alone_is_refused(lake: str, catalog: MemoryLake, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(line())
    refused(LakeMismatch, "kept by 'glue', not by files", lambda: ingest([str(tmp_path / "a.log")], lake=lake))
    refused(LakeMismatch, "kept by 'glue', not by files", lambda: open_file_lake(lake))
    without = open_file_lake(lake, states=("glue",))
    refused(LakeMismatch, "kept by 'glue', not by files", without.snapshot)
    assert open_lake(lake).ingested_names() == {"a", "b", "c"}


# --- The command line -------------------------------------------------------------------------------------------------


def test_the_command_counts_stragglers_and_does_not_fail_for_them(
    lake: str, catalog: MemoryLake, capsys: pytest.CaptureFixture[str]
) -> None:
    arrive(lake, "2006-03-14", OLD)
    assert _run(["audit", "--lake", lake]) == 0
    assert "1 raw objects came into days that were sealed" in capsys.readouterr().err
    assert _run(["compact", "--lake", lake, "--json", "--seal-delay", "26", "--grace", "7"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["stragglers"] == ["raw/ingest_date=2006-03-14/old.parquet"]
    assert "raw/ingest_date=2006-03-14/old.parquet: came after its day was sealed" in err


def test_the_command_goes_by_the_time_it_is_told(
    lake: str, catalog: MemoryLake, capsys: pytest.CaptureFixture[str]
) -> None:
    for hour, batch in (("01:59:59", None), ("02:00:00", "0000000001")):
        assert _run(["compact", "--lake", lake, "--json", "--now", f"2024-05-04T{hour}"]) == 0
        assert json.loads(capsys.readouterr().out)["batch"] == batch


@pytest.mark.parametrize("option", ["--grace", "--seal-delay"])
def test_the_command_takes_no_time_before_time(
    lake: str, catalog: MemoryLake, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert _run(["compact", "--lake", lake, option, "-1"]) == 2
    assert "Traceback" not in capsys.readouterr().err


# --- In a bucket ------------------------------------------------------------------------------------------------------


def test_a_lake_in_a_bucket_goes_the_same_way(
    s3: Any, new_bucket: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"s3://{new_bucket()}/some/lake"
    catalog = make_glue_lake(uri + "/", monkeypatch)
    for day, logs in LOGS.items():
        arrive(uri, day, logs)
    assert compact(uri, now=NOW).rows_in == 66
    assert state(catalog) == State("0000000001", "2024-05-03")
    assert_reads(uri, truth())
    assert audit(uri, now=NOW).ok
    assert compact(uri, now=NOW + dt.timedelta(days=9)).collected == 2
    assert_reads(uri, truth())


def test_the_keeper_is_brought_by_who_opens_the_lake(lake: str, catalog: MemoryLake, tmp_path: Path) -> None:
    assert isinstance(open_lake(lake).keeper, _keeper.GlueKeeper)
    ingest([str(_write(tmp_path / "a.log"))], lake=str(tmp_path / "files"))
    assert open_lake(str(tmp_path / "files")) == open_file_lake(str(tmp_path / "files"))


def _write(path: Path) -> Path:
    path.write_bytes(line())
    return path


def test_a_batch_without_a_record_gets_no_time_before_it_was_seen(
    catalog: MemoryLake, lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may have committed it since this one began: its raw objects would be deleted too early."""
    with monkeypatch.context() as patch:
        patch.setattr(
            _compact, "create_record", lambda store, key, record: "commit" in key or create_record(store, key, record)
        )
        assert compact(lake, seal_delay=dt.timedelta(0)).batch == "0000000001"
    seen: list[dt.datetime] = []
    up_to = _keeper.GlueKeeper.commits

    def commits(keeper: _keeper.GlueKeeper) -> Iterator[Commit]:
        seen.append(dt.datetime.now(dt.UTC))
        return up_to(keeper)

    monkeypatch.setattr(_keeper.GlueKeeper, "commits", commits)
    assert compact(lake).batch is None
    record = read_commit(open_lake(lake).store, "0000000001")
    assert dt.datetime.fromisoformat(record.committed_at) >= seen[-1]
