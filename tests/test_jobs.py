"""What the job of a Spark cluster does with its arguments, and what it tells; the engine is one that needs no Spark."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from datetime import timedelta
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from small_lakes import log_text, make_lake, read_lake, write_logs

from etl.compact import DEFAULT_GRACE, DEFAULT_SEAL_DELAY, DEFAULT_TARGET_BYTES, MAX_TARGET_MIB, rewrite
from etl.errors import AccessLakeError, BadParameter, LakeUnusable
from etl.jobs import Job, read_arguments, run_job
from etl.lake import create_lake
from infra.generate_template import LOCK, SPARK_PACKAGES, spark_modules
from infra.package import ROOT, build_spark_job

GLUES = [
    "--JOB_NAME",
    "stack-rewrite",
    "--JOB_RUN_ID",
    "jr_1",
    "--enable-metrics",
    "true",
    "--job-bookmark-option",
    "x",
]
"""What Glue puts between our arguments."""


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


# --- Arguments --------------------------------------------------------------------------------------------------------


def test_arguments_are_read_among_those_of_glue() -> None:
    given = [*GLUES, "--verb", "ingest", "--lake", "s3://lake/a", "--sources", "s3://logs/a/ 's3://logs/b c/'"]
    given += [
        "--inventories",
        "s3://reports/manifest.json",
        "--target-mib",
        "64",
        "--grace-days",
        "0",
        "--TempDir",
        "s3://t",
    ]
    assert read_arguments(given) == Job(
        "ingest",
        "s3://lake/a",
        ("s3://logs/a/", "s3://logs/b c/"),
        ("s3://reports/manifest.json",),
        target_mib=64,
        grace_days=0,
    )


def test_the_defaults_are_those_of_the_command_line() -> None:
    assert read_arguments(["--lake", "l"]) == Job(
        "compact",
        "l",
        target_mib=DEFAULT_TARGET_BYTES >> 20,
        grace_days=DEFAULT_GRACE.days,
        seal_hours=DEFAULT_SEAL_DELAY // timedelta(hours=1),
    )


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["--lake"],
        ["--lake", "l", "--verb", "delete"],
        ["--lake", "l", "--verb", "ingest"],
        ["--lake", "l", "--sources", "s3://logs/"],
        ["--lake", "l", "--verb", "ingest", "--sources", "'"],
        ["--lake", "l", "--grace-days", "-1"],
        ["--lake", "l", "--target-mib", "0"],
        ["--lake", "l", "--target-mib", str(MAX_TARGET_MIB + 1)],
        ["--lake", "l", "--target-mib", "9" * 30],
        ["--lake", "l", "--seal-hours", "²"],
    ],
)
def test_arguments_that_mean_nothing_fail_the_run_before_anything_happens(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadParameter):
        read_arguments(given)
    with pytest.raises(AccessLakeError):
        run_job(given)
    assert [line["level"] for line in told(capsys)] == ["ERROR"]


# --- Runs -------------------------------------------------------------------------------------------------------------


def test_it_compacts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = make_lake(tmp_path)
    rows = read_lake(lake)
    run_job([*GLUES, "--lake", str(lake)], rewrite=rewrite)
    (line,) = told(capsys)
    assert (line["level"], line["what"], line["rows_out"], line["left_out"]) == ("INFO", "compact", 68, 0)
    assert read_lake(lake) == rows
    run_job(["--lake", str(lake)], rewrite=rewrite)
    assert told(capsys)[0]["batch"] is None


def test_it_takes_an_archive_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = {"2024-05-01-a": log_text(40, bad_every=10), "2024-05-01-b": log_text(20, seed="y")}
    folder, lake = write_logs(tmp_path / "logs", logs), tmp_path / "lake"
    given = ["--verb", "ingest", "--lake", str(lake), "--sources", str(folder)]
    run_job(given, rewrite=rewrite)
    *_, done = told(capsys)
    assert (done["what"], done["objects"], done["lines"], done["failed"], done["batches"]) == ("ingest", 2, 60, 0, 1)
    assert done["lines"] == done["rows"] + done["quarantined"]
    assert read_lake(lake).total() == done["rows"]
    run_job(given, rewrite=rewrite)
    *_, again = told(capsys)
    assert (again["objects"], again["skipped"]) == (0, 2)


def test_what_is_left_out_fails_the_run_and_the_rest_is_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = {"2024-05-01-a": log_text(40), "2024-05-01-b": b"\x1f\x8bno gzip\n"}
    folder, lake = write_logs(tmp_path / "logs", logs), tmp_path / "lake"
    with pytest.raises(AccessLakeError, match="1 objects cannot be read"):
        run_job(["--verb", "ingest", "--lake", str(lake), "--sources", str(folder)], rewrite=rewrite)
    *_, named = told(capsys)
    assert (named["level"], named["what"]) == ("ERROR", "left out")
    assert "2024-05-01-b" in named["object"]
    assert read_lake(lake).total() == 40


def test_a_raw_file_that_is_left_out_fails_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = make_lake(tmp_path)
    damaged = lake / "raw" / "ingest_date=2024-05-02" / "damaged.parquet"
    damaged.parent.mkdir(parents=True, exist_ok=True)
    damaged.write_bytes(b"PAR1 no PAR1")
    with pytest.raises(AccessLakeError, match="left out"):
        run_job(["--lake", str(lake)], rewrite=rewrite)
    done, named = told(capsys)
    assert (done["rows_out"], done["left_out"]) == (68, 1)
    assert named["object"].endswith("damaged.parquet")


def test_a_failure_is_one_line_without_credentials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = make_lake(tmp_path)

    def fail(*_: Any, **__: Any) -> Any:
        raise LakeUnusable("s3://lake", "GET /?X-Amz-Signature=0123456789abcdef\n  at somewhere")

    with pytest.raises(AccessLakeError) as raised:
        run_job(["--lake", str(lake)], rewrite=fail)
    (line,) = told(capsys)
    assert (line["level"], line["what"]) == ("ERROR", "failed")
    for text in str(raised.value), line["reason"]:
        assert "0123456789abcdef" not in text
        assert "\n" not in text
    assert raised.value.__suppress_context__


# --- What is deployed -------------------------------------------------------------------------------------------------

NO_SPARK = """
import os, sys

