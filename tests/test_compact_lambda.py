"""The compaction function, called as Lambda calls it: its settings, log, metrics and failures, and a lake that Glue keeps."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from glue_lakes import make_glue_lake, state
from small_lakes import difference, log_text, read_rows, truth_of
from stepwise import MemoryLake
from test_compact_glue import arrive
from test_parse_logs import Context

from etl.arrivals import DIMENSION, NAMESPACE
from etl.catalog import open_lake
from etl.compact import (
    DEFAULT_GRACE,
    DEFAULT_SEAL_DELAY,
    DEFAULT_TARGET_BYTES,
    MAX_TARGET_MIB,
    BatchLimit,
    Compacted,
    create_plan,
    plan_logs,
    read_or_create_plan,
)
from etl.errors import AccessLakeError, BadParameter, LakeNotFound, LakeUnusable, RowsNotConserved
from etl.lake import PlannedLog
from etl.lambdas import compact as function
from etl.lambdas._compaction_metrics import COMPACTION_UNITS, measure_compaction
from etl.sources import LogSource, version_of

DONE = Compacted("0000000003", 100, 90, 10, 2, 12_345, ("raw/a",), 7, ("raw/b", "raw/c"))
NOTHING = Compacted(None, 0, 0, 0, 0, 0, (), 4)
SECRET = "x?X-Amz-Signature=0123456789abcdef"
LOGS = {"s3://logs/a": log_text(40, seed="a"), "s3://logs/b": log_text(30, seed="b")}


@dataclass
class FakeCompact:
    """Takes the place of the rewriting, and keeps what it was asked."""

    answer: Compacted | Exception = DONE
    given: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __call__(self, lake: str, **given: Any) -> Compacted:
        self.asked.append(lake)
        self.given.append(given)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    uri = str(tmp_path / "lake")
    monkeypatch.setenv("ACCESSLAKE_LAKE", uri)
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)
    return uri


@pytest.fixture
def catalog(lake: str, monkeypatch: pytest.MonkeyPatch) -> MemoryLake:
    """A lake that Glue keeps, with two log objects of a day long ago and one of tomorrow."""
    found = make_glue_lake(lake, monkeypatch)
    arrive(lake, "2024-05-02", LOGS)
    arrive(lake, f"{dt.datetime.now(dt.UTC) + dt.timedelta(days=1):%Y-%m-%d}", {"s3://logs/c": log_text(5, seed="c")})
    return found


@pytest.fixture
def fake(catalog: MemoryLake, monkeypatch: pytest.MonkeyPatch) -> FakeCompact:
    stand_in = FakeCompact()
    monkeypatch.setattr(function, "compact", stand_in)
    return stand_in


Run = Callable[[], tuple[Any, list[dict[str, Any]], dict[str, Any]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Calls the function; what it answered, said, and measured."""

    def call() -> tuple[Any, list[dict[str, Any]], dict[str, Any]]:
        answer = function.handler({}, Context("lake-compact"))
        *said, metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return answer, said, metrics

    return call


# --- Settings ---------------------------------------------------------------------------------------------------------


def test_without_settings_it_does_what_the_command_does(fake: FakeCompact, lake: str, run: Run) -> None:
    run()
    assert fake.asked == [lake]
    assert fake.given == [
        {
            "rewrite": function.rewrite_raw,
            "target_bytes": DEFAULT_TARGET_BYTES,
            "grace": DEFAULT_GRACE,
            "seal_delay": DEFAULT_SEAL_DELAY,
            "limit": BatchLimit(objects=5_000, bytes=2560 << 20),
        }
    ]


def test_settings_are_its_arguments(fake: FakeCompact, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"MAX_RAW_BYTES": "1000000", "MAX_RAW_OBJECTS": "3"}
    for name, value in ({"TARGET_MIB": "64", "GRACE_DAYS": "0", "SEAL_HOURS": "48"} | sizes).items():
        monkeypatch.setenv(f"ACCESSLAKE_{name}", value)
    run()
    given = {
        "rewrite": function.rewrite_raw,
        "grace": dt.timedelta(0),
        "seal_delay": dt.timedelta(hours=48),
        "limit": BatchLimit(objects=3, bytes=10**6),
    }
    assert fake.given == [{"target_bytes": 64 << 20} | given]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCESSLAKE_LAKE", ""),
        ("ACCESSLAKE_TARGET_MIB", "0"),
        ("ACCESSLAKE_TARGET_MIB", "-1"),
        ("ACCESSLAKE_TARGET_MIB", str(MAX_TARGET_MIB + 1)),
        ("ACCESSLAKE_GRACE_DAYS", ""),
        ("ACCESSLAKE_SEAL_HOURS", "1 day"),
        ("ACCESSLAKE_MAX_RAW_BYTES", "1e9"),
    ],
)
def test_a_setting_that_is_wrong_is_named_and_nothing_is_done(
    fake: FakeCompact, run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadParameter, match=name):
        run()
    assert not fake.given


