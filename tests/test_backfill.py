"""A back-fill: the rows of `ingest`, straight to compacted/, through whatever happens to it and beside it."""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from backfill_cases import BATCHES, LOGS, assert_holds, planned, read_commits_of, take, truth
from backfill_cases import lake as lake
from backfill_cases import logs as logs
from glue_lakes import make_glue_lake, state
from hostile_keys import put_firehose
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
    read_rows,
    text,
    truth_of,
    write_logs,
)

from etl import parse
from etl.audit import audit
from etl.backfill import Backfilled, _backfill, backfill
from etl.catalog import State, open_lake
from etl.compact import compact, create_plan, read_or_create_plan, rewrite, verify
from etl.errors import RowsNotConserved
from etl.ingest import ingest
from etl.lake import Lake, Plan, Winner, create_lake, read_commit, read_winner
from etl.lake import open_lake as open_file_lake
from etl.query import query
from etl.sinks import ParquetSink

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# --- What it does -----------------------------------------------------------------------------------------------------


def test_the_lake_is_that_of_ingest_and_compact(logs: Path, lake: Path, tmp_path: Path) -> None:
    done = take(logs, lake)
    assert (done.objects, done.skipped, done.failed, list(done.batches)) == (5, 0, (), BATCHES[:3])
    other = tmp_path / "other"
    taken = ingest([str(logs)], lake=str(other), now=DAY_1)
    assert (done.lines, done.rows, done.quarantined) == (taken.lines, taken.rows, taken.quarantined)
    assert_holds(lake, logs)
    compact(str(other), now=DAY_1)
    assert read_lake(lake) == read_lake(other)
    assert read_quarantine(lake) == read_quarantine(other)
    assert open_file_lake(str(lake)).ingested_names() == open_file_lake(str(other)).ingested_names()
    days = [replace(day, lag_days=None) for day in audit(str(other)).days]
    assert list(audit(str(lake)).days) == days
    assert not list((lake / "raw").rglob("*.parquet"))


def test_what_is_in_the_lake_is_skipped_by_all_verbs(logs: Path, lake: Path) -> None:
    ingest([str(logs / "a.log")], lake=str(lake), now=DAY_1)
    done = take(logs, lake, now=DAY_2)
    # The raw object stays for compaction: what is planned for back-fill are log objects.
    assert (done.objects, done.skipped) == (4, 1)
    again = take(logs, lake, now=DAY_3)
    assert (again.objects, again.skipped, again.batches) == (0, 5, ())
    taken = ingest([str(logs)], lake=str(lake), now=DAY_3)
    assert (taken.objects, taken.skipped) == (0, 5)
    assert_holds(lake, logs)
    assert compact(str(lake), now=DAY_3).batch == BATCHES[2]
    assert_holds(lake, logs)
    # There is a raw object of one, and of the four that were back-filled none.
    assert compact(str(lake), now=DAY_3, grace=dt.timedelta(0)).collected == 1
    assert_holds(lake, logs)


def test_content_that_changed_is_another_log_object(logs: Path, lake: Path) -> None:
    take(logs, lake)
    before = truth(logs)
    (logs / "a.log").write_bytes(log_text(3, seed="new"))
    done = take(logs, lake, now=DAY_2)
    assert (done.objects, done.skipped) == (1, 4)
    assert read_lake(lake) == before + truth_of({str(logs / "a.log"): log_text(3, seed="new")})
    assert audit(str(lake)).ok


def test_a_line_that_s3_delivered_in_two_objects_is_folded_within_a_batch(tmp_path: Path, lake: Path) -> None:
    logs = write_logs(tmp_path / "logs", {"1.log": log_text(6, seed="s"), "2.log": log_text(6, seed="s")})
    done = take(logs, lake)
    assert (done.rows, done.duplicates) == (12, 6)
    assert sum(read_lake(lake).values()) == 6
    assert audit(str(lake)).ok


def test_progress_is_told(logs: Path, lake: Path) -> None:
    told: list[Backfilled] = []
    rows: list[tuple[int, int]] = []
    done = take(logs, lake, on_batch=told.append, on_rows=lambda done, planned: rows.append((done, planned)))
    assert [len(each.batches) for each in told] == [1, 2, 3]
    assert told[-1] == done
    assert rows[-1][0] == rows[-1][1] > 0


def test_a_hostile_file_name_is_a_record_as_any(tmp_path: Path, lake: Path) -> None:
    logs = write_logs(tmp_path / "logs", {"new\nline \x1b[31m'\".log": log_text(3, seed="n")})
    Path(str(logs), "not utf-8 \udcff.log").write_bytes(log_text(2, seed="u"))
    assert take(logs, lake).objects == 2
    assert take(logs, lake, now=DAY_2).skipped == 2
    assert sum(read_lake(lake).values()) == 5


# --- A run that ends --------------------------------------------------------------------------------------------------


def crash(logs: Path, lake: Path, monkeypatch: pytest.MonkeyPatch, *, at: int, after: bool) -> list[str]:
    store = CrashingStore(create_lake(str(lake)).store, at=at, after=after)
    with monkeypatch.context() as patch:
        patch.setattr(_backfill, "open_lake", lambda _: Lake(store))
        if at < 0:
            take(logs, lake)
        else:
            with pytest.raises(Crashed):
                take(logs, lake)
    return store.changes


