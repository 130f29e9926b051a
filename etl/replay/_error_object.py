"""What Firehose leaves under errors/ when it cannot convert a record: one JSON object a line. Pure.

https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion-error-handling.html names the members; `ErrorCode` is
today's spelling on that page, `lastErrorCode` an older one that samples still show.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from etl.replay._documents import Row, Unfit, read_record, to_table

_CODE_NAMES: Final = ("ErrorCode", "errorCode", "lastErrorCode")
_NO_CODE: Final = "no error code"


@dataclass(frozen=True)
class ErrorObject:
    """One error object: its bytes, which are taken apart anew each time it is read."""

    data: bytes

    def tables(self) -> Iterator[pa.Table]:
        """The rows of each record, with `etl.SCHEMA`, for every record that has any."""
        for record in self._records():
            rows = [item for item in record if not isinstance(item, Unfit)]
            if rows:
                yield to_table(rows)

    def unfit(self) -> tuple[Unfit, ...]:
        """What of it is no document of ours."""
        return tuple(item for record in self._records() for item in record if isinstance(item, Unfit))

    def codes(self) -> Counter[str]:
        """How many records Firehose gave up for which reason."""
        found: Counter[str] = Counter()
        for _, line in self._lines():
            entry = _entry(line)
            if entry is not None:
                codes = (code for name in _CODE_NAMES if isinstance(code := entry.get(name), str))
                found[next(codes, _NO_CODE)] += 1
        return found

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        return ((number, line) for number, line in enumerate(self.data.split(b"\n"), 1) if line.strip())

    def _records(self) -> Iterator[list[Row | Unfit]]:
        for number, line in self._lines():
            position = f"line {number}"
            entry = _entry(line)
            if entry is None:
                yield [Unfit(position, "is no JSON object")]
                continue
            raw_data = entry.get("rawData")
            try:
                record = base64.b64decode(raw_data, validate=True) if isinstance(raw_data, str) else None
            except (binascii.Error, ValueError):
                record = None
            if record is None:
                yield [Unfit(position, "its rawData is no base64 text")]
            else:
                yield list(read_record(record, position=position))


def read_error_object(data: bytes) -> ErrorObject:
    """The error object of these bytes; whatever they are, what cannot be read is told by `ErrorObject.unfit`."""
    return ErrorObject(data)


def _entry(line: bytes) -> dict[str, object] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
