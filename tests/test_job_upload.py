"""One command uploads all that the stack needs: SAM takes the job's script with the rest, and the template then points at it."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from ministack import REGION, MiniStack
from ministack import ministack as ministack
from template_values import ROOT, TEMPLATE, read_template

from infra.package import build_spark_job, packaged_template

SAM = ROOT / ".tools" / "sam" / "bin" / "sam"
BUCKET = "uploaded-code"


@pytest.mark.xdist_group("ministack")
@pytest.mark.skipif(not SAM.exists(), reason="sam is not installed: make tools")
def test_sam_uploads_the_script_and_points_the_job_at_it(ministack: MiniStack, tmp_path: Path) -> None:
    build_spark_job(tmp_path / "spark_job", tmp_path / "spark_job.py")
    (tmp_path / "template.yaml").write_text(packaged_template(TEMPLATE.read_text(encoding="utf-8"), "arm64"))
    for name in "parser", "compactor", "layer-arm64", "duckdb-arm64":
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr(name, name)
    s3 = ministack.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    own = {
        "AWS_ENDPOINT_URL": ministack.endpoint,
        "AWS_CA_BUNDLE": str(ministack.certificate),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "SAM_CLI_TELEMETRY": "0",
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [
            SAM,
            "package",
            "--template-file",
            "template.yaml",
            "--s3-bucket",
            BUCKET,
            "--output-template-file",
            "out.yaml",
        ],
        env={"PATH": os.environ["PATH"], **own},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    location = read_template(tmp_path / "out.yaml")["Resources"]["Rewriter"]["Properties"]["Command"]["ScriptLocation"]
    assert location.startswith(f"s3://{BUCKET}/")
    uploaded = s3.get_object(Bucket=BUCKET, Key=location.removeprefix(f"s3://{BUCKET}/"))["Body"].read()
    assert uploaded == (tmp_path / "spark_job.py").read_bytes()
