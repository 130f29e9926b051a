"""Documents to records, records to calls: what Firehose's limits and prices ask for. Pure.

Firehose bills each record in steps of 5 KB, and conversion on the same rounded bytes, so one document a record costs some
seven times as much as a full record (https://aws.amazon.com/firehose/pricing/). Several JSON documents in one record are valid
input for the conversion (https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from etl.arrays import text_of

RECORD_DOCUMENTS: Final = 500
"""The published cap of documents in a record that is taken apart again."""
RECORD_BYTES: Final = 255_000
"""Bytes at which a record is full: just below a step of 5,000 and little below one of 5,120 (which of the two is billed is not
documented), so that rounding loses less than half a percent; and one bad record costs few rows."""
MAX_RECORD_BYTES: Final = 1_024_000
"""Firehose's own limit, before base64 (https://docs.aws.amazon.com/firehose/latest/APIReference/API_Record.html)."""


@dataclass(frozen=True)
class Record:
    """One record: its bytes, how many documents they are, and whose."""

    data: bytes
    documents: int
    owners: frozenset[str]


class Packer:
    """Fills records with documents as they come; a record may hold documents of several owners.

    Small log objects share records: that is what makes packing pay where each has ten lines.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._bytes = 0
        self._documents = 0
        self._owners: set[str] = set()

    def add(self, documents: pa.StringArray, owner: str) -> Iterator[Record]:
        """Take documents of an owner, none longer than `MAX_RECORD_BYTES`; yields the records that are full."""
        data, ends = text_of(documents)
        place = begin = 0
        while place < len(ends):
            fits = int(np.searchsorted(ends, begin + RECORD_BYTES - self._bytes, side="right"))
            take = min(fits, place + RECORD_DOCUMENTS - self._documents)
            if take <= place:
                if self._documents:
                    yield from self.flush()
                    continue
                take = place + 1  # longer than a record should be, and allowed
            end = int(ends[take - 1])
            self._parts.append(data[begin:end].tobytes())
            self._bytes += end - begin
            self._documents += take - place
            self._owners.add(owner)
            place, begin = take, end

    def flush(self) -> Iterator[Record]:
        """Yields the record that is not full yet, if there is one."""
        if self._documents:
            yield Record(b"".join(self._parts), self._documents, frozenset(self._owners))
            self._parts, self._bytes, self._documents, self._owners = [], 0, 0, set()
