"""`--engine` and `--inventory` as a user meets them."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from glue_lakes import make_glue_lake
from ingest_cases import PNG
from small_lakes import DAY_1, line, log_text, make_lake, text, write_logs
from test_cli import accesslake, as_json, one_line
from test_compact_glue import arrive
from test_inventory import as_csv, manifest, row

import etl
from etl.backfill import _backfill
from etl.catalog import open_lake
from etl.cli import _engines, _ingest
from etl.compact import create_plan, plan_logs, read_or_create_plan, rewrite
from etl.ingest import Ingested, IngestedObject, ingest
from etl.lake import PlannedLog, create_lake
from etl.sources import find_logs, version_of


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return write_logs(
        tmp_path / "logs",
        {
            "a.log": log_text(30, seed="a", bad_every=7),
            "b.log": log_text(20, seed="b"),
            "c.log": log_text(20, seed="b"),
        },
    )


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Both are installed, and have this machine do the work; which were asked."""
    asked: list[str] = []

    def install(name: str) -> None:
        def rewrite_there(*given: Any, **options: Any) -> Any:
            workgroup = options.pop("workgroup", None)
            asked.append(f"{name} in {workgroup}" if workgroup else name)
            return rewrite(*given, **options)

        module: Any = ModuleType(f"etl.{name}")
        module.__path__ = [str(Path(etl.__file__).parent / name)]
        setattr(module, f"rewrite_on_{name}", rewrite_there)
        monkeypatch.setitem(sys.modules, f"etl.{name}", module)

    install("spark")
    install("athena")
    # Looked for as it is: only PySpark itself is not there.
    monkeypatch.setattr(sys.modules["etl.spark"], "has_java", import_module("etl.spark._java").has_java, raising=False)
    monkeypatch.setattr(_engines, "find_spec", lambda name: ModuleSpec(name, None))
    java = write_logs(tmp_path / "jdk", {"bin/java": b""}) / "bin" / "java"
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    return asked


# --- ingest -----------------------------------------------------------------------------------------------------------


def test_an_archive_by_spark(logs: Path, tmp_path: Path, engines: list[str]) -> None:
    lake = tmp_path / "lake"
    done = as_json("ingest", logs, "--lake", lake, "--engine", "spark")
    assert engines == ["spark"]
    assert (done["objects"], done["skipped"], done["failed"], done["errors"]) == (3, 0, 0, [])
    assert (done["lines"], done["rows"], done["quarantined"], done["duplicates"]) == (70, 66, 4, 20)
    assert done["batches"] == ["0000000001"]
    assert set(as_json("ingest", logs, "--lake", lake)) < set(done)
    code, out, err = accesslake("ingest", logs, "--lake", lake, "--engine", "spark")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith("0 objects taken, 3 skipped, 0 failed")
    assert as_json("audit", "--lake", lake)["ok"] is True


def test_what_an_archive_has_that_cannot_be_read_is_named(logs: Path, tmp_path: Path, engines: list[str]) -> None:
    (logs / "\x1b[31mred.png").write_bytes(PNG)
    code, out, err = accesslake("ingest", logs, "--lake", tmp_path / "lake", "--engine", "spark", "--json")
    assert code == 1
    assert json.loads(out)["failed"] == 1
    assert "red.png: is no text log; left out of batch 0000000001" in one_line(err)
    assert "\x1b" not in err


@pytest.mark.parametrize("engine", ["local", "spark"])
def test_the_objects_of_an_inventory(tmp_path: Path, engines: list[str], engine: str) -> None:
    """The report is read; that its bucket cannot be reached is said of each object."""
    rows = [row("a", bucket="Not A Bucket"), row("b", bucket="Not A Bucket")]
    data = as_csv(rows)
    (tmp_path / "1.csv.gz").write_bytes(data)
    (tmp_path / "manifest.json").write_bytes(manifest("CSV", {"x/data/1.csv.gz": data}, list(rows[0])))
    verb = ("ingest", "--inventory", tmp_path / "manifest.json", "--engine", engine, "--lake", tmp_path / "lake")
    code, _, err = accesslake(*verb)
    assert code == 1
    assert "Not A Bucket" in err
    assert "Traceback" not in err


