"""Lakes with something to replay: lines that an older parser could not read, and error objects as Firehose writes them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from small_lakes import DAY_1, line, log_text, text, write_logs

from etl import Parsed, parse
from etl.ingest import _object, ingest
from etl.schema import QUARANTINE_SCHEMA
from etl.sinks import to_documents

NEW = b"new-layout"
"""Lines that hold this are unreadable to the older parser."""


def older_parse_stream(parts: Iterable[bytes], *, source_key: str) -> Iterator[Parsed]:
    lines = b"".join(parts).split(b"\n")
    known = parse(b"\n".join(b"" if NEW in each else each for each in lines), source_key=source_key)
    refused = [
        {"source_key": source_key, "line_no": number, "reason": "fields", "raw_line": each}
        for number, each in enumerate(lines, 1)
        if NEW in each
    ]
    quarantine = pa.concat_tables([known.quarantine, pa.Table.from_pylist(refused, QUARANTINE_SCHEMA)])
    yield Parsed(known.table, quarantine.sort_by("line_no"))


def older_lake(folder: Path) -> Path:
    """A lake in `folder/lake` of `folder/logs`, made by the older parser: 9 lines are rows only to today's, 8 to neither."""
    new = [line(key=f"k{number}", agent=NEW.decode(), request_id=f"N{number}") for number in range(7)]
    logs = write_logs(
        folder / "logs",
        {
            "a.log": log_text(20, seed="a", bad_every=6) + text(*new, b"", b"no line"),
            "b.log": text(*(line(key="b", agent=NEW.decode(), request_id=f"M{number}") for number in range(2))),
            "c.log": log_text(20, seed="c", bad_every=5),
            "d.log": log_text(10, seed="d"),
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_object, "parse_stream", older_parse_stream)
        ingest([str(logs)], lake=str(folder / "lake"), now=DAY_1)
    return folder / "lake"


def entry(record: bytes, *, spelling: str = "ErrorCode", code: str = "DataFormatConversion.ParseError") -> bytes:
    """A line of an error object, as https://docs.aws.amazon.com/firehose/latest/dev/ describes it."""
    found = {
        "attemptsMade": 1,
        "arrivalTimestamp": 1714600000000,
        spelling: code,
        spelling.replace("Code", "Message"): "Encountered malformed JSON.",
        "attemptEndingTimestamp": 1714600900000,
        "rawData": base64.b64encode(record).decode(),
        "sequenceNumber": "49600000000000000000000000000000000000000000000000000000",
        "subSequenceNumber": "0",
        "dataCatalogTable": {"databaseName": "logs", "tableName": "access_logs_raw", "versionId": "LATEST"},
    }
    return json.dumps(found).encode() + b"\n"


def record_of(table: pa.Table) -> bytes:
    """A packed record of the rows."""
    return "".join(to_documents(table).to_pylist()).encode()


def put_errors(lake: Path, *entries: bytes, name: str = "stream-1-2024-05-02-10-00-00-0") -> Path:
    path = lake / "errors" / "format-conversion-failed" / "2024-05-02" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(entries))
    return path
