"""What goes wrong while Spark rewrites: tasks that run again, stores that fail, drivers that are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from compact_cases import lake as lake
from compact_cases import staged
from compact_cases import truth as truth
from small_lakes import DAY_1, DAY_2, Truth, add_logs, difference, log_text, read_lake, write_logs
from spark_cases import MISSING, TRIES
from spark_cases import on_spark as on_spark
from spark_cases import spark as spark
from spark_faults import ThenFails, send_whole

from etl.audit import audit
from etl.compact import Rewrite, compact, rewrite
from etl.errors import LakeUnusable, UsageError
from etl.ingest import ingest

HERE = Path(__file__).parent
# PySpark leaves sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def lose(monkeypatch: pytest.MonkeyPatch, name: str, folder: Path, *, times: int) -> None:
    """The first runs of such a task do all of their work and are lost."""
    from etl.spark import _rewrite

    send_whole()
    made = getattr(_rewrite, name)
    folder.mkdir()
    monkeypatch.setattr(_rewrite, name, lambda *rest: ThenFails(made(*rest), str(folder), times))


def test_a_task_that_ran_twice_counts_once(
    lake: Path, truth: Truth, on_spark: Rewrite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("ReadInputs", "WriteFiles", "NameFiles"):
        lose(monkeypatch, name, tmp_path / name, times=1)
    done = compact(str(lake), rewrite=on_spark, now=DAY_1)
    assert (done.rows_in, done.rows_out, done.files) == (68, 68, 2)
    assert difference(read_lake(lake), truth) == ""
    runs = {name.split("/")[4] for name in staged(lake) if "/runs/" in name}
    assert len(runs) == 2, "the lost run left its files in staging"
    assert all(len(list((tmp_path / name).iterdir())) == 1 for name in ("ReadInputs", "WriteFiles", "NameFiles"))


def test_a_store_that_keeps_failing_is_one_clear_error_and_the_next_run_goes_on(
    lake: Path, truth: Truth, on_spark: Rewrite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        lose(patch, "WriteFiles", tmp_path / "lost", times=TRIES)
        with pytest.raises(LakeUnusable, match=r"compaction failed: the machine: went away$"):
            compact(str(lake), rewrite=on_spark, now=DAY_1)
    assert difference(read_lake(lake), truth) == ""
    assert compact(str(lake), rewrite=on_spark, now=DAY_2).rows_out == 68
    assert difference(read_lake(lake), truth) == ""


def test_whoever_interrupts_the_driver_interrupts_the_tasks(lake: Path, truth: Truth, on_spark: Rewrite) -> None:
    def interrupt(done: int, planned: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compact(str(lake), rewrite=on_spark, now=DAY_1, on_rows=interrupt)
    assert difference(read_lake(lake), truth) == ""


def test_executors_reach_a_bucket_with_what_their_environment_says(
    tmp_path: Path, on_spark: Rewrite, spark: Any, monkeypatch: pytest.MonkeyPatch, new_bucket: Callable[[], str]
) -> None:
    for name, value in os.environ.items():
        if name.startswith("AWS_"):
            monkeypatch.setitem(spark.sparkContext.environment, name, value)
    logs = write_logs(tmp_path / "logs", {"a.log": log_text(40, bad_every=9), "b.log": log_text(30, seed="b")})
    uri = f"s3://{new_bucket()}/lake"
    ingest([str(logs)], lake=uri, now=DAY_1)
    truth = read_lake(uri)
    assert compact(uri, rewrite=on_spark, now=DAY_1).rows_out == truth.total() == 66
    assert difference(read_lake(uri), truth) == ""


@pytest.mark.parametrize("point", ["ReadInputs", "WriteFiles", "NameFiles", "Winner"])
def test_a_driver_that_is_killed_leaves_a_lake_that_reads_exactly(
    lake: Path, on_spark: Rewrite, point: str, tmp_path: Path
) -> None:
    """A task ends it while others go on, or it ends itself when all is written and nothing is elected."""
    compact(str(lake), now=DAY_1)
    truth = add_logs(lake, d=log_text(20, seed="d"), e=log_text(20, seed="e", days=4))
    done = subprocess.run(
        [sys.executable, str(HERE / "killed_driver.py"), str(lake), point],
        env={**_environment(), "PYTHONPATH": f"{HERE.parent}:{HERE}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, done.stdout[-2000:]
    assert difference(read_lake(lake), truth) == ""
    ours = [name for name in staged(lake) if name.startswith("staging/0000000002/")]
    assert bool(ours) == (point != "ReadInputs")
    again = compact(str(lake), now=DAY_2, rewrite=on_spark if point == "NameFiles" else rewrite)
    assert (again.batch, again.rows_out) == ("0000000002", 40)
    assert difference(read_lake(lake), truth) == ""
    assert audit(str(lake)).ok


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.parametrize("point", ["ReadInputs", "WriteFiles"])
def test_a_spark_that_is_killed_is_one_clear_error_and_another_can_start(lake: Path, truth: Truth, point: str) -> None:
    """In the same process: nothing of the dead one is asked again. (What its client says to stderr is not ours.)"""
    done = subprocess.run(
        [sys.executable, str(HERE / "killed_spark.py"), str(lake), point],
        env={**_environment(), "PYTHONPATH": f"{HERE.parent}:{HERE}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    said, rows = done.stdout.splitlines()
    assert said.startswith(f"{lake}: compaction failed: Spark ended before its work was done (")
    assert rows == "68"
    assert difference(read_lake(lake), truth) == ""


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("exit 1", "Java gateway process exited"),
        # As on a Java that is too new: it runs, and Spark's context refuses what it finds.
        (
            'exec {java} -Dspark.executor.heartbeatInterval=1h "$@"',
            "java.lang.IllegalArgumentException: requirement failed",
        ),
    ],
)
def test_a_spark_that_cannot_start_is_one_clear_error(lake: Path, tmp_path: Path, does: str, said: str) -> None:
    home = tmp_path / "home/bin"
    home.mkdir(parents=True)
    known = os.environ.get("JAVA_HOME")
    java = f"{known}/bin/java" if known else shutil.which("java")
    (home / "java").write_text(f"#!/bin/sh\n{does.format(java=java)}\n")
    (home / "java").chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "etl.cli", "compact", "--lake", str(lake), "--engine", "spark"],
        env={**_environment(), "JAVA_HOME": str(home.parent)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]  # the scripts that start Spark say something themselves
    assert line.startswith("accesslake: Apache Spark: does not start: ")
    assert said in line
    assert line.endswith("(it runs on Java 17)")


def test_a_session_whose_spark_has_ended_is_refused(lake: Path) -> None:
    pytest.importorskip("pyspark")
    from etl.spark import rewrite_on_spark

    ended = SimpleNamespace(sparkContext=SimpleNamespace(_jsc=None))
    with pytest.raises(UsageError, match=r"^Apache Spark: has ended \("):
        compact(str(lake), rewrite=partial(rewrite_on_spark, session=ended), now=DAY_1)


def test_a_lake_whose_path_has_a_comma_gets_no_folders_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark takes it for a list of folders, and made one for each part."""
    pytest.importorskip("pyspark")
    from etl.spark._session import one_machine

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for scratch, folder in ((Path("/srv/a b/lake"), "/srv/a b/lake"), (Path("/srv/a,b/lake"), str(tmp_path))):
        assert one_machine(workers=1, scratch=scratch)["spark.local.dir"] == folder


def test_on_one_machine_spark_says_nothing(lake: Path, truth: Truth, spark: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "etl.cli", "compact", "--lake", str(lake), "--engine", "spark", "--json"],
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["rows_out"] == 68
    assert difference(read_lake(lake), truth) == ""


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "JAVA_HOME")}
