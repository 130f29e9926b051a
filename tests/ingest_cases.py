"""What the tests of ingest share: a folder of log objects, a place for a lake, and what must hold of it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from small_lakes import DAY_1, difference, local_truth, log_text, read_lake, read_quarantine, write_logs

from etl.audit import audit
from etl.ingest import Ingested, ingest

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 40


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder of five objects: two with lines that cannot be read, one packed, one of only bad lines, one empty."""
    return write_logs(
        tmp_path / "logs",
        {
            "a.log": log_text(40, seed="a", bad_every=9),
            "b.log": log_text(30, seed="b"),
            "deep/c.log": log_text(25, seed="c", bad_every=5),
            "bad.log": b"nothing here\n\nis a log line\n",
            "empty.log": b"",
        },
    )


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def take(source: Path | str, lake: Path, *, now: dt.datetime = DAY_1, workers: int = 1) -> Ingested:
    return ingest([str(source)], lake=str(lake), now=now, workers=workers)


def assert_holds(lake: Path, logs: Path) -> None:
    """The lake shows every row of the logs once, every quarantined line once, and its audit says so."""
    assert difference(read_lake(lake), local_truth(logs)) == ""
    bad = [row[:2] for row in read_quarantine(lake)]
    assert len(set(bad)) == len(bad) == sum(day.quarantined for day in audit(str(lake)).days)
    found = audit(str(lake))
    assert found.ok, found.problems
