"""Findings as rows of the findings table, credentials masked, and each counted once: pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.arrays import repeat_text, texts_to_array, values_to_array
from etl.detect._details import write_details
from etl.detect._sigv2 import OBJECT_DETECTIONS, UNDECIDABLE, Detected
from etl.lake._layout import FINDINGS
from etl.schema import FINDINGS_TABLE

SEVERITIES: Final = ("high", "medium", "low", "info")
"""From the gravest down."""
IDENTITY: Final = ("detection", "source_key", "line_no")
"""What a finding is: the same one found again is the same row."""
FINDINGS_SCHEMA: Final = pa.schema(
    [(name, pa.int64() if kind == "bigint" else pa.string()) for name, kind, _ in FINDINGS_TABLE.columns]
)
_NOTHING: Final = texts_to_array([""], pa.string())[0]
_NUL: Final = texts_to_array(["\0"], pa.string())[0]


def build_findings(rows: pa.Table, *, detection: str, severity: str) -> pa.Table:
    """Rows with `source_key` and `line_no` as findings; all their other columns go into `details`, masked and cut."""
    names = [name for name in rows.column_names if name not in IDENTITY]
    count = rows.num_rows
    columns = [
        repeat_text(detection, count),
        rows.column("source_key"),
        rows.column("line_no"),
        repeat_text(severity, count),
        write_details(rows.select(names)),
    ]
    return pa.table(columns, schema=FINDINGS_SCHEMA)


def build_sigv2_findings(detected: Detected) -> pa.Table:
    """Both kinds of findings of a file, each once."""
    undecidable = detected.undecidable.drop_columns([UNDECIDABLE, "signature_version"])
    tables = [
        build_findings(rows, detection=name, severity=severity)
        for (name, severity), rows in zip(OBJECT_DETECTIONS.items(), (detected.hits, undecidable), strict=True)
    ]
    return fold_findings(pa.concat_tables(tables))


def no_rows(schema: pa.Schema) -> pa.Table:
    """An empty table. `Schema.empty_table` imports pandas where it is installed, which takes a second and memory."""
    return pa.table([pa.nulls(0, field.type) for field in schema], schema=schema)


def fold_findings(findings: pa.Table) -> pa.Table:
    """Each finding once, the first of its kind: a file that was read twice, raw and compacted, says the same twice."""
    return findings.take(_first_places(_identities(findings)))


def fold_rows(rows: pa.Table) -> pa.Table:
    """Each row once, by its place in its log object: Firehose delivers at least once."""
    return rows.take(_first_places(_identities(rows, IDENTITY[1:])))


def identify(findings: pa.Table) -> list[str]:
    """What each finding is, as one text: of a table with the columns `IDENTITY`."""
    identities: list[str] = _identities(findings).to_pylist()
    return identities


def without_known(findings: pa.Table, known: Collection[str]) -> pa.Table:
    """Those findings that are not among the known, as `identify` names them. Time does not depend on how many are known."""
    new = [place for place, each in enumerate(identify(findings)) if each not in known]
    return findings.take(values_to_array(np.array(new, np.int64), None, pa.int64()))


def findings_key(name: str, detected_date: str) -> str:
    """Key of a file of findings that were found on a day."""
    return f"{FINDINGS}detected_date={detected_date}/{name}.parquet"


def object_findings_name(path: str, detections: Iterable[str]) -> str:
    """File name, without folder and ending, of what these detections find in one data file of a lake.

    `path` is the file's key, or any path that ends with it. The name depends on nothing else, so that whoever looks at the file
    again, on any machine, meets the file of findings that is there.
    """
    table = re.search(r"(?:^|/)((?:raw/ingest_date|compacted/event_date)=.*)$", path)
    return _digest("object", table[1] if table else path, *sorted(detections))


def findings_name(findings: pa.Table) -> str:
    """File name of findings that come from no single file: what they are, and not when or where they were found."""
    return _digest("findings", *sorted(identify(findings)))


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(errors="surrogateescape"), digest_size=16).hexdigest()


def _identities(rows: pa.Table, names: Iterable[str] = IDENTITY) -> pa.Array:
    """One text for each row."""
    parts = [rows.column(name).cast(pa.string()) for name in names]
    return pc.binary_join_element_wise(*parts, _NUL).combine_chunks()


def _first_places(texts: pa.Array) -> pa.Array:
    """Where each text stands first. Arrow's own grouping loads pandas where that is installed, which takes 40 MB."""
    codes = pc.fill_null(texts, _NOTHING).dictionary_encode().indices
    numbers = np.frombuffer(codes.buffers()[1], np.int32, len(codes), offset=4 * codes.offset)
    firsts = np.sort(np.unique(numbers, return_index=True)[1]).astype(np.int64)
    return values_to_array(firsts, None, pa.int64())