class SparkContext:
    environment = {}

    @classmethod
    def getOrCreate(cls):
        return cls()

    def addPyFile(self, file):
        with open(file, "rb") as archive, open("shipped.zip", "wb") as copy:
            copy.write(archive.read())
"""
AFTER = """
import os, pyspark, etl.jobs, etl.spark
assert etl.jobs.__file__.endswith("accesslake.zip/etl/jobs/__init__.py"), etl.jobs.__file__
assert pyspark.SparkContext.environment == {"AWS_DEFAULT_REGION": "eu-west-1"}
assert os.environ["AWS_DEFAULT_REGION"] == "eu-west-1"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    build_spark_job(folder / "spark_job", folder / "spark_job.py")
    return folder / "spark_job.py"


def test_the_script_runs_its_own_code_and_ships_it(script: Path, tmp_path: Path) -> None:
    """Beside a `pyspark` that does nothing, as a batch without rows needs no engine."""
    lake = tmp_path / "lake"
    create_lake(str(lake))
    (tmp_path / "pyspark.py").write_text(NO_SPARK)
    (tmp_path / "run.py").write_text(f"{script.read_text()}\n{AFTER}")
    done = subprocess.run(
        [sys.executable, "run.py", *GLUES, "--lake", str(lake), "--lake-region", "eu-west-1"],
        env={key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["batch"] is None
    names = zipfile.ZipFile(tmp_path / "shipped.zip").namelist()
    assert {"etl/jobs/_run.py", "etl/spark/_read.py", "etl/backfill/_backfill.py", "etl/catalog/_keeper.py"} <= set(
        names
    )
    assert not [name for name in names if name.startswith(("etl/cli/", "etl/lambdas/", "etl/query/", "infra/"))]


def test_the_script_is_the_same_whenever_it_is_built(script: Path, tmp_path: Path) -> None:
    build_spark_job(tmp_path / "again", tmp_path / "again.py")
    assert (tmp_path / "again.py").read_bytes() == script.read_bytes()
    assert script.stat().st_size < 1 << 20
    (encoded,) = re.findall(r'^ARCHIVE = """(.+?)"""$', script.read_text(), re.DOTALL | re.MULTILINE)
    assert zipfile.ZipFile(io.BytesIO(base64.b64decode(encoded))).testzip() is None


def test_every_package_that_the_job_needs_is_named_with_its_version() -> None:
    """Those that its packages need too, so that nothing is chosen when it starts."""
    here = {"python_version": "3.11", "extra": ""}
    needed = {
        requirement.name
        for name in SPARK_PACKAGES
        for requirement in map(Requirement, requires(name) or [])
        if requirement.marker is None or requirement.marker.evaluate(here)
    }
    assert needed <= set(SPARK_PACKAGES)
    pins = dict(pin.split("==") for pin in spark_modules(LOCK.read_text()).split(","))
    assert list(pins) == sorted(SPARK_PACKAGES)
    for name, version in pins.items():
        assert re.search(rf"^{name}=={re.escape(version)}( ;.*)? \\$", LOCK.read_text(), re.MULTILINE)


def test_a_package_that_is_not_locked_once_is_an_error() -> None:
    lock = LOCK.read_text()
    with pytest.raises(ValueError, match="duckdb 0 times"):
        spark_modules(lock.replace("\nduckdb==", "\nduckdb2=="))
    with pytest.raises(ValueError, match="numpy 2 times"):
        spark_modules(lock.replace("python_full_version >= '3.12'", "python_full_version >= '3.11'"))


def test_the_script_has_a_place_for_the_code() -> None:
    assert (ROOT / "infra" / "spark_job.py").read_text().count('\nARCHIVE = ""\n') == 1
