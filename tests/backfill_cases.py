"""What the tests of the back-fill share: an archive of five log objects, a place for a lake, and what must hold of it."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path
from typing import Any

import pytest
from small_lakes import DAY_1, difference, log_text, read_lake, read_quarantine, truth_of, write_logs

from etl.audit import audit
from etl.backfill import Backfilled, backfill
from etl.compact import create_plan, plan_logs
from etl.lake import Plan, PlannedLog, open_lake
from etl.sources import find_logs, version_of

LOGS = {
    "a.log": log_text(40, seed="a", bad_every=9),
    "b.log": log_text(30, seed="b"),
    "deep/c.gz": gzip.compress(log_text(25, seed="c", bad_every=5)),
    "d.log": log_text(10, seed="d", days=1),
    "empty.log": b"",
}
BATCHES = [f"{number:010}" for number in range(1, 10)]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return write_logs(tmp_path / "logs", LOGS)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def take(logs: Path, lake: Path | str, *, now: dt.datetime = DAY_1, **options: Any) -> Backfilled:
    return backfill([str(logs)], lake=str(lake), now=now, batch_objects=2, **options)


def truth(folder: Path, *besides: str) -> Any:
    """What the parser makes of the files, but for those."""
    plain = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in besides:
            data = path.read_bytes()
            plain[str(path.resolve())] = gzip.decompress(data) if path.suffix == ".gz" else data
    return truth_of(plain)


def assert_holds(lake: Path, logs: Path, *besides: str) -> None:
    """Each row once, each quarantined line once, and the audit finds them all."""
    assert difference(read_lake(lake), truth(logs, *besides)) == ""
    found = audit(str(lake))
    assert found.ok, (found.problems, found.days)
    bad = [row[:2] for row in read_quarantine(lake)]
    assert len(set(bad)) == len(bad) == sum(day.quarantined for day in found.days)


def planned(lake: Path, *paths: Path) -> Plan:
    """A plan of these files that nobody has carried out."""
    opened = open_lake(str(lake))
    found = [log for log in find_logs([str(path) for path in paths]) if not isinstance(log, Exception)]
    named = [PlannedLog(log.source_key, log.location, log.size, version_of(log)) for log in found]
    return create_plan(opened, plan_logs(last=opened.keeper.read(), logs=named, ingest_date="2024-05-02"))


def read_commits_of(lake: Path) -> list[str]:
    return [commit.batch for commit in open_lake(str(lake)).commits()]
