"""The Firehose sink: rows to packed JSON records, delivered at least once or reported."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable
from itertools import count
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from etl.arrays import bools_to_array, text_of
from etl.errors import first_line
from etl.lake import ObjectStore, quarantine_key, raw_key
from etl.parse import Parsed
from etl.schema import QUARANTINE_SCHEMA, SCHEMA
from etl.sinks._documents import to_documents
from etl.sinks._pack import MAX_RECORD_BYTES, Packer, Record
from etl.sinks._parquet import TableFile
from etl.sinks._scratch import scratch_files
from etl.sinks._sink import Delivered, Written

CALL_RECORDS: Final = 500
"""Records of one PutRecordBatch call (https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html)."""
CALL_BYTES: Final = 3 << 20
"""Bytes of one call: below the 4 MiB of that page also if they were counted after base64, which it leaves open."""
_FIRST_DELAY_SECONDS: Final = 0.1
_MAX_DELAY_SECONDS: Final = 10.0
_MAX_DOUBLINGS: Final = 10
_CALL_SECONDS: Final = 20.0
"""Time that one more call may take; with less than that left, no call is made."""
_HOPELESS: Final = frozenset(
    (
        *("AccessDenied", "AccessDeniedException", "InvalidArgumentException", "InvalidSourceException"),
        *("ResourceNotFoundException", "UnrecognizedClientException", "ValidationException"),
    )
)
"""Error codes that the same call will get again."""


class FirehoseClient(Protocol):
    """What of boto3's client is needed."""

    def put_record_batch(self, **arguments: Any) -> Any:
        """https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html."""


class FirehoseSink:
    """Packs the rows of many log objects into records, and sends them until each is accepted or the time is up.

    A record is lost to its owners, all of them, unless Firehose said that it has it: a timeout may have delivered it, and then
    its rows come twice, which compaction folds. Rows too large for a record are written to raw/ directly.
    """

    def __init__(
        self,
        client: FirehoseClient,
        stream: str,
        store: ObjectStore,
        *,
        ingest_date: str,
        seconds_left: Callable[[], float],
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.unused: Collection[str] = ("object_key",)
        self.delivered = Delivered()
        self.errors: list[str] = []
        self._client = client
        self._stream = stream
        self._store = store
        self._ingest_date = ingest_date
        self._seconds_left = seconds_left
        self._sleep = sleep
        self._uniform = uniform
        self._packer = Packer()
        self._call: list[Record] = []
        self._lost: set[str] = set()

    def write(self, parts: Iterable[Parsed], *, name: str, owner: str) -> Written:
        """Pack and send the rows, and put what is no row, or no document, where it belongs.

        Raises `LakeUnusable` if the lake takes no more.
        """
        lines = rows = 0
        with (
            scratch_files(self._store) as (large_file, quarantine_file),
            TableFile(large_file, SCHEMA) as large,
            TableFile(quarantine_file, QUARANTINE_SCHEMA) as quarantine,
        ):
            for part in parts:
                lines += part.lines
                rows += part.table.num_rows
                quarantine.add(part.quarantine)
                large.add(self._pack(part.table, owner))
            is_large, quarantined = bool(large.flush()), quarantine.flush()
            large.close()
            quarantine.close()
            if quarantined:
                self._store.move_in(quarantine_key(name, self._ingest_date), quarantine_file)
            if is_large:
                self._store.move_in(raw_key(name, self._ingest_date), large_file)
        return Written(lines, rows, quarantined)

    def finish(self) -> frozenset[str]:
        """Send what is held back."""
        self._take(self._packer.flush())
        self._send()
        return frozenset(self._lost)

    def _pack(self, rows: pa.Table, owner: str) -> pa.Table:
        """Pack rows; those whose document no record can hold are given back."""
        documents = to_documents(rows)
        _, ends = text_of(documents)
        too_large = np.diff(ends, prepend=0) > MAX_RECORD_BYTES
        if not too_large.any():
            self._take(self._packer.add(documents, owner))
            return rows.slice(0, 0)
        self._take(self._packer.add(documents.filter(bools_to_array(~too_large)), owner))
        return rows.filter(bools_to_array(too_large))

    def _take(self, records: Iterable[Record]) -> None:
        for record in records:
            size = _bytes(self._call) + len(record.data)
            if self._call and (len(self._call) == CALL_RECORDS or size > CALL_BYTES):
                self._send()
            self._call.append(record)

    def _send(self) -> None:
        """Send the records of the call; what is not accepted is lost to its owners."""
        call, self._call = self._call, []
        refused, retried = self._deliver(call)
        self._lost.update(*(record.owners for record in refused))
        self.delivered = Delivered(
            self.delivered.documents + _documents(call) - _documents(refused),
            self.delivered.records + len(call) - len(refused),
            self.delivered.retried + retried,
            self.delivered.bytes + _bytes(call) - _bytes(refused),
        )

    def _deliver(self, pending: list[Record]) -> tuple[list[Record], int]:
        """Send records until all are accepted: those that were not, and how many were sent again.

        Only refused records are sent again, after a wait of full jitter
        (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
        """
        from botocore.exceptions import ClientError  # who has a client has loaded it

        retried = 0
        last_trouble = ""
        for attempt in count():
            if not pending:
                break
            delay = (
                self._uniform(0, min(_MAX_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2 ** min(attempt, _MAX_DOUBLINGS)))
                if attempt
                else 0.0
            )
            if self._seconds_left() - delay < _CALL_SECONDS:
                self._note(f"no time was left to send all records{last_trouble}")
                break
            if attempt:
                self._sleep(delay)
                retried += len(pending)
            try:
                answer = self._client.put_record_batch(
                    DeliveryStreamName=self._stream, Records=[{"Data": record.data} for record in pending]
                )
                pending = _refused(pending, answer)
            except ClientError as error:
                if error.response["Error"]["Code"] in _HOPELESS:
                    self._note(first_line(error))
                    break
            except Exception as error:  # a timeout, an answer that is none: the records may have been taken, or not
                last_trouble = f" ({type(error).__name__}: {first_line(error)})"
        return pending, retried

    def _note(self, reason: str) -> None:
        if reason not in self.errors:
            self.errors.append(reason)


def _documents(records: list[Record]) -> int:
    return sum(record.documents for record in records)


def _bytes(records: list[Record]) -> int:
    return sum(len(record.data) for record in records)


def _refused(records: list[Record], answer: Any) -> list[Record]:
    """The records that Firehose did not say it has; its answers come in their order."""
    said = answer["RequestResponses"]
    if len(said) != len(records):
        return records
    return [record for record, one in zip(records, said, strict=True) if not one.get("RecordId")]