def changes_of(logs: Path, lake: Path) -> Iterator[tuple[int, bool]]:
    with pytest.MonkeyPatch.context() as patch:
        count = len(crash(logs, lake, patch, at=-1, after=False))
    assert count > 20
    yield from ((number, after) for number in range(count) for after in (False, True))


def test_a_killed_driver_is_resumed_by_the_next_one(
    logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at every third change of the store; in each second case plain compaction goes on first."""
    for number, (at, after) in enumerate(changes_of(logs, tmp_path / "dry")):
        if number % 3:
            continue
        lake = tmp_path / f"lake-{number}"
        crash(logs, lake, monkeypatch, at=at, after=after)
        seen = read_lake(lake)
        assert not seen - truth(logs), "a row twice"
        if number % 2:
            compact(str(lake), now=DAY_2)
        done = take(logs, lake, now=DAY_2)
        assert done.failed == ()
        assert len(read_commits_of(lake)) == 3, "no batch twice, and none without log objects"
        assert_holds(lake, logs)


def test_the_counts_of_a_run_that_goes_on_are_of_what_it_did(logs: Path, lake: Path) -> None:
    create_lake(str(lake))
    planned(lake, logs / "a.log", logs / "b.log")
    done = take(logs, lake, now=DAY_2)
    assert (done.objects, done.skipped) == (5, 0)
    assert (done.lines, done.rows + done.quarantined) == (105, 105)


def test_a_pending_plan_is_carried_out_although_there_is_nothing_to_take(logs: Path, lake: Path) -> None:
    ingest([str(logs / "d.log")], lake=str(lake), now=DAY_1)
    planned(lake, logs / "a.log", logs / "b.log")
    done = take(logs / "d.log", lake)
    assert (done.objects, done.skipped, list(done.batches)) == (2, 1, BATCHES[:1])


def test_a_pending_compaction_is_carried_out_first(logs: Path, lake: Path) -> None:
    ingest([str(logs / "a.log")], lake=str(lake), now=DAY_1)
    assert read_or_create_plan(open_file_lake(str(lake))) is not None
    done = take(logs, lake, now=DAY_2)
    assert list(done.batches) == BATCHES[:3]
    assert read_commit(open_file_lake(str(lake)).store, BATCHES[0]).inputs[0].rows == 36
    assert_holds(lake, logs)


def test_a_rival_that_takes_the_same_archive_doubles_nothing(
    logs: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does all of it while we are about to plan our first batch; and one batch at every moment before a plan."""
    rivals: list[Callable[[], object]] = [lambda: take(logs, lake), lambda: compact(str(lake), now=DAY_1)]

    def plan_late(lake: Lake, plan: Plan) -> Plan:
        if rivals:
            rivals.pop(0)()
        return create_plan(lake, plan)

    create_lake(str(lake))
    monkeypatch.setattr(_backfill, "create_plan", plan_late)
    done = take(logs, lake)
    assert done.failed == ()
    assert len(read_commits_of(lake)) == 3
    assert_holds(lake, logs)


def test_rivals_take_turns(logs: Path, lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rival plans a batch of one log object just before each of ours is planned."""
    create_lake(str(lake))
    waiting = [logs / "a.log", logs / "d.log"]

    def plan_late(opened: Lake, plan: Plan) -> Plan:
        if waiting:
            planned(lake, waiting.pop())
        return create_plan(opened, plan)

    monkeypatch.setattr(_backfill, "create_plan", plan_late)
    done = take(logs, lake)
    assert (done.objects, done.skipped, done.failed) == (5, 0, ())
    assert_holds(lake, logs)


# --- Beside ingest ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [DAY_1, DAY_3], ids=["of the same day", "of a later day"])
def test_what_ingest_takes_while_its_back_fill_is_pending_is_once_in_the_end(
    logs: Path, lake: Path, now: dt.datetime
) -> None:
    create_lake(str(lake))
    planned(lake, logs)
    assert ingest([str(logs)], lake=str(lake), now=now).objects == 5
    assert compact(str(lake), now=DAY_3).rows_out == 96
    # Of the same day the raw objects have the names of what was planned: nobody reads them any more.
    folded = compact(str(lake), now=DAY_3)
    assert (folded.batch, folded.duplicates) == ((None, 0) if now == DAY_1 else (BATCHES[1], 96))
    assert difference(read_lake(lake), truth(logs)) == ""
    assert audit(str(lake)).ok
    assert compact(str(lake), now=DAY_3, grace=dt.timedelta(0)).collected == 5
    assert difference(read_lake(lake), truth(logs)) == ""
    assert audit(str(lake)).ok


def test_what_came_through_firehose_is_folded(logs: Path, lake: Path) -> None:
    """Its raw objects do not say which log objects they hold."""
    create_lake(str(lake))
    data = LOGS["b.log"]
    put_firehose(lake, "stream-1", parse(data, source_key=str(logs / "b.log")).table, day="2024-05-02")
    compact(str(lake), now=DAY_1)
    done = take(logs, lake, now=DAY_2)
    assert (done.objects, done.duplicates) == (5, 30)
    assert_holds(lake, logs)


# --- What an engine may get wrong -------------------------------------------------------------------------------------


def _drop_an_input(winner: Winner) -> Winner:
    return replace(winner, inputs=winner.inputs[1:])


def _read_one_twice(winner: Winner) -> Winner:
    return replace(winner, inputs=(*winner.inputs, winner.inputs[0]))


def _lose_a_line(winner: Winner) -> Winner:
    first = replace(winner.inputs[0], quarantined=winner.inputs[0].quarantined + 1)
    return replace(winner, inputs=(first, *winner.inputs[1:]))


def _lose_a_row(winner: Winner) -> Winner:
    first = replace(winner.inputs[0], rows=winner.inputs[0].rows + 1, lines=winner.inputs[0].lines + 1)
    return replace(winner, inputs=(first, *winner.inputs[1:]))


def _leave_out_what_was_read(winner: Winner) -> Winner:
    return replace(winner, left_out=("/no/such.log",), inputs=winner.inputs[1:])


@pytest.mark.parametrize(
    "wrong", [_drop_an_input, _read_one_twice, _lose_a_line, _lose_a_row, _leave_out_what_was_read]
)
def test_an_engine_that_does_not_add_up_commits_nothing(
    logs: Path, lake: Path, wrong: Callable[[Winner], Winner]
) -> None:
    def rewrite_wrongly(lake: Lake, plan: Plan, **options: Any) -> Winner:
        winner = rewrite(lake, plan, **options)
        verify(lake, plan, winner)
        return wrong(winner)

    with pytest.raises(RowsNotConserved):
        take(logs, lake, rewrite=rewrite_wrongly)
    assert read_commits_of(lake) == []
    take(logs, lake)
    assert_holds(lake, logs)


# --- Where Glue keeps the state ---------------------------------------------------------------------------------------


def test_a_lake_that_glue_keeps(logs: Path, lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive's days come into the table's range, and the raw days that queries see stay as they are."""
    catalog = make_glue_lake(str(lake), monkeypatch, first_day="2024-05-02")
    before = state(catalog)
    sink = ParquetSink(open_lake(str(lake)).store, ingest_date="2024-05-02")
    sink.write([parse(log_text(4, seed="n"), source_key="s3://logs/new")], name="new", owner="new")
    done = take(logs, lake, now=DAY_1)
    assert list(done.batches) == BATCHES[:3]
    assert state(catalog) == State(BATCHES[2], before.raw_since)
    expected = truth(logs) + truth_of({"s3://logs/new": log_text(4, seed="n")})
    assert difference(read_rows(open_lake(str(lake)).snapshot()), expected) == ""
    counted = query(lake=str(lake), sql="SELECT count(*) AS n FROM access_logs").read_all()
    assert counted.column("n").to_pylist() == [expected.total()]
    table = next(text for key, text in catalog.objects.items() if key.endswith("access_logs_compacted"))
    assert b'"2024-05-01,' in table
    compact(str(lake), now=DAY_3 + dt.timedelta(days=2))
    assert state(catalog) == State(BATCHES[3], "2024-05-03")
    assert difference(read_rows(open_lake(str(lake)).snapshot()), expected) == ""
    assert audit(str(lake)).ok


# --- In buckets -------------------------------------------------------------------------------------------------------


def test_logs_and_lake_in_buckets(s3: S3Client, new_bucket: Callable[[], str]) -> None:
    bucket, other = new_bucket(), new_bucket()
    logs = {f"logs/{name}": data for name, data in LOGS.items()}
    for key, data in logs.items():
        s3.put_object(Bucket=bucket, Key=key, Body=data)
    uri = f"s3://{other}/lake"
    replaced: list[str] = []

    def rewrite_late(lake: Lake, plan: Plan, **options: Any) -> Winner:
        if not replaced:
            replaced.append(plan.logs[0].source_key)
            s3.put_object(Bucket=bucket, Key="logs/a.log", Body=text(line(key="other")))
        return rewrite(lake, plan, **options)

    done = backfill([f"s3://{bucket}/logs/"], lake=uri, now=DAY_1, batch_objects=3, rewrite=rewrite_late)
    assert replaced == [f"s3://{bucket}/logs/a.log"]
    assert [(error.subject, "changed" in error.reason) for error in done.failed] == [(replaced[0], True)]
    assert done.objects == 4
    again = backfill([f"s3://{bucket}/logs/"], lake=uri, now=DAY_1)
    assert (again.objects, again.skipped, again.failed) == (1, 4, ())
    logs["logs/a.log"] = text(line(key="other"))
    plain = {f"s3://{bucket}/{key}": gzip.decompress(d) if key.endswith("gz") else d for key, d in logs.items()}
    assert difference(read_rows(open_file_lake(uri).snapshot()), truth_of(plain)) == ""
    assert audit(uri).ok
    assert read_winner(open_file_lake(uri).store, BATCHES[0]).reasons.keys() == set(replaced)
