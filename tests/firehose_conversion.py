"""JSON documents to Parquet as Firehose converts them: OpenX SerDe, a Glue table's columns, key mappings, INT96 times.

What AWS documents is followed (https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion.html); where it is
silent, the strict reading is taken: a record of which one document cannot be converted is lost whole.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Document = Mapping[str, Any]
_DECODER = json.JSONDecoder(
    object_pairs_hook=lambda pairs: _lower_keys(pairs), parse_constant=lambda name: _refuse_constant(name)
)
_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?Z")
_PLAIN = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2}) ([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:\.([0-9]{1,9}))?")
_MILLIS_FROM = 10**12
"""Numbers below are seconds since 1970, from here on milliseconds."""


class Unconvertible(Exception):
    """A record that goes to the error output."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = f"DataFormatConversion.{code}"
        self.message = message


def _malformed(text: str) -> Unconvertible:
    return Unconvertible("MalformedData", f"Data does not match the schema. {text}")


@dataclass(frozen=True)
class Conversion:
    """A table's columns, and where their values are in a document."""

    columns: Mapping[str, str]
    """Name to Hive type, in the table's order."""
    keys: Mapping[str, str]
    """ColumnToJsonKeyMappings: a column that is not in it has the key of its name."""

    def __post_init__(self) -> None:
        unknown = {kind for kind in self.columns.values() if kind not in _TYPES}
        assert not unknown, f"not converted here: {unknown}"

    def read_record(self, data: bytes) -> list[list[Any]]:
        """The rows of a record's documents, values in the order of the columns; raises `Unconvertible`."""
        return [self._row(document) for document in read_documents(data)]

    def to_parquet(self, rows: Iterable[list[Any]]) -> bytes:
        """A file of these rows, its times INT96."""
        values = list(zip(*rows, strict=True))
        schema = pa.schema([(name, _TYPES[kind][0]) for name, kind in self.columns.items()])
        table = pa.table([pa.array(each, field.type) for each, field in zip(values, schema, strict=True)], schema)
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="snappy", use_deprecated_int96_timestamps=True, store_schema=False)
        return sink.getvalue()

    def _row(self, document: Document) -> list[Any]:
        row = []
        for name, kind in self.columns.items():
            value = document.get(self.keys.get(name, name))
            row.append(None if value is None else _TYPES[kind][1](value))
        return row


def read_documents(data: bytes) -> Iterator[Document]:
    """The JSON objects of a record, one after another, with or without white space between them; keys in lower case."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unconvertible("ParseError", f"Encountered malformed JSON. {error}") from error
    place = _skip(text, 0)
    if place == len(text):
        raise Unconvertible("MalformedData", "The record was empty or contained only whitespace.")
    while place < len(text):
        try:
            value, place = _DECODER.raw_decode(text, place)
        except ValueError as error:
            raise Unconvertible("ParseError", f"Encountered malformed JSON. {error}") from error
        if not isinstance(value, dict):
            raise _malformed(f"A record holds objects, and here is a {type(value).__name__}.")
        yield value
        place = _skip(text, place)


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    assert match is not None
    return match.end()


def _lower_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = {key.lower(): value for key, value in pairs}
    if len(document) != len(pairs):
        raise ValueError("Duplicate key")
    return document


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


# --- Values -----------------------------------------------------------------------------------------------------------


def _to_string(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _to_whole(bits: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise _malformed(f"For input: {value!r}")
        if isinstance(value, str) and not _WHOLE.fullmatch(value):
            raise _malformed(f'For input string: "{value}"')
        number = int(value)
        if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
            raise _malformed(f"Numeric value ({number}) out of range")
        return number

    return convert


def _to_time(value: Any) -> dt.datetime:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _malformed(f"For input: {value!r}")
    try:
        if isinstance(value, str) and (match := _ISO.fullmatch(value) or _PLAIN.fullmatch(value)):
            *parts, fraction = match.groups()
            return dt.datetime(*map(int, parts), microsecond=int((fraction or "0").ljust(6, "0")[:6]))  # type: ignore[misc,arg-type]
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            raise _malformed(f"Timestamp format must be yyyy-mm-dd hh:mm:ss[.fffffffff]: {value}")
        number = float(value)
        return dt.datetime(1970, 1, 1) + dt.timedelta(seconds=number if number < _MILLIS_FROM else number / 1000)
    except (ValueError, OverflowError) as error:
        raise _malformed(str(error)) from error


_TYPES: Mapping[str, tuple[pa.DataType, Callable[[Any], Any]]] = {
    "string": (pa.string(), _to_string),
    "int": (pa.int32(), _to_whole(32)),
    "bigint": (pa.int64(), _to_whole(64)),
    "timestamp": (pa.timestamp("us"), _to_time),
}
"""Hive type to the type it is written as, and how a JSON value becomes one."""
