"""A Firehose of our own: it enforces AWS's limits, buffers, converts to Parquet, and fails as the test's script says.

Emulators take batches that AWS refuses, never refuse a record, and write each record at once. Limits and answers are those of
https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html; names of objects are those of
https://docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html.
"""

from __future__ import annotations

import base64
import datetime as dt
import itertools
import json
import re
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError
from firehose_conversion import Conversion, Unconvertible

CALL_RECORDS = 500
CALL_BYTES = 4 << 20
RECORD_BYTES = 1_024_000
MIN_CONVERTED_MB, MAX_MB = 64, 128
EVERY = range(CALL_RECORDS)
TIMEOUT = "timeout"
THROTTLED = "ServiceUnavailableException"
_CONVERSION_FAILED = "format-conversion-failed"
_EXPRESSION = re.compile(r"!\{([^:}]+):([^}]*)\}")
_PATTERN = re.compile(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']+")
_STRFTIME = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}


@dataclass(frozen=True)
class Answer:
    """What one call does: the records that it does not take, by index, and what the caller is told."""

    dropped: Collection[int] = ()
    error: str = ""
    """Empty: an answer for each record. `TIMEOUT`: none at all. Else the code of the error that is thrown."""


ACCEPT = Answer()
THROTTLE = Answer(EVERY, THROTTLED)


