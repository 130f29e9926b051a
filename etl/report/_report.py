"""The page as a file."""

from __future__ import annotations

from pathlib import Path

from etl.errors import LakeUnusable
from etl.report._charts import load_charts
from etl.report._data import ReportData
from etl.report._page import render_report
from etl.report._read import read_report


def report(lake: str, *, output: Path | str, since: str | None = None, until: str | None = None) -> ReportData:
    """Write one self-contained HTML page about the lake to the file `output`; what is on it.

    In one step: whoever has the page open never sees half of it. `since` and `until` (`YYYY-MM-DD`, `today`, `-7d`) are event
    days, both inclusive. Raises `UsageError` without accesslake[report], `LakeUnusable` if the file cannot be written, and
    whatever reading the lake raises.
    """
    load_charts()
    data = read_report(lake, since=since, until=until)
    page = Path(output)
    try:
        scratch = page.with_name(f".{page.name}.part")
        scratch.write_bytes(render_report(data).encode())
        scratch.replace(page)
    except OSError as error:
        raise LakeUnusable(str(page), error.strerror or str(error)) from error
    return data
