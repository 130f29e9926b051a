"""What the tests of compaction share: a lake that was not compacted yet, and what it holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_lakes import Truth, all_files, local_truth, make_lake


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return make_lake(tmp_path)


@pytest.fixture
def truth(lake: Path) -> Truth:
    return local_truth(lake.parent / "logs")


def staged(lake: Path) -> list[str]:
    return [name for name in all_files(lake) if name.startswith("staging/")]
