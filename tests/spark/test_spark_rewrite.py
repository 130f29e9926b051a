"""Spark and the local engine make the same of a plan: rows, order and counts."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hostile_keys import hostile_log, put_firehose
from small_lakes import (
    DAY_1,
    DAY_2,
    difference,
    line,
    local_truth,
    log_text,
    make_lake,
    put_raw,
    raw_row,
    read_lake,
    read_quarantine,
    text,
    write_logs,
)
from spark_cases import assert_same, plan_of
from spark_cases import on_spark as on_spark
from spark_cases import spark as spark
from test_compact_damage import DAMAGES

from etl import parse
from etl.audit import audit
from etl.backfill import backfill
from etl.compact import Rewrite, compact, create_plan, plan_logs
from etl.ingest import ingest
from etl.lake import PlannedLog, create_lake, open_lake

# PySpark leaves sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
OBJECTS = ("s3://logs/a", "s3://logs/b", "s3://logs/c", "s3://logs/d")
TIMES = ("2024-05-01T23:59:59", "2024-05-02T00:00:00", "2024-05-02T00:00:01", "2024-05-03T12:00:00")


def some_row(rng: Random) -> dict[str, Any]:
    """One of few rows, so that many are equal, or nearly so."""
    return raw_row(
        rng.choice(OBJECTS),
        rng.randint(1, 4),
        rng.choice(TIMES),
        bucket_name=rng.choice(["b1", "b2", "", None]),
        operation=rng.choice(["REST.GET.OBJECT", "REST.PUT.OBJECT", None]),
        request_id=rng.choice(["R1", None]),
        referer=rng.choice(["", None]),
        raw_line=rng.choice([None, None, "a\ud7ff\U0001f600\0b"]),
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_that_stand_twice_are_folded_as_the_local_engine_folds_them(
    tmp_path: Path, on_spark: Rewrite, seed: int
) -> None:
    """Delivered again within the batch, held by an earlier one, and delivered by S3 in two objects; nulls, twins and all."""
    rng = Random(seed)
    create_lake(str(tmp_path))
    pool = [some_row(rng) for _ in range(60)]
    put_raw(tmp_path, "first", rng.choices(pool, k=40))
    compact(str(tmp_path), now=DAY_1)
    put_raw(tmp_path, "other", [some_row(rng) for _ in range(20)])
    compact(str(tmp_path), now=DAY_1)
    fresh = [raw_row("s3://logs/new", number, TIMES[number % 4], request_id=f"N{number}") for number in range(50)]
    for number in range(12):
        rows = [*rng.choices(pool, k=10), *rng.sample(fresh, 4)]
        put_raw(tmp_path, f"object-{number:02}", rows, day=f"2024-05-{10 + number % 2}", int96=number % 3 == 0)
    done = assert_same(tmp_path, on_spark)
    assert len(done.folded) == 2
    assert done.duplicates > 60


def test_whichever_sink_a_row_came_through_it_is_the_same(tmp_path: Path, on_spark: Rewrite) -> None:
    log = write_logs(tmp_path / "logs", {"a.log": hostile_log()}) / "a.log"
    lake = tmp_path / "lake"
    ingest([str(log)], lake=str(lake), now=DAY_1)
    put_firehose(lake, "b", parse(hostile_log(), source_key="s3://logs/b").table, day="2024-05-02")
    done = assert_same(lake, on_spark)
    assert done.duplicates == done.rows > 0


def test_what_turns_out_to_be_damaged_is_left_out_and_named(tmp_path: Path, on_spark: Rewrite) -> None:
    create_lake(str(tmp_path))
    rows = [raw_row("s3://logs/x", number, request_id=str(number)) for number in range(900)]
    paths = [put_raw(tmp_path, damage.__name__, rows) for damage in DAMAGES]
    gone = put_raw(tmp_path, "gone", rows)
    put_raw(tmp_path, "good", rows[:100])
    plan = plan_of(tmp_path)
    gone.unlink()
    for path, damage in zip(paths, DAMAGES, strict=True):
        damage(path)
    done = assert_same(tmp_path, on_spark)
    assert len(done.left_out) == len(DAMAGES) + 1
    assert (done.rows, done.duplicates) == (100, 0)
    assert len(plan.inputs) == len(DAMAGES) + 2


def test_a_plan_of_nothing_but_damage_gives_no_file(tmp_path: Path, on_spark: Rewrite) -> None:
    create_lake(str(tmp_path))
    path = put_raw(tmp_path, "a", [raw_row("s3://logs/x", 1)])
    plan_of(tmp_path)
    os.truncate(path, 10)
    assert compact(str(tmp_path), rewrite=on_spark).left_out == ("raw/ingest_date=2024-05-02/a.parquet",)
    assert read_lake(tmp_path) == Counter()
    assert compact(str(tmp_path), rewrite=on_spark).batch is None


# --- Log objects ------------------------------------------------------------------------------------------------------


def archive(folder: Path) -> Path:
    """Log objects of all kinds, one that is none, and one that is damaged."""
    twice = line("2024-05-01T07:00:00", key="twice", request_id="T")
    logs = {
        "a.log": log_text(40, seed="a", bad_every=9),
        "b.log.gz": gzip.compress(text(twice) + log_text(30, seed="b", bad_every=7)),
        "c.log": text(line("2024-05-02T23:59:59", key="z"), twice),
        "d.log": b"",
        "e.log": hostile_log(),
        **{f"many/{number}.log": log_text(3, seed=f"m{number}", days=5) for number in range(60)},
    }
    return write_logs(folder, logs)


def test_an_archive_on_spark_gives_the_rows_of_ingest(tmp_path: Path, on_spark: Rewrite) -> None:
    logs = archive(tmp_path / "logs")
    write_logs(
        logs, {"cut.log.gz": gzip.compress(log_text(5000))[:-2000], "picture.log": b"\x89PNG\r\n\x1a\n\0\0\0" * 9}
    )
    done = backfill([str(logs)], lake=str(tmp_path / "lake"), rewrite=on_spark, now=DAY_1)
    ingested = ingest([str(logs)], lake=str(tmp_path / "other"), now=DAY_1)
    assert (done.objects, done.lines, done.rows) == (ingested.objects, ingested.lines, ingested.rows)
    assert sorted(error.subject for error in done.failed) == sorted(error.subject for error in ingested.failed)
    assert done.duplicates == 1, "a line of two objects is one"
    seen, truth = read_lake(tmp_path / "lake"), read_lake(tmp_path / "other")
    assert (truth - seen).total() == 1
    assert not seen - truth
    assert read_quarantine(tmp_path / "lake") == read_quarantine(tmp_path / "other")
    assert ingest([str(logs)], lake=str(tmp_path / "lake"), now=DAY_2).objects == 0
    assert audit(str(tmp_path / "lake")).ok


def test_both_engines_make_the_same_of_log_objects(tmp_path: Path, on_spark: Rewrite) -> None:
    lake = make_lake(tmp_path)
    compact(str(lake), now=DAY_1)
    logs = archive(tmp_path / "archive")
    opened = open_lake(str(lake))
    found = [path for path in sorted(logs.rglob("*")) if path.is_file()]
    planned = [PlannedLog(str(path), str(path), path.stat().st_size, version_of(path)) for path in found]
    again = tmp_path / "logs" / "a.log"
    planned.append(PlannedLog(str(again), str(again), again.stat().st_size, version_of(again)))
    planned.append(PlannedLog(str(logs / "gone"), str(logs / "gone"), 10, "version"))
    plan = plan_logs(last=opened.keeper.read(), logs=planned, ingest_date="2024-05-04")
    assert create_plan(opened, plan) == plan
    done = assert_same(lake, on_spark)
    assert done.left_out == (str(logs / "gone"),)
    assert done.folded == {"2024-05-04": 1 + 36}
    assert len(done.inputs) == len(planned) - 1


def version_of(path: Path) -> str:
    from etl.sources import find_logs
    from etl.sources import version_of as version

    (found,) = find_logs([str(path)])
    return version(found)  # type: ignore[arg-type]


# --- Skew -------------------------------------------------------------------------------------------------------------


def test_a_giant_day_of_one_bucket_is_written_by_several_tasks(tmp_path: Path, on_spark: Rewrite) -> None:
    rng = Random(7)
    create_lake(str(tmp_path))
    rows = [
        raw_row(
            "s3://logs/giant",
            number,
            "2024-05-02T10:00:00" if number % 20 else f"2024-05-{1 + number % 28:02}T11:00:00",
            bucket_name="giant" if number % 20 else f"b{number % 3}",
            request_id=rng.randbytes(8).hex(),
            host_id=rng.randbytes(60).hex(),
        )
        for number in range(12_000)
    ]
    for part in range(3):
        put_raw(tmp_path, f"part-{part}", rows[part::3])
    done = assert_same(tmp_path, on_spark, target_bytes=120_000)
    giant = [output.rows for output in done.outputs if "2024-05-02" in output.key]
    assert len(giant) >= 4
    assert max(giant) < 0.5 * sum(giant)
    assert len(done.outputs) <= len(giant) + 2 * 28


def test_rows_that_have_no_equal_do_not_travel_to_be_compared(
    tmp_path: Path, on_spark: Rewrite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if there are so many that their hashes would be too many to send: those that stand twice are few."""
    from etl.spark import _rewrite, _session

    create_lake(str(tmp_path))
    rows = [raw_row("s3://logs/many", number, request_id=str(number)) for number in range(4_000)]
    put_raw(tmp_path, "many", rows)
    put_raw(tmp_path, "again", rows[:5])
    plans: list[str] = []
    fold = _rewrite._fold

    def looked_at(work: Any, kept: Any) -> Any:
        folded = fold(work, kept)
        plans.append(work.spark.table("suspects")._jdf.queryExecution().toString())
        return folded

    monkeypatch.setattr(_rewrite, "_fold", looked_at)
    monkeypatch.setitem(_session._OURS, "spark.sql.autoBroadcastJoinThreshold", "10000")
    assert assert_same(tmp_path, on_spark).duplicates == 5
    (plan,) = plans
    assert "BroadcastHashJoin [xxhash64(" in plan
    assert "hashpartitioning(xxhash64(" not in plan


def test_very_many_tiny_objects_are_seen_by_readers_once(tmp_path: Path, on_spark: Rewrite) -> None:
    lake = tmp_path / "lake"
    logs = write_logs(tmp_path / "logs", {f"{number:04}.log": log_text(2, seed=str(number)) for number in range(300)})
    ingest([str(logs)], lake=str(lake), now=DAY_1)
    done = compact(str(lake), rewrite=on_spark, now=DAY_1)
    assert (done.rows_out, done.files) == (600, 2)
    assert difference(read_lake(lake), local_truth(logs)) == ""