def test_a_manifest_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b"no json")
    verb = ("ingest", "--inventory", tmp_path / "manifest.json", "--lake", tmp_path / "lake")
    code, _, err = accesslake(*verb)
    assert code == 1
    assert "is no manifest of an S3 Inventory" in one_line(err)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ([], "names no SOURCE and no --inventory"),
        (["logs", "--engine", "spark", "--workers", "2"], "--workers is for --engine local"),
        (["logs", "--engine", "athena"], "'athena' is not one of"),
    ],
)
def test_usage(tmp_path: Path, arguments: list[str], word: str) -> None:
    code, out, err = accesslake("ingest", *arguments, "--lake", tmp_path / "lake")
    assert (code, out) == (2, "")
    assert word in one_line(err)
    assert not (tmp_path / "lake").exists()


def test_many_local_objects_are_counted_before(logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ingest, "_MANY_OBJECTS", 2)
    code, out, err = accesslake("ingest", logs, "--lake", tmp_path / "lake", "--json")
    assert (code, json.loads(out)["objects"]) == (0, 3)
    assert one_line(err) == "accesslake: more than 2 objects; --engine spark takes them side by side"
    monkeypatch.setattr(_ingest, "_MANY_OBJECTS", 3)
    assert accesslake("ingest", logs, "--lake", tmp_path / "lake", "--json")[2] == ""


def test_many_objects_of_a_bucket_are_counted_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one listing, and it is the ingest's own."""
    told: list[str] = []

    def ingest_many(*_: object, on_object: Callable[[IngestedObject], None], **__: object) -> Ingested:
        for number in range(5):
            told.append(f"object {number}")
            on_object(IngestedObject(str(number), 1))
        return Ingested(5, 0, (), 0, 0, 0)

    monkeypatch.setattr(_ingest, "_MANY_OBJECTS", 2)
    monkeypatch.setattr(_ingest, "find_logs", lambda *_, **__: pytest.fail("a second listing"))
    monkeypatch.setattr(_ingest, "ingest_logs", ingest_many)
    monkeypatch.setattr(_ingest, "print_message", told.append)
    accesslake("ingest", "s3://bucket/prefix", "--lake", tmp_path / "lake")
    assert [each for each in told if "--engine spark" in each] == told[3:4]


# --- compact ----------------------------------------------------------------------------------------------------------


def test_compaction_by_spark(tmp_path: Path, engines: list[str]) -> None:
    lake = make_lake(tmp_path)
    assert as_json("compact", "--lake", lake)["rows_out"] == 68
    assert engines == []
    ingest([str(write_logs(tmp_path / "more", {"d.log": log_text(9, seed="d")}))], lake=str(lake), now=DAY_1)
    assert as_json("compact", "--lake", lake, "--engine", "spark")["rows_out"] == 9
    assert engines == ["spark"]


