"""The raw object that the checks write themselves, beside those of Firehose."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from etl.parse import Parsed
from etl.schema import QUARANTINE_SCHEMA
from etl.sinks import write_parquet
from etl.smoke._delivery import smoke_table

OURS: Final = 29
"""Line number of its row, which has an INT64 time."""


def own_file(source_key: str) -> bytes:
    """A raw object of one row, number `OURS` of `smoke_table`, as the direct sink writes it."""
    parsed = Parsed(smoke_table(source_key).slice(OURS - 1, 1), QUARANTINE_SCHEMA.empty_table())
    with tempfile.TemporaryDirectory(prefix="accesslake-") as folder:
        file = Path(folder, "rows")
        write_parquet([parsed], rows_file=file, quarantine_file=Path(folder, "quarantine"))
        return file.read_bytes()