def test_scratch_of_a_run_that_was_ended_is_cleared(
    fake: FakeCompact, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    monkeypatch.setenv("ACCESSLAKE_SCRATCH", str(scratch))
    run()
    (scratch / "left" / "over").mkdir(parents=True)
    run()
    assert list(scratch.iterdir()) == []
    assert Path(tempfile.gettempdir()) == scratch


def test_without_a_folder_of_its_own_nothing_is_cleared(fake: FakeCompact, run: Run, tmp_path: Path) -> None:
    tempfile.tempdir = str(tmp_path)
    (tmp_path / "of somebody else").touch()
    run()
    assert (tmp_path / "of somebody else").exists()


# --- What it says -----------------------------------------------------------------------------------------------------


def test_the_log_and_the_answer_are_the_result(fake: FakeCompact, run: Run) -> None:
    answer, said, metrics = run()
    facts = {
        "batch": "0000000003",
        "rows_in": 100,
        "rows_out": 90,
        "duplicates": 10,
        "files": 2,
        "bytes": 12_345,
        "left_out": 1,
        "collected": 7,
        "stragglers": 2,
    }
    assert answer == facts
    assert said[0] == {"level": "INFO", "what": "compaction", **facts}
    assert [(line["level"], line["object"]) for line in said[1:]] == [
        ("ERROR", "raw/a"),
        ("WARNING", "raw/b"),
        ("WARNING", "raw/c"),
    ]
    (directive,) = metrics["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == (NAMESPACE, [[DIMENSION]])
    assert {each["Name"]: each["Unit"] for each in directive["Metrics"]} == COMPACTION_UNITS
    assert metrics[DIMENSION] == "lake-compact"
    measured = {name: metrics[name] for name in COMPACTION_UNITS}
    assert measured.pop("Seconds") >= 0
    assert measured == {
        "CompactionRuns": 1,
        "RowsIn": 100,
        "RowsOut": 90,
        "RowsFolded": 10,
        "Files": 2,
        "Bytes": 12_345,
        "LeftOut": 1,
        "Stragglers": 2,
        "Collected": 7,
    }


def test_a_run_that_finds_nothing_to_do_counts() -> None:
    """Or the alarm of a missed run would ring on quiet days."""
    measured = measure_compaction(NOTHING, seconds=1.23456)
    assert measured == dict.fromkeys(COMPACTION_UNITS, 0) | {"CompactionRuns": 1, "Collected": 4, "Seconds": 1.235}
    assert measured.keys() == COMPACTION_UNITS.keys()


def test_hostile_keys_stay_in_their_line_and_tell_no_secret(fake: FakeCompact, run: Run) -> None:
    key = f'raw/a\n{{"level": "INFO"}}\x1b[2J/{SECRET}'
    fake.answer = Compacted("0000000001", 0, 0, 0, 0, 0, (key,), 0, (key,))
    _, said, _ = run()
    assert len(said) == 3
    assert all("***" in line["object"] and "0123456789abcdef" not in line["object"] for line in said[1:])


def test_a_bad_day_does_not_flood_the_log(fake: FakeCompact, run: Run) -> None:
    keys = tuple(f"raw/{number:05}" for number in range(10_000))
    fake.answer = Compacted("0000000001", 0, 0, 0, 0, 0, keys, 0, keys)
    _, said, metrics = run()
    assert len(said) == 1 + 2 * 51
    assert [line["more"] for line in said if "more" in line] == [9_950, 9_950]
    assert (metrics["LeftOut"], metrics["Stragglers"]) == (10_000, 10_000)


# --- Failures ---------------------------------------------------------------------------------------------------------


class _Refused(LakeUnusable):
    """One that its module keeps to itself."""


@pytest.mark.parametrize(
    "error",
    [
        _Refused("the view", SECRET),
        LakeUnusable(f"s3://lake/{SECRET}", f"no\nway {SECRET}", hint=f"try {SECRET}"),
        RowsNotConserved("raw/a", SECRET),
        ValueError(f"broken {SECRET}\nand more"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_is_raised_in_one_line_without_credentials(
    fake: FakeCompact, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.answer = error
    with pytest.raises(AccessLakeError) as raised:
        function.handler({}, Context())
    assert type(raised.value).__module__ == "etl.errors"
    assert isinstance(error, type(raised.value)) or type(error).__name__ in str(raised.value)
    assert raised.value.__suppress_context__
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert (said["level"], said["what"], said["reason"]) == ("ERROR", "compaction failed", str(raised.value))
    assert "0123456789abcdef" not in line
    assert "\n" not in said["reason"]
    assert said["at"][-1].endswith(" __call__")


# --- A lake that Glue keeps -------------------------------------------------------------------------------------------


def test_sealed_days_are_compacted_and_a_second_run_finds_nothing(catalog: MemoryLake, lake: str, run: Run) -> None:
    before = state(catalog)
    answer, said, metrics = run()
    assert (answer["batch"], answer["rows_in"], answer["rows_out"]) == ("0000000001", 70, 70)
    assert (state(catalog).batch, state(catalog).raw_since) == ("0000000001", "2024-05-03")
    assert before.batch == ""
    assert metrics["RowsOut"] == 70
    rows = read_rows(open_lake(lake).snapshot())
    assert not difference(rows, truth_of({**LOGS, "s3://logs/c": log_text(5, seed="c")}))
    answer, said, metrics = run()
    assert answer["batch"] is None
    assert len(said) == 1
    assert (metrics["CompactionRuns"], metrics["RowsIn"]) == (1, 0)


@pytest.mark.parametrize("name", ["ACCESSLAKE_MAX_RAW_BYTES", "ACCESSLAKE_MAX_RAW_OBJECTS"])
def test_what_does_not_fit_is_refused_before_anything_is_written(
    catalog: MemoryLake, lake: str, run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store = open_lake(lake).store
    size = sum(stored.size for stored in store.list("raw/ingest_date=2024-05-02/"))
    monkeypatch.setenv(name, str({"ACCESSLAKE_MAX_RAW_BYTES": size, "ACCESSLAKE_MAX_RAW_OBJECTS": 2}[name] - 1))
    before = sorted(stored.key for stored in store.list(""))
    with pytest.raises(LakeUnusable, match="run accesslake compact on a machine once"):
        run()
    assert sorted(stored.key for stored in store.list("")) == before
    monkeypatch.setenv("ACCESSLAKE_MAX_RAW_BYTES", str(size))
    monkeypatch.setenv("ACCESSLAKE_MAX_RAW_OBJECTS", "2")
    assert run()[0]["rows_in"] == 70


@pytest.mark.parametrize(("milliseconds", "batches"), [(900_000, 2), (0, 1)])
def test_a_backlog_is_worked_off_by_whole_days_while_there_is_time(
    catalog: MemoryLake,
    lake: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    milliseconds: int,
    batches: int,
) -> None:
    for day, name in (("2024-05-03", "d"), ("2024-05-05", "e")):
        arrive(lake, day, {f"s3://logs/{name}": log_text(10, seed=name)})
    monkeypatch.setenv("ACCESSLAKE_MAX_RAW_OBJECTS", "2")
    before = read_rows(open_lake(lake).snapshot())
    answer = function.handler({}, Context("lake-compact", milliseconds=milliseconds))
    assert int(answer["batch"]) == batches
    assert state(catalog).raw_since == {2: "2024-05-06", 1: "2024-05-03"}[batches]
    assert not difference(read_rows(open_lake(lake).snapshot()), before)
    measured = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["RowsIn"] for each in measured if "RowsIn" in each] == [70, 20][:batches]


def test_a_plan_that_stands_is_refused_by_what_is_in_it_until_it_is_rewritten(
    catalog: MemoryLake, lake: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rewritten batch needs no room: it is published and committed, whatever its size was."""
    opened = open_lake(lake)
    assert read_or_create_plan(opened) is not None
    monkeypatch.setenv("ACCESSLAKE_MAX_RAW_BYTES", "1")
    with pytest.raises(LakeUnusable, match="and 5,000 of 1 fit"):
        run()
    _stop_before_publishing(lake, monkeypatch)
    assert run()[0]["rows_out"] == 70


def _stop_before_publishing(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from etl.compact import _compact

    def stop(*_: object, **__: object) -> None:
        raise LakeUnusable("here", "stopped")

    with monkeypatch.context() as patch:
        patch.setattr(_compact, "publish", stop)
        with pytest.raises(LakeUnusable):
            _compact.compact(lake)


def test_a_back_fills_plan_is_refused_unread_until_it_is_rewritten(
    catalog: MemoryLake, lake: str, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The function's role reads no log bucket: it would commit the batch empty while the back-fill is at work on it."""
    opened = open_lake(lake)
    log = LogSource("a.log", str(tmp_path / "a.log"), 4)
    Path(log.location).write_bytes(log_text(3, seed="back"))
    planned = PlannedLog(log.source_key, log.location, log.size, version_of(log))
    create_plan(opened, plan_logs(last=opened.keeper.read(), logs=[planned], ingest_date="2024-05-02"))
    before = sorted(stored.key for stored in opened.store.list(""))
    with monkeypatch.context() as patch:
        patch.setattr("etl.sources._sources.read_local_parts", lambda _: pytest.fail("a log object is read"))
        patch.setenv("ACCESSLAKE_MAX_RAW_BYTES", "1")
        with pytest.raises(
            LakeUnusable, match=r"a back-fill's, of 1 log objects.*go on with the back-fill where it ran"
        ):
            run()
    assert sorted(stored.key for stored in opened.store.list("")) == before
    _stop_before_publishing(lake, monkeypatch)
    _, said, _ = run()
    # The back-fill's, and then what else is to be compacted.
    assert [(each["batch"], each["rows_out"]) for each in said if each.get("what") == "compaction"] == [
        ("0000000001", 3),
        ("0000000002", 70),
    ]


def test_where_no_lake_is_nothing_is_made(lake: str, run: Run) -> None:
    with pytest.raises(LakeNotFound, match="no lake here"):
        run()
    assert not Path(lake).exists()
