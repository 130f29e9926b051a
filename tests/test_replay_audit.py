"""A line that became a row by a replay counts once: as a row, and on the day it became one."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from replay_lakes import entry, older_lake, put_errors, record_of
from small_lakes import DAY_1, DAY_2, DAY_3, MUCH_LATER, log_text
from test_replay import crash_replay

from etl import parse
from etl.audit import AuditedDay, audit
from etl.compact import compact
from etl.replay import _quarantined, replay

LOG = "s3://amzn-s3-demo-logs/1"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return older_lake(tmp_path)


def days(lake: Path, *, now: dt.datetime = DAY_3) -> list[tuple[str, int, int, int, int, int]]:
    found = audit(str(lake), now=now)
    assert found.problems == ()
    assert found.ok
    return [(d.ingest_date, d.log_objects, d.lines, d.rows, d.quarantined, d.folded) for d in found.days]


def test_a_replayed_line_leaves_the_day_it_was_quarantined_on(lake: Path) -> None:
    assert days(lake) == [("2024-05-02", 4, 60, 43, 17, 0)]
    replay(str(lake), now=DAY_2)
    assert days(lake) == [("2024-05-02", 4, 51, 43, 8, 0), ("2024-05-03", 0, 9, 9, 0, 0)]


def test_compacted_or_not_before_or_after(lake: Path) -> None:
    compact(str(lake), now=DAY_1)
    replay(str(lake), now=DAY_2)
    want = [("2024-05-02", 4, 51, 43, 8, 0), ("2024-05-03", 0, 9, 9, 0, 0)]
    assert days(lake) == want
    compact(str(lake), now=DAY_3)
    assert days(lake) == want
    compact(str(lake), now=MUCH_LATER)
    assert list((lake / "raw").rglob("*.parquet")) == []
    assert days(lake) == want


def test_every_line_is_accounted_for_wherever_a_replay_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in range(6):
        lake = older_lake(tmp_path / str(at))
        crash_replay(lake, monkeypatch, at=at, after=True, now=DAY_2)
        assert audit(str(lake), now=DAY_3).ok
        replay(str(lake), now=DAY_2)
        assert days(lake) == [("2024-05-02", 4, 51, 43, 8, 0), ("2024-05-03", 0, 9, 9, 0, 0)]


def test_two_replays_by_ever_better_parsers(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reads_some(data: bytes, *, source_key: str) -> Any:
        lines = data.split(b"\n")
        return parse(b"\n".join(each if b"/k2" in each else b"" for each in lines), source_key=source_key)

    with monkeypatch.context() as patch:
        patch.setattr(_quarantined, "parse", reads_some)
        replay(str(lake), now=DAY_1)
    replay(str(lake), now=DAY_2)
    assert days(lake) == [("2024-05-02", 4, 52, 44, 8, 0), ("2024-05-03", 0, 8, 8, 0, 0)]


def test_a_quarantine_file_that_is_gone_without_a_replay_is_still_found(lake: Path) -> None:
    replay(str(lake), now=DAY_2)
    next((lake / "quarantine").rglob("*.parquet")).unlink()
    found = audit(str(lake), now=DAY_3)
    assert not found.ok
    assert any("are in quarantine/" in problem for problem in found.problems)


def test_rows_of_error_objects_count_as_lines_that_arrived(lake: Path) -> None:
    put_errors(lake, entry(record_of(parse(log_text(12), source_key=LOG).table)))
    replay(str(lake), now=DAY_2)
    (_, second) = audit(str(lake), now=DAY_3).days
    assert second == AuditedDay("2024-05-03", 0, 21, 21, 0, 0, unreadable=0, lag_days=2, ok=True)
