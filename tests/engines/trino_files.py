"""Trino's files: fetched once with Maven, verified as a whole, kept outside the repository."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

VERSION = "435"
"""The last one for Java 17."""
SHA256 = "2d043b3d45e41f1f34caf59548ea11b16c0133ba1dcc85b774b681674e73bfda"
"""Of all its files: of the lines `<sha256 of a file>  <its path>`, sorted by path."""
POM = Path(__file__).parent / "trino/pom.xml"
FETCH_SECONDS = 600


def trino_files() -> Path:
    """The folder with `lib` and `plugin`; fetched if it is not there yet."""
    cache = Path(os.environ.get("ACCESSLAKE_CACHE") or Path.home() / ".cache/accesslake")
    # By its digest: other files would be another folder.
    place = cache / f"trino-{VERSION}-{SHA256[:12]}"
    if place.is_dir():
        return place
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".trino-", dir=cache) as scratch:
        target = Path(scratch) / "trino"
        _fetch(target)
        found = digest(target)
        if found != SHA256:
            pytest.fail(f"Trino {VERSION} is not what it was: SHA-256 {found}")
        try:
            target.rename(place)
        except OSError:
            # Another run was faster, with the same files.
            assert place.is_dir()
    return place


def _fetch(target: Path) -> None:
    program = shutil.which("mvn")
    if program is None:
        pytest.fail("Maven fetches Trino: apt-get install maven openjdk-17-jdk-headless")
    command = [program, "--batch-mode", "--quiet", "--file", str(POM), f"-Dtarget={target}", "validate"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    if done.returncode:
        pytest.fail(f"Maven could not fetch Trino {VERSION}:\n{(done.stdout + done.stderr)[-3000:]}")
    shutil.rmtree(target / "unpacked")


def digest(folder: Path) -> str:
    """The SHA-256 of what is in a folder, names included."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            whole.update(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.relative_to(folder)}\n".encode())
    return whole.hexdigest()
