"""What the public checkers say of the template: nothing. They run offline, and each in a bounded time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml
from template_values import ROOT, TEMPLATE

SECONDS = 240
REGION = "eu-west-1"
CFN_LINT = Path(sys.executable).with_name("cfn-lint")
SAM = ROOT / ".tools" / "sam" / "bin" / "sam"
CHECKOV = ROOT / ".tools" / "checkov" / "bin" / "checkov"
CHECKOV_RULES = ROOT / "infra" / "checkov.yaml"
OFFLINE = {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "SAM_CLI_TELEMETRY": "0",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
}
"""Nobody is told that the tools ran, and whoever asks the network is refused at once."""


def run(command: Sequence[Path | str], home: Path) -> subprocess.CompletedProcess[str]:
    if not Path(command[0]).exists():
        pytest.skip(f"{Path(command[0]).name} is not installed: make tools")
    environment: Mapping[str, str] = {"PATH": os.environ["PATH"], "HOME": str(home), **OFFLINE}
    return subprocess.run(
        [str(each) for each in command], env=environment, cwd=home, capture_output=True, text=True, timeout=SECONDS
    )


def cfn_lint(template: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return run([CFN_LINT, "--regions", REGION, "us-east-1", "--", template], home)


def sam_validate(template: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return run([SAM, "validate", "--lint", "--template", template], home)


def checkov(template: Path, home: Path, rules: Path = CHECKOV_RULES) -> subprocess.CompletedProcess[str]:
    return run([CHECKOV, "--config-file", rules, "--file", template], home)


@pytest.mark.parametrize("check", [cfn_lint, sam_validate, checkov])
def test_the_template_passes(check: object, tmp_path: Path) -> None:
    assert callable(check)
    done = check(TEMPLATE, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (cfn_lint, "Compression: SNAPPY", "Compression: ZSTD"),
        (sam_validate, "VisibilityTimeout: 1860", "VisibiltyTimeout: 1860"),
        (checkov, "RestrictPublicBuckets: true", "RestrictPublicBuckets: false"),
    ],
)
def test_a_broken_template_does_not(check: object, old: str, new: str, tmp_path: Path) -> None:
    """The tools really ran, and found the template that they were given."""
    text = TEMPLATE.read_text()
    assert old in text
    broken = tmp_path / "template.yaml"
    broken.write_text(text.replace(old, new))
    assert callable(check)
    assert check(broken, tmp_path).returncode != 0


def test_every_check_that_is_left_out_has_a_reason_and_would_fail(tmp_path: Path) -> None:
    text = CHECKOV_RULES.read_text()
    left_out = yaml.safe_load(text)["skip-check"]
    assert re.findall(r"# .+\n  - (CKV_\w+)\n", text) == left_out
    rules = tmp_path / "rules.yaml"
    rules.write_text(text.partition("skip-check:")[0])
    done = checkov(TEMPLATE, tmp_path, rules)
    assert set(re.findall(r"Check: (CKV_\w+)", done.stdout)) == set(left_out)
