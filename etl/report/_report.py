"""The page as a file."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from etl.errors import LakeUnusable
from etl.report._charts import load_charts
from etl.report._data import ReportData
from etl.report._page import render_report
from etl.report._read import read_report


def report(
    lake: str, *, output: Path | str | IO[bytes], since: str | None = None, until: str | None = None
) -> ReportData:
    """Write one self-contained HTML page about the lake to the file `output`, a path or an open one; what is on it.

    To a path in one step: whoever has the page open never sees half of it. `since` and `until` (`YYYY-MM-DD`, `today`, `-7d`) are
    event days, both inclusive. Raises `UsageError` without accesslake[report], `LakeUnusable` if the file cannot be written, and
    whatever reading the lake raises.
    """
    load_charts()
    data = read_report(lake, since=since, until=until)
    page = render_report(data).encode()
    if not isinstance(output, (str, Path)):
        output.write(page)
        return data
    path = Path(output)
    try:
        scratch = path.with_name(f".{path.name}.part")
        scratch.write_bytes(page)
        scratch.replace(path)
    except OSError as error:
        raise LakeUnusable(str(path), error.strerror or str(error)) from error
    return data