@dataclass
class FirehoseStandIn:
    """A delivery stream with boto3's `put_record_batch`; what it delivers goes to `put(key, data)`.

    `destination` is an ExtendedS3DestinationConfiguration as the template and the API have it, `columns` those of the Glue table.
    `clock` gives aware datetimes. The script's answers are given in their order, and after them every call is accepted. A call
    against the limits is refused without using up an answer.
    """

    name: str
    destination: Mapping[str, Any]
    columns: Iterable[Mapping[str, str]]
    put: Callable[[str, bytes], None]
    clock: Callable[[], dt.datetime]
    script: Iterable[Answer] = ()
    error_fields: tuple[str, str] = ("ErrorCode", "ErrorMessage")
    """Former pages and streams have ("lastErrorCode", "lastErrorMessage")."""
    bytes_per_mb: int = 1 << 20
    """Smaller, a buffer fills with less data."""
    calls: list[list[bytes]] = field(default_factory=list)
    """The records of every call that was within the limits."""
    taken: list[bytes] = field(default_factory=list)
    """The records that will be delivered."""
    violations: list[str] = field(default_factory=list)
    """Calls that AWS would have refused as wrong."""
    _buffer: list[tuple[dt.datetime, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        _check_destination(self.destination)
        self.script = iter(self.script)
        deserializer = self._conversion_settings("InputFormatConfiguration", "Deserializer").get("OpenXJsonSerDe", {})
        self.conversion = Conversion(
            {column["Name"]: column["Type"] for column in self.columns}, deserializer.get("ColumnToJsonKeyMappings", {})
        )
        self._numbers = itertools.count()

    # --- Taking -------------------------------------------------------------------------------------------------------

    def put_record_batch(self, **arguments: Any) -> dict[str, Any]:
        """Take records, or not, as the script says; raises what boto3's client would."""
        assert set(arguments) == {"DeliveryStreamName", "Records"}
        assert all(set(record) == {"Data"} for record in arguments["Records"])
        records = [bytes(record["Data"]) for record in arguments["Records"]]
        self._check_call(arguments["DeliveryStreamName"], records)
        self.tick()
        self.calls.append(records)
        answer = next(iter(self.script), ACCEPT)
        entries: list[dict[str, str]] = []
        for number, data in enumerate(records):
            if number in answer.dropped:
                code = THROTTLED if number % 2 else "InternalFailure"
                entries.append({"ErrorCode": code, "ErrorMessage": "Slow down."})
            else:
                self._take(data)
                entries.append({"RecordId": f"record-{next(self._numbers)}"})
        if answer.error == TIMEOUT:
            raise ReadTimeoutError(endpoint_url="https://firehose.invalid/", error="timed out")
        if answer.error:
            raise client_error(answer.error, "Slow down.")
        failed = sum("RecordId" not in entry for entry in entries)
        return {"FailedPutCount": failed, "Encrypted": False, "RequestResponses": entries}

    def _check_call(self, stream: str, records: list[bytes]) -> None:
        if stream != self.name:
            raise client_error("ResourceNotFoundException", f"Firehose {stream} under account 123456789012 not found.")
        if not records:
            self._refuse("ValidationException", "records: member must have length greater than or equal to 1")
        if len(records) > CALL_RECORDS:
            self._refuse("ValidationException", "records: member must have length less than or equal to 500")
        if any(len(data) > RECORD_BYTES for data in records):
            self._refuse("ValidationException", "data: member must have length less than or equal to 1024000")
        if sum(map(len, records)) > CALL_BYTES:
            self._refuse("InvalidArgumentException", "Records size exceeds 4 MB limit")

    def _refuse(self, code: str, message: str) -> None:
        self.violations.append(message)
        raise client_error(code, message)

    def _take(self, data: bytes) -> None:
        self.taken.append(data)
        self._buffer.append((self.clock(), data))
        if sum(len(each) for _, each in self._buffer) >= self._hints["SizeInMBs"] * self.bytes_per_mb:
            self.flush()

    # --- Delivering ---------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Deliver if the oldest record has waited long enough."""
        interval = dt.timedelta(seconds=self._hints["IntervalInSeconds"])
        if self._buffer and self.clock() - self._buffer[0][0] >= interval:
            self.flush()

    def flush(self) -> None:
        """Deliver what is in the buffer: a file of the rows, and one of the records that could not be converted."""
        buffer, self._buffer = self._buffer, []
        rows, errors = [], []
        for arrived, data in buffer:
            try:
                rows += self.conversion.read_record(data)
            except Unconvertible as error:
                errors.append(self._error_object(arrived, data, error))
        if rows:
            self._deliver(self.destination["Prefix"], buffer[0][0], ".parquet", self.conversion.to_parquet(rows))
        if errors:
            lines = "".join(json.dumps(each) + "\n" for each in errors)
            self._deliver(self.destination["ErrorOutputPrefix"], buffer[0][0], "", lines.encode())

    def _deliver(self, prefix: str, oldest: dt.datetime, extension: str, data: bytes) -> None:
        identity = uuid.uuid5(uuid.NAMESPACE_URL, str(next(self._numbers)))
        folder = evaluate_prefix(prefix, oldest)
        self.put(f"{folder}{self.name}-1-{oldest:%Y-%m-%d-%H-%M-%S}-{identity}{extension}", data)

    def _error_object(self, arrived: dt.datetime, data: bytes, error: Unconvertible) -> dict[str, Any]:
        """https://docs.aws.amazon.com/firehose/latest/dev/record-format-conversion-error-handling.html."""
        code, message = self.error_fields
        schema = self._conversion_settings("SchemaConfiguration")
        return {
            "attemptsMade": 1,
            "arrivalTimestamp": _millis(arrived),
            code: error.code,
            message: error.message,
            "attemptEndingTimestamp": _millis(self.clock()),
            "rawData": base64.b64encode(data).decode(),
            "sequenceNumber": f"{next(self._numbers):056}",
            "subSequenceNumber": None,
            "dataCatalogTable": {
                "catalogId": schema.get("CatalogId"),
                "databaseName": schema.get("DatabaseName"),
                "tableName": schema.get("TableName"),
                "region": schema.get("Region"),
                "versionId": schema.get("VersionId", "LATEST"),
            },
        }

    @property
    def _hints(self) -> Mapping[str, int]:
        hints: Mapping[str, int] = self.destination["BufferingHints"]
        return hints

    def _conversion_settings(self, *path: str) -> Mapping[str, Any]:
        settings: Mapping[str, Any] = self.destination["DataFormatConversionConfiguration"]
        for name in path:
            settings = settings.get(name, {})
        return settings


def into_folder(folder: Path) -> Callable[[str, bytes], None]:
    """A `put` that writes files below a folder."""

    def put(key: str, data: bytes) -> None:
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return put


def client_error(code: str, message: str) -> ClientError:
    """What boto3 raises when a call is answered with an error."""
    status = {THROTTLED: 503, "InternalFailure": 500}.get(code, 400)
    error = {"Code": code, "Message": message}
    return ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutRecordBatch")  # type: ignore[typeddict-item]


def _millis(moment: dt.datetime) -> int:
    return round(moment.timestamp() * 1000)


# --- Destinations -----------------------------------------------------------------------------------------------------


def evaluate_prefix(prefix: str, oldest: dt.datetime) -> str:
    """The prefix of an object whose oldest record arrived then (https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html)."""
    moment = oldest.astimezone(dt.UTC)
    if "!{timestamp:" not in prefix:
        prefix += "!{timestamp:yyyy/MM/dd/HH/}"

    def evaluate(match: re.Match[str]) -> str:
        space, name = match.groups()
        if space == "timestamp":
            return _PATTERN.sub(lambda part: _format_part(part, moment), name)
        if (space, name) == ("firehose", "error-output-type"):
            return _CONVERSION_FAILED
        raise ValueError(f"not evaluated here: {match[0]}")

    return _EXPRESSION.sub(evaluate, prefix)


def _format_part(part: re.Match[str], moment: dt.datetime) -> str:
    literal, letter = part.groups()
    if letter is None:
        return part[0] if literal is None else literal
    return moment.strftime(_STRFTIME[part[0]])


def _check_destination(destination: Mapping[str, Any]) -> None:
    """What AWS refuses when a stream is made; `ValueError`."""
    hints = destination["BufferingHints"]
    if not MIN_CONVERTED_MB <= hints["SizeInMBs"] <= MAX_MB:
        raise ValueError("SizeInMBs: 64 to 128 with conversion")
    if not 0 <= hints["IntervalInSeconds"] <= 900:
        raise ValueError("IntervalInSeconds: 0 to 900")
    if destination.get("CompressionFormat", "UNCOMPRESSED") != "UNCOMPRESSED":
        raise ValueError("CompressionFormat: UNCOMPRESSED with conversion")
    prefix, error_prefix = destination["Prefix"], destination.get("ErrorOutputPrefix", "")
    if "error-output-type" in prefix:
        raise ValueError("Prefix: no error-output-type")
    if "!{" in prefix + error_prefix and "!{firehose:error-output-type}" not in error_prefix:
        raise ValueError("ErrorOutputPrefix: !{firehose:error-output-type} is missing")
