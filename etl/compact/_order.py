"""The order of rows in compacted files, which all engines share (docs/adr/0010-layout-of-compacted-files.md)."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from etl.arrays import texts_to_array
from etl.parse import CLEAN

_SIGV2: Final = "SigV2"
_SOUGHT_VERSION: Final = texts_to_array([_SIGV2], pa.string())[0]
_USUAL_STATUS: Final = texts_to_array([CLEAN], pa.string())[0]

SOUGHT_FIRST: Final = f"CASE WHEN signature_version = '{_SIGV2}' OR parse_status <> '{CLEAN}' THEN 0 ELSE 1 END"
"""0 for the rows that are looked for most, and are few: signed with Signature Version 2, or in doubt. Together at the start of
their day they leave nothing of the kind in all other row groups, which statistics then exclude."""
FILE_ORDER: Final = ("event_date", SOUGHT_FIRST, "coalesce(bucket_name, '')", "coalesce(operation, '')", "request_time")
"""Expressions in SQL that DuckDB, Spark and Athena read alike. What comes after them decides between equals."""


def is_sought(rows: pa.RecordBatch) -> pa.BooleanArray:
    """Whether each row is one that `SOUGHT_FIRST` puts first; never null."""
    signed = pc.equal(rows.column("signature_version"), _SOUGHT_VERSION)
    doubted = pc.not_equal(rows.column("parse_status"), _USUAL_STATUS)
    return pc.or_kleene(signed, doubted).fill_null(False)
