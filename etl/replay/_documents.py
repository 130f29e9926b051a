"""JSON documents back to rows: the way of `etl.sinks.to_documents`, backwards, with every value checked. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from etl.arrays import texts_to_array, values_to_array
from etl.parse import AMBIGUOUS, CLEAN, SHORT, decode_key
from etl.schema import FIELDS, JSON_KEYS, SCHEMA, Kind

_COLUMNS: Final = {key: field for field in FIELDS if (key := JSON_KEYS.get(field.name))}
_REQUIRED: Final = ("request_time", "source_key", "line_no")
_TIME: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_S3_LAUNCH: Final = datetime(2006, 3, 14, tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BITS: Final = {Kind.INT: 31, Kind.BIGINT: 63}
_STATUSES: Final = frozenset((CLEAN, SHORT, AMBIGUOUS))
_BLANK: Final = " \t\r"

Row = dict[str, Any]


@dataclass(frozen=True)
class Unfit:
    """A document, or a whole record, that is none of ours: where it stands, and why. Never quotes what it holds."""

    position: str
    reason: str


def read_record(record: bytes, *, position: str) -> Iterator[Row | Unfit]:
    """The rows of a packed record, one for each document, in order; what does not fit the schema is told apart.

    Documents may follow each other on a line with nothing between, as Firehose allows. One that cannot be read costs the rest
    of its own line and no more: ours never hold a line feed.
    """
    number = 0
    for line in record.split(b"\n"):
        for document in _documents(line):
            number += 1
            try:
                yield _row(document)
            except ValueError as error:
                yield Unfit(f"{position}, document {number}", str(error))
    if not number:
        yield Unfit(position, "the record holds no document")


def to_table(rows: Iterable[Row]) -> pa.Table:
    """Rows as a table with `etl.SCHEMA`; what documents leave out is derived again."""
    listed = list(rows)
    columns = []
    for field in FIELDS:
        values = [row.get(field.name) for row in listed]
        if field.kind is Kind.STRING:
            columns.append(texts_to_array(values, field.kind.arrow))
        else:
            present = np.array([value is not None for value in values], np.bool_)
            integer = np.int32 if field.kind is Kind.INT else np.int64
            columns.append(
                values_to_array(np.array([value or 0 for value in values], integer), present, field.kind.arrow)
            )
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _documents(line: bytes) -> Iterator[object]:
    """The JSON values of a line; the last one is a `ValueError` if the rest of the line is none."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        yield ValueError("is not UTF-8")
        return
    place = 0
    while text[place:].strip(_BLANK):
        try:
            value, place = _DECODER.raw_decode(text, place + len(text[place:]) - len(text[place:].lstrip(_BLANK)))
        except _RepeatedName:
            yield ValueError("has a name twice")
            return
        except (ValueError, RecursionError):
            yield ValueError("is no JSON")
            return
        yield value


class _RepeatedName(Exception):
    """An object with a name twice: which of the values counts depends on the reader."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RepeatedName
    return found


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object)


def _row(document: object) -> Row:
    """The row that a document stands for. Raises `ValueError` with the reason it stands for none."""
    if isinstance(document, ValueError):
        raise document
    if not isinstance(document, dict):
        raise ValueError("is no JSON object")
    if not document.keys() <= _COLUMNS.keys():
        raise ValueError("has a key that is no column's")
    row: Row = {}
    for key, value in document.items():
        field = _COLUMNS[key]
        if value is not None:
            row[field.name] = _value(field.name, field.kind, value)
    for name in _REQUIRED:
        if name not in row:
            raise ValueError(f"{name} is missing")
    if row["line_no"] < 1:
        raise ValueError("line_no is below 1")
    if row.setdefault("parse_status", CLEAN) not in _STATUSES:
        raise ValueError("parse_status is none that there is")
    key_name = row.get("key_name")
    row["object_key"] = None if key_name is None else decode_key(key_name, row.get("operation"))
    row["event_date"] = (_EPOCH + timedelta(milliseconds=row["request_time"])).date().isoformat()
    return row


def _value(name: str, kind: Kind, value: object) -> object:
    if kind is Kind.STRING:
        if not isinstance(value, str):
            raise ValueError(f"{name} is no text")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError(f"{name} is not UTF-8")
        return value
    if kind is Kind.TIMESTAMP:
        return _milliseconds(name, value)
    if type(value) is not int:
        raise ValueError(f"{name} is no whole number")
    if not -(2 ** _BITS[kind]) <= value < 2 ** _BITS[kind]:
        raise ValueError(f"{name} is too large a number")
    return value


def _milliseconds(name: str, value: object) -> int:
    """Milliseconds since 1970 of the one form that `to_documents` writes."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError(f"{name} is no time as yyyy-MM-dd HH:mm:ss")
    try:
        moment = datetime.fromisoformat(value).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{name} is no time as yyyy-MM-dd HH:mm:ss") from None
    if moment < _S3_LAUNCH:
        raise ValueError(f"{name} is before S3 was there")
    return int((moment - _EPOCH).total_seconds()) * 1000
