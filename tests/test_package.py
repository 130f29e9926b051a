"""The wheel holds everything that the product needs at run time, and nothing needs the repository."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site: Path, *arguments: str) -> str:
    """Run the extracted package; `-P` and the path keep the repository's own out of it."""
    code = f"import sys; sys.path.insert(0, {str(site)!r}); import etl.cli; etl.cli.main(sys.argv[1:])"
    command = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.run(command, cwd=site, check=True, capture_output=True, text=True, timeout=120).stdout


def test_the_queries_are_in_it(installed: Path) -> None:
    listed = json.loads(run(installed, "queries", "--json"))["queries"]
    assert {query["name"] for query in listed} == {
        path.relative_to(ROOT / "queries").with_suffix("").as_posix() for path in (ROOT / "queries").rglob("*.sql")
    }


def test_the_demo_runs_from_it(installed: Path, tmp_path: Path) -> None:
    found = json.loads(run(installed, "demo", "--lake", str(tmp_path / "lake"), "--lines", "1000", "--json"))
    assert found["ingest"]["lines"] == 1094
    assert found["audit"] == {"ok": True}


def test_nothing_else_is_in_it(installed: Path) -> None:
    names = {path.relative_to(installed).parts[0] for path in installed.rglob("*") if path.is_file()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"etl"}
    suffixes = {path.suffix for path in (installed / "etl").rglob("*") if path.is_file()}
    assert suffixes <= {".py", ".sql", ".txt", ".log", ".typed", ".html", ".css", ".properties"}
