"""The product's own exact reader, for the lines that a comparator does not trust itself with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from benchmarks.methods._plain_lines import Ints, Mask
from etl.parse import parse_exact
from etl.schema import WIRE_FIELDS, arrow_schema

WIRE_SCHEMA: pa.Schema = arrow_schema(WIRE_FIELDS)
"""The 27 typed columns that every method gives which claims to be exact."""


def read_exactly(lines: bytes) -> tuple[pa.Table, Ints]:
    """The 27 columns of these lines, and which line (from 0) each row was: a quarantined or blank line is no row."""
    rows = parse_exact(lines, source_key="-").table
    places = rows.column("line_no").to_numpy() - 1
    return rows.select(WIRE_SCHEMA.names), places


@dataclass(frozen=True)
class Part:
    """Some rows of a chunk, the line each was, and which of them stand."""

    rows: pa.Table
    lines: Ints
    stands: Mask


def complete(parts: list[Part], lines: int, take: Callable[[Mask], bytes]) -> pa.Table:
    """The rows of so many lines in input order: those of `parts` that stand, and the exact reader's of every other line.

    `take` gives the text of chosen lines.
    """
    missing = np.ones(lines, np.bool_)
    for part in parts:
        missing[part.lines[part.stands]] = False
    if missing.any():
        rows, places = read_exactly(take(missing))
        parts = [*parts, Part(rows, np.flatnonzero(missing)[places], np.ones(len(rows), np.bool_))]
    elif len(parts) == 1:
        return parts[0].rows
    stands = np.flatnonzero(np.concatenate([part.stands for part in parts]))
    order = stands[np.argsort(np.concatenate([part.lines for part in parts])[stands], kind="stable")]
    return pa.concat_tables([part.rows for part in parts]).combine_chunks().take(pa.array(order))
