"""What a damaged or missing file costs the detections, and which days they look at."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from detect_rows import make_lake, make_rows
from small_lakes import DAY_1, DAY_2, MUCH_LATER, log_text, put_raw, write_logs
from test_detect_lake import ids

from etl.compact import compact
from etl.detect import detect, read_findings
from etl.errors import QueryError
from etl.ingest import ingest
from etl.lake import open_lake
from etl.query import query


def damage_page(path: Path) -> None:
    """The footer is whole, so that only reading the rows shows it."""
    data = bytearray(path.read_bytes())
    data[4 : len(data) // 3] = b"\xa5" * (len(data) // 3 - 4)
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("damage", [cut, damage_page])
@pytest.mark.parametrize("names", [[], ["tls_below_1_2"]], ids=["all", "one"])
def test_a_damaged_file_costs_its_own_rows_and_no_detection(
    damage: Callable[[Path], None], names: list[str], tmp_path: Path
) -> None:
    lake = make_lake(tmp_path, make_rows({"tls_version": "TLSv1"}, {"signature_version": "SigV2"}))
    for name in "bcde":
        rows = make_rows({"tls_version": "TLSv1", "user_agent": name}, source_key=f"s3://logs/{name}")
        damaged = put_raw(lake, name, rows)
        if name in "bd":
            damage(damaged)
    found = detect(str(lake), detections=names)
    old = [each[1] for each in ids(found.findings) if each[0] == "tls_below_1_2"]
    assert old == ["s3://logs/a", "s3://logs/c", "s3://logs/e"]
    assert sorted(Path(line.partition(": ")[0]).name for line in found.failed) == ["b.parquet", "d.parquet"]
    assert all(line.partition(": ")[2] for line in found.failed)
    assert ids(read_findings(open_lake(str(lake)))) == ids(found.findings)
    assert detect(str(lake), detections=names).new == 0


def test_sql_that_fails_without_a_damaged_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = make_lake(tmp_path, make_rows({}))
    trouble = QueryError("OutOfMemoryError", "no room")

    def fail(*_: object, **__: object) -> None:
        raise trouble

    monkeypatch.setattr(sys.modules["etl.detect._detect"], "run_detection", fail)
    with pytest.raises(QueryError, match="no room"):
        detect(str(lake))


def test_a_file_that_is_gone_is_no_damaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are in another file by now: whoever asks again finds them, and half of them would be a wrong answer."""
    lake = make_lake(tmp_path, make_rows({}))
    opened = open_lake(str(lake))
    snapshot = opened.snapshot()
    put_raw(lake, "b", make_rows({}, source_key="s3://logs/b")).unlink()
    gone = replace(snapshot.raw[0], path=snapshot.raw[0].path.replace("a.parquet", "b.parquet"))
    monkeypatch.setattr(type(opened), "snapshot", lambda _: replace(snapshot, raw=(*snapshot.raw, gone)))
    with pytest.raises(QueryError, match="is gone since the question was asked"):
        detect(opened, detections=["mass_deletion"])


def test_what_compaction_left_out_is_named_until_its_log_comes_again(tmp_path: Path) -> None:
    logs = write_logs(tmp_path / "logs", {"a.log": log_text(20)})
    lake = tmp_path / "lake"
    ingest([str(logs)], lake=str(lake), now=DAY_1)
    (raw,) = (lake / "raw").rglob("*.parquet")
    raw.write_bytes(b"")
    key = raw.relative_to(lake).as_posix()
    assert compact(str(lake), now=DAY_1).left_out == (key,)
    cases: list[tuple[dict[str, Any], int]] = [({}, 1), ({"since": "2024-05-02"}, 1), ({"since": "2024-05-03"}, 0)]
    for options, failed in cases:
        assert (
            detect(str(lake), **options).failed
            == (f"{key}: cannot be read and is left out of batch 0000000001",) * failed
        )
    ingest([str(logs)], lake=str(lake), now=DAY_2)
    assert detect(str(lake)).failed == ()
    assert compact(str(lake), now=MUCH_LATER).batch is not None
    assert detect(str(lake)).failed == ()


# --- Days -------------------------------------------------------------------------------------------------------------


def test_regions_of_any_day_are_compared_with_what_was_before(tmp_path: Path) -> None:
    days = ("2019-01-01", "2019-06-01", "2021-01-01", "2026-05-01")
    regions = ("us-east-1", "eu-west-1", "sa-east-1", "us-east-1")
    rows = make_rows(
        *({"time": f"{day}T10:00:00", "source_region": where} for day, where in zip(days, regions, strict=True))
    )
    lake = str(make_lake(tmp_path, rows))

    def found(**options: Any) -> list[int]:
        return [each[2] for each in ids(detect(lake, detections=["new_source_regions"], **options).findings)]

    assert found() == found(until="2026-05-01") == [2, 3]
    assert found(since="2019-05-01", until="2019-07-01") == [2]
    # The year before it knows no Region.
    assert found(since="2021-01-01", until="2021-01-01") == []
    assert found(since="0001-01-01") == [2, 3]
    asked = query("detections/new_source_regions", lake=lake, since="2019-05-01", until="2019-07-01").read_all()
    assert asked.column("line_no").to_pylist() == [2]
