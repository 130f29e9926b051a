"""The script that AWS Glue runs, on Spark: driver and executors have our code from it, and from nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from small_lakes import make_lake, read_lake
from spark_cases import MISSING

from infra.package import build_spark_job


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_the_script_compacts_with_its_own_code_alone(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    rows = read_lake(lake)
    build_spark_job(tmp_path / "spark_job", tmp_path / "spark_job.py")
    # Without its site folders Python finds no package that is installed as a link, as ours is here.
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    given = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PYTHON", "COV"))}
    settings = "--master local[2] --conf spark.driver.bindAddress=127.0.0.1 --conf spark.driver.host=127.0.0.1"
    given |= {
        "PYSPARK_PYTHON": str(python),
        "PYSPARK_SUBMIT_ARGS": f"{settings} --conf spark.ui.enabled=false pyspark-shell",
        "PYTHONPATH": sysconfig.get_paths()["purelib"],
    }
    done = subprocess.run(
        [python, tmp_path / "spark_job.py", "--JOB_NAME", "rewrite", "--lake", lake, "--lake-region", "eu-west-1"],
        env=given,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    assert (line["what"], line["rows_out"], line["left_out"]) == ("compact", 68, 0)
    assert read_lake(lake) == rows