def test_compaction_by_athena_is_for_lakes_that_glue_keeps(
    tmp_path: Path, engines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = accesslake("compact", "--lake", make_lake(tmp_path), "--engine", "athena")
    assert (code, out, engines) == (2, "", [])
    assert re.search(r"--engine athena: Glue does not keep the state of .*/lake", one_line(err))
    kept = tmp_path / "glue"
    make_glue_lake(str(kept), monkeypatch)
    assert as_json("compact", "--lake", kept, "--engine", "athena")["batch"] is None


def test_athena_is_asked_in_the_workgroup_that_is_named(
    tmp_path: Path, engines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "glue"
    make_glue_lake(str(kept), monkeypatch)
    arrive(str(kept), "2024-05-02", {"s3://logs/a": log_text(9, seed="a")})
    done = as_json("compact", "--lake", kept, "--engine", "athena", "--workgroup", "wide")
    assert (done["rows_out"], engines) == (9, ["athena in wide"])


def test_a_lake_that_is_not_there(tmp_path: Path, engines: list[str]) -> None:
    for engine in ("spark", "athena"):
        code, _, err = accesslake("compact", "--lake", tmp_path / "lake", "--engine", engine)
        assert code == 1
        assert "no lake here" in one_line(err)


@pytest.mark.parametrize(
    ("verb", "engine", "extra"),
    [("ingest", "spark", "spark"), ("compact", "spark", "spark"), ("compact", "athena", "pandas")],
)
def test_an_engine_that_is_not_installed_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, engine: str, extra: str
) -> None:
    monkeypatch.setattr(_engines, "find_spec", lambda name: None)
    lake = make_lake(tmp_path)
    sources = [tmp_path / "logs"] if verb == "ingest" else []
    code, out, err = accesslake(verb, *sources, "--lake", lake, "--engine", engine)
    assert (code, out) == (2, "")
    assert f'is not installed (pip install "accesslake[{extra}]")' in one_line(err)


@pytest.mark.parametrize("verb", ["ingest", "compact"])
@pytest.mark.parametrize("home", ["", "/no/such/jdk"], ids=["no Java", "no Java where it should be"])
def test_spark_that_cannot_start_is_usage_and_leaves_nothing_behind(
    logs: Path, tmp_path: Path, engines: list[str], monkeypatch: pytest.MonkeyPatch, verb: str, home: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", home)
    monkeypatch.setenv("PATH", str(tmp_path) if not home else os.environ["PATH"])
    lake = tmp_path / "lake" if verb == "ingest" else make_lake(tmp_path / "made")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = accesslake(verb, *([logs] if verb == "ingest" else []), "--lake", lake, "--engine", "spark")
    assert (code, out, engines) == (2, "", [])
    assert "--engine spark: there is no Java to run (Apache Spark runs on Java 17)" in one_line(err)
    assert sorted(tmp_path.rglob("*")) == before
    # Where spark-submit started the program, there is one.
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "25333")
    assert accesslake(verb, *([logs] if verb == "ingest" else []), "--lake", lake, "--engine", "spark")[0] == 0
    assert engines == ["spark"]


def test_what_a_pending_compaction_left_out_or_took_late_is_told(
    tmp_path: Path, logs: Path, engines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = str(tmp_path / "lake")
    make_glue_lake(lake, monkeypatch)
    arrive(lake, "not a day", {"s3://logs/a": log_text(9, seed="a")})
    arrive(lake, "2024-05-02", {"s3://logs/b": log_text(9, seed="b")})
    (damaged,) = Path(lake).glob("raw/ingest_date=2024-05-02/*.parquet")
    damaged.write_bytes(b"")
    assert read_or_create_plan(open_lake(lake)) is not None
    code, out, err = accesslake("ingest", logs, "--lake", lake, "--engine", "spark", "--json")
    done = json.loads(out)
    assert (code, done["failed"], len(done["stragglers"])) == (1, 1, 1)
    assert done["errors"] == [f"{damaged.relative_to(lake)}: cannot be read; left out of batch 0000000001"]
    assert done["errors"][0] in err
    assert "/a.parquet: came after its day was sealed, and is in a batch now" in err


def test_a_plan_of_log_objects_is_carried_out_by_a_plain_compaction(logs: Path, tmp_path: Path) -> None:
    lake = create_lake(str(tmp_path / "lake"))
    (logs / "b.log").write_bytes(PNG)
    found = [log for log in find_logs([str(logs)]) if not isinstance(log, Exception)]
    named = [PlannedLog(log.source_key, log.location, log.size, version_of(log)) for log in found]
    create_plan(lake, plan_logs(last=lake.keeper.read(), logs=named, ingest_date="2024-05-02"))
    code, out, err = accesslake("compact", "--lake", lake.uri, "--json")
    assert code == 1
    assert json.loads(out)["left_out"] == [str(logs / "b.log")]
    assert "b.log: cannot be read and is left out of batch 0000000001" in one_line(err)
    (logs / "b.log").write_bytes(text(line()))
    assert as_json("ingest", logs, "--lake", lake.uri)["objects"] == 1


def test_the_back_fill_opens_the_lake_whoever_keeps_it(
    logs: Path, tmp_path: Path, engines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_glue_lake(str(tmp_path / "lake"), monkeypatch)
    assert as_json("ingest", logs, "--lake", tmp_path / "lake", "--engine", "spark")["objects"] == 3
    code, _, err = accesslake("ingest", logs, "--lake", tmp_path / "lake")
    assert code == 1
    assert "its state is kept by 'glue'" in one_line(err)
    assert _backfill.BATCH_OBJECTS == 20_000
