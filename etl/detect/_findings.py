"""Findings as rows of the findings table, credentials masked, and each counted once: pure."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.arrays import repeat_text, texts_to_array, values_to_array
from etl.detect._sigv2 import OBJECT_DETECTIONS, UNDECIDABLE, Detected
from etl.lake._layout import FINDINGS
from etl.masking import mask
from etl.schema import FINDINGS_TABLE

SEVERITIES: Final = ("high", "medium", "low", "info")
"""From the gravest down."""
IDENTITY: Final = ("detection", "source_key", "line_no")
"""What a finding is: the same one found again is the same row."""
FINDINGS_SCHEMA: Final = pa.schema(
    [(name, pa.int64() if kind == "bigint" else pa.string()) for name, kind, _ in FINDINGS_TABLE.columns]
)
LONGEST: Final = 2048
"""Characters of a value that are kept: a client chooses how long its user agent is."""

_PARAMETER: Final = re.compile(r"(^|[?&;\s\"]|%3[Ff]|%26)([\w.\-]++)(=|%3[Dd]|%253[Dd])([^&\s\"']++)")
_NUL: Final = texts_to_array(["\0"], pa.string())[0]
_SIGNS: Final = ("=", "%3D", "%3d", "%253", "AKIA", "ASIA")
_SECRET: Final = re.compile(r"key|token|secret|passw|pwd|sig|auth|cred|session|jwt", re.IGNORECASE)


@lru_cache(maxsize=4096)
def mask_secrets(text: str) -> str:
    """The text as `etl.masking` leaves it, and without the value of any parameter whose name sounds like a secret.

    Findings are read by more people than logs are, and stay longer: rather one value too many is gone. Linear in the text's
    length; most texts repeat, and most hold nothing that either could find.
    """

    def hide(match: re.Match[str]) -> str:
        opening, name, equals, _ = match.groups()
        return match[0] if _SECRET.search(name) is None else f"{opening}{name}{equals}***"

    if not any(sign in text for sign in _SIGNS):
        return text
    return _PARAMETER.sub(hide, mask(text))


def build_findings(rows: pa.Table, *, detection: str, severity: str) -> pa.Table:
    """Rows with `source_key` and `line_no` as findings; all their other columns go into `details`, masked and cut."""
    names = [name for name in rows.column_names if name not in IDENTITY]
    details = [write_details(row) for row in rows.select(names).to_pylist()]
    count = rows.num_rows
    columns = [
        repeat_text(detection, count),
        rows.column("source_key"),
        rows.column("line_no"),
        repeat_text(severity, count),
        texts_to_array(details, pa.string()),
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


def write_details(row: dict[str, Any]) -> str:
    """A row as one JSON object of ASCII: times as `YYYY-MM-DDTHH:MM:SS.mmmZ`, texts masked and cut, nulls left out."""
    return json.dumps({name: _detail(value) for name, value in row.items() if value is not None})


def _detail(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return f"{value.isoformat(timespec='milliseconds')}Z"
    if isinstance(value, str):
        masked = mask_secrets(value)
        return masked if len(masked) <= LONGEST else masked[: LONGEST - 1] + "…"
    return value


def no_rows(schema: pa.Schema) -> pa.Table:
    """An empty table. `Schema.empty_table` imports pandas where it is installed, which takes a second and memory."""
    return pa.table([pa.nulls(0, field.type) for field in schema], schema=schema)


def fold_findings(findings: pa.Table) -> pa.Table:
    """Each finding once, the first of its kind: a file that was read twice, raw and compacted, says the same twice."""
    return findings.take(_first_places(_identities(findings)))


def fold_rows(rows: pa.Table) -> pa.Table:
    """Each row once, by its place in its log object: Firehose delivers at least once."""
    return rows.take(_first_places(_identities(rows, IDENTITY[1:])))


def without_known(findings: pa.Table, known: pa.Table) -> pa.Table:
    """Those findings that are not among the known, which need no more columns than `IDENTITY`."""
    return findings.filter(pc.invert(pc.is_in(_identities(findings), value_set=_identities(known))))


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
    return _digest("findings", *sorted(_identities(findings).to_pylist()))


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(errors="surrogateescape"), digest_size=16).hexdigest()


def _identities(rows: pa.Table, names: Iterable[str] = IDENTITY) -> pa.Array:
    """One text for each row."""
    parts = [rows.column(name).cast(pa.string()) for name in names]
    return pc.binary_join_element_wise(*parts, _NUL).combine_chunks()


def _first_places(texts: pa.Array) -> pa.Array:
    numbered = pa.table([texts, values_to_array(np.arange(len(texts)), None, pa.int64())], names=["text", "place"])
    firsts = numbered.group_by("text", use_threads=False).aggregate([("place", "min")]).column("place_min")
    return firsts.take(pc.sort_indices(firsts))
