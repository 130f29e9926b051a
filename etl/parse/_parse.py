"""Bytes of a log object to rows and quarantined lines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from etl.arrays import repeat_text, texts_to_array, values_to_array
from etl.errors import NotALog
from etl.parse._chunk import Tokenizer, leave_uncut, read_chunk
from etl.parse._columns import build_added_columns, build_wire_columns
from etl.parse._tokenize import tokenize
from etl.schema import QUARANTINE_SCHEMA, SCHEMA, WIRE_FIELDS, arrow_schema

CHUNK_BYTES: Final = 1 << 21
"""Bytes parsed at once: large enough that a chunk's fixed costs vanish, small enough to stay near the processor."""
MAX_LINE_BYTES: Final = 1 << 26
"""Bytes without LF after which an object is no log: S3 writes lines of some kilobytes."""


@dataclass(frozen=True)
class Parsed:
    """The lines of one log object, or of a part of it: each non-blank one is in exactly one of the two tables."""

    table: pa.Table
    """Rows, with `etl.SCHEMA`, in input order."""
    quarantine: pa.Table
    """Lines that are no rows: source_key, line_no, reason, raw_line (bytes), in input order."""

    @property
    def lines(self) -> int:
        """Non-blank lines: rows and quarantined lines."""
        return int(self.table.num_rows + self.quarantine.num_rows)


def parse(data: bytes, *, source_key: str) -> Parsed:
    """Parse a whole log object (plain text): every non-blank line becomes a row or a quarantined line.

    `source_key` names the object in the result. Never raises for what a line holds, whatever it is.
    """
    return _parse_whole(data, source_key=source_key, tokenizer=tokenize)


def parse_exact(data: bytes, *, source_key: str) -> Parsed:
    """As `parse`, with the exact reader for every line: the definition that the fast path is held against."""
    return _parse_whole(data, source_key=source_key, tokenizer=leave_uncut)


def parse_stream(parts: Iterable[bytes], *, source_key: str, unused: Collection[str] = ()) -> Iterator[Parsed]:
    """Parse a log object that arrives in parts of any size, in bounded memory: one `Parsed` for every few MiB.

    Of `unused` columns `object_key`, which is worked out from two others at some cost, is left null.

    Raises `NotALog` if the object goes on for more than 64 MiB without a line feed.
    """
    return _parse_parts(parts, source_key=source_key, tokenizer=tokenize, unused=unused)


def parse_fields(data: bytes) -> pa.Table:
    """Only the 27 fields of the lines that are rows: what the speed of other parsers is compared with."""
    schema = arrow_schema(WIRE_FIELDS)
    chunks = (read_chunk(chunk, tokenize) for chunk in _whole_lines([data or b"\n"], source_key="-"))
    tables = [
        pa.Table.from_arrays(build_wire_columns(read.text, read.cuts, read.rows), schema=schema) for read in chunks
    ]
    return pa.concat_tables(tables)


def _parse_whole(data: bytes, *, source_key: str, tokenizer: Tokenizer) -> Parsed:
    parts = list(_parse_parts([data or b"\n"], source_key=source_key, tokenizer=tokenizer))
    if len(parts) == 1:
        return parts[0]
    return Parsed(
        pa.concat_tables([part.table for part in parts]), pa.concat_tables([part.quarantine for part in parts])
    )


def _parse_parts(
    parts: Iterable[bytes], *, source_key: str, tokenizer: Tokenizer, unused: Collection[str] = ()
) -> Iterator[Parsed]:
    first_line_no = 1
    for chunk in _whole_lines(parts, source_key=source_key):
        read = read_chunk(chunk, tokenizer)
        wire = build_wire_columns(read.text, read.cuts, read.rows)
        added = build_added_columns(
            read.text, read.cuts, read.rows, wire, source_key=source_key, first_line_no=first_line_no, unused=unused
        )
        line_nos = np.array([first_line_no + rejected.line for rejected in read.rejected], np.int64)
        quarantine = [
            repeat_text(source_key, len(line_nos)),
            values_to_array(line_nos, None, pa.int64()),
            texts_to_array([rejected.reason for rejected in read.rejected], pa.string()),
            texts_to_array([rejected.raw_line for rejected in read.rejected], pa.binary()),
        ]
        yield Parsed(
            pa.Table.from_arrays([*wire, *added], schema=SCHEMA),
            pa.Table.from_arrays(quarantine, schema=QUARANTINE_SCHEMA),
        )
        first_line_no += len(read.cuts.line_starts)


def _whole_lines(parts: Iterable[bytes], *, source_key: str) -> Iterator[bytes | memoryview]:
    """Cut a stream into chunks of whole lines, each ended by LF. Parts of a few MiB cost the least."""
    rest: list[memoryview] = []
    for part in parts:
        view = memoryview(part)
        begin = 0
        while begin < len(part):
            end = begin + CHUNK_BYTES
            cut = part.rfind(b"\n", begin, end) + 1
            if cut:
                yield b"".join((*rest, view[begin:cut])) if rest else view[begin:cut]
                rest = []
                begin = cut
            else:
                rest.append(view[begin:end])
                begin = end
                if sum(map(len, rest)) > MAX_LINE_BYTES:
                    raise NotALog(source_key, f"no line feed in {MAX_LINE_BYTES >> 20} MiB", hint="not a text log")
    if rest:
        yield b"".join((*rest, b"\n"))
