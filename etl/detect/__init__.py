"""What to look into: requests signed with Signature Version 2, their neighbours in SQL, and what was found, counted once.

`detect_sigv2` is the detector over Arrow, `detect_file` the same over a Parquet file; they need no engine. `detect` runs
every detection over a lake. ``docs/detections.md`` says what each means.
"""

from etl.detect._book import read_findings, write_findings
from etl.detect._clients import Client, advise, read_client
from etl.detect._days import files_of_days, join_detected, within_days
from etl.detect._details import mask_secrets
from etl.detect._detect import LakeFindings, detect
from etl.detect._detections import find_detections, run_detection
from etl.detect._findings import (
    FINDINGS_SCHEMA,
    SEVERITIES,
    build_findings,
    build_sigv2_findings,
    findings_key,
    fold_findings,
    object_findings_name,
)
from etl.detect._inventory import (
    GONE_AFTER_DAYS,
    INVENTORY_SCHEMA,
    Migration,
    merge_inventories,
    plan_migration,
    take_inventory,
)
from etl.detect._lines import render_line, write_lines, write_undecidable_lines
from etl.detect._metrics import measure
from etl.detect._read import detect_file
from etl.detect._sigv2 import OBJECT_DETECTIONS, SHOWN, Detected, detect_sigv2

__all__ = [
    "FINDINGS_SCHEMA",
    "GONE_AFTER_DAYS",
    "INVENTORY_SCHEMA",
    "OBJECT_DETECTIONS",
    "SEVERITIES",
    "SHOWN",
    "Client",
    "Detected",
    "LakeFindings",
    "Migration",
    "advise",
    "build_findings",
    "build_sigv2_findings",
    "detect",
    "detect_file",
    "detect_sigv2",
    "files_of_days",
    "find_detections",
    "findings_key",
    "fold_findings",
    "join_detected",
    "mask_secrets",
    "measure",
    "merge_inventories",
    "object_findings_name",
    "plan_migration",
    "read_client",
    "read_findings",
    "render_line",
    "run_detection",
    "take_inventory",
    "within_days",
    "write_findings",
    "write_lines",
    "write_undecidable_lines",
]
