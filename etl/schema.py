"""The one ordered list of fields, and everything that is derived from it.

The Arrow schema, the Glue columns, the Athena DDL and the table in ``docs/schema.md`` all come from `FIELDS`; a test
proves that what is committed equals what is generated here. Column names are the ones AWS gives the same fields in its
structured delivery of these logs, so that its tables and ours can be UNIONed
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/sal-cw-log-format.html).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import pyarrow as pa


class Kind(Enum):
    """A column's type, once per system: Arrow, and Hive (which is what Glue and Athena DDL speak)."""

    STRING = ("string", pa.string())
    INT = ("int", pa.int32())
    BIGINT = ("bigint", pa.int64())
    # UTC by contract and without a zone: Athena's only timestamp is `timestamp(3)`.
    TIMESTAMP = ("timestamp", pa.timestamp("ms"))

    def __init__(self, hive: str, arrow: pa.DataType) -> None:
        self.hive = hive
        self.arrow = arrow


@dataclass(frozen=True)
class Field:
    """One column: its name, its type, and what it holds."""

    name: str
    kind: Kind
    comment: str
    wire: int | None = None
    """Position in a log line (1 to 27); None for a column that the parser adds."""


def _wire(position: int, name: str, kind: Kind, comment: str) -> Field:
    return Field(name, kind, comment, position)


_S, _I, _L, _T = Kind.STRING, Kind.INT, Kind.BIGINT, Kind.TIMESTAMP

WIRE_FIELDS: tuple[Field, ...] = (
    _wire(1, "bucket_owner_id", _S, "Canonical user id of the owner of the source bucket"),
    _wire(2, "bucket_name", _S, "Bucket that the request was processed against"),
    _wire(3, "request_time", _T, "When S3 received the request, UTC"),
    _wire(4, "remote_ip", _S, "Apparent address of the requester; null for AWS-internal callers"),
    _wire(5, "requester", _S, "Canonical id, ARN or service; null if unauthenticated"),
    _wire(6, "request_id", _S, "S3's id of the request; not unique: a batch delete shares one over its rows"),
    _wire(7, "operation", _S, "REST.METHOD.RESOURCE, S3.ACTION.RESOURCE, BATCH.DELETE.OBJECT and others"),
    _wire(8, "key_name", _S, "Object key as logged: URL-encoded once or twice, by operation"),
    _wire(9, "request_uri", _S, "Request line as logged; may hold credentials"),
    _wire(10, "http_status", _I, "HTTP status; null for lifecycle actions"),
    _wire(11, "error_code", _S, "S3 error code; null if none"),
    _wire(12, "bytes_sent_size", _L, "Response bytes without protocol overhead; null where S3 wrote a dash"),
    _wire(13, "object_size", _L, "Size of the object in bytes"),
    _wire(14, "total_duration", _L, "Milliseconds from receiving the request to the last byte sent"),
    _wire(15, "turn_around_duration", _L, "Milliseconds S3 spent processing the request"),
    _wire(16, "referer", _S, "HTTP Referer, as sent"),
    _wire(17, "user_agent", _S, "HTTP User-Agent, as sent"),
    _wire(18, "version_id", _S, "Version of the object; the text null is a real value"),
    _wire(19, "host_id", _S, "The x-amz-id-2 of the request"),
    _wire(20, "signature_version", _S, "SigV2 or SigV4; null if unauthenticated"),
    _wire(21, "cipher_suite", _S, "TLS cipher; null over plain HTTP"),
    _wire(22, "authentication_type", _S, "AuthHeader or QueryString; null if unauthenticated"),
    _wire(23, "host_header", _S, "Endpoint the client connected to"),
    _wire(24, "tls_version", _S, "TLS version the client negotiated"),
    _wire(25, "access_point_arn", _S, "Access point of the request"),
    _wire(26, "acl_required", _S, "Yes if the request needed an ACL to be authorised"),
    _wire(27, "source_region", _S, "AWS Region the request came from"),
)
"""The 27 fields of a log line, in the order S3 writes them."""

ADDED_FIELDS: tuple[Field, ...] = (
    Field("object_key", _S, "key_name decoded; null if it cannot be"),
    Field("extra_fields", _S, "The text after field 27, kept as it is"),
    Field("parse_status", _S, "clean, short or ambiguous"),
    Field("raw_line", _S, "The line itself, only where it is not clean or not UTF-8"),
    Field("source_key", _S, "Log object the line came from"),
    Field("line_no", _L, "1-based line number in it, blank lines counted"),
    Field("event_date", _S, "UTC day of request_time, YYYY-MM-DD"),
)
"""What the parser adds to each row."""

FIELDS: tuple[Field, ...] = WIRE_FIELDS + ADDED_FIELDS
JSON_KEYS: dict[str, str] = {
    "bucket_owner_id": "o",
    "bucket_name": "b",
    "request_time": "t",
    "remote_ip": "i",
    "requester": "p",
    "request_id": "r",
    "operation": "a",
    "key_name": "k",
    "request_uri": "u",
    "http_status": "s",
    "error_code": "e",
    "bytes_sent_size": "n",
    "object_size": "z",
    "total_duration": "d",
    "turn_around_duration": "f",
    "referer": "w",
    "user_agent": "g",
    "version_id": "vi",
    "host_id": "h",
    "signature_version": "y",
    "cipher_suite": "c",
    "authentication_type": "m",
    "host_header": "x",
    "tls_version": "q",
    "access_point_arn": "ap",
    "acl_required": "aq",
    "source_region": "j",
    "extra_fields": "xf",
    "parse_status": "ps",
    "raw_line": "rl",
    "source_key": "l",
    "line_no": "ln",
}
"""Column to its key in the JSON that goes through Firehose, which is paid by the byte: no key is a column's name.

A key never changes its meaning: documents may be under way while the mapping is replaced. What a reader can derive has none
(`object_key` from key_name and operation, `event_date` from request_time).
"""

BATCH_ID = Field("batch_id", _S, "Compaction batch that wrote the row")
INGEST_DATE = Field("ingest_date", _S, "UTC day the log object arrived, YYYY-MM-DD")
EVENT_DATE = FIELDS[-1]


def arrow_schema(fields: tuple[Field, ...]) -> pa.Schema:
    """Arrow schema of these fields, in this order."""
    return pa.schema([pa.field(field.name, field.kind.arrow) for field in fields])


SCHEMA: pa.Schema = arrow_schema(FIELDS)
"""Schema of a parsed row, and of every file under ``raw/``."""

COMPACTED_FIELDS: tuple[Field, ...] = (*(f for f in FIELDS if f is not EVENT_DATE), BATCH_ID)
"""Columns inside a compacted file; its event_date is in its path."""

COMPACTED_SCHEMA: pa.Schema = arrow_schema(COMPACTED_FIELDS)

RAW_TABLE_FIELDS: tuple[Field, ...] = tuple(f for f in FIELDS if f is not EVENT_DATE)
"""Columns of the raw table: Firehose leaves event_date out, so the view derives it for every raw row."""
_RAW_NAMES = frozenset(field.name for field in RAW_TABLE_FIELDS)


def ambiguous_column(names: Iterable[str]) -> str:
    """The column of the raw table that a file with these columns has twice, or in other letters; `""` if there is none.

    Athena and DuckDB tell no `KEY_NAME` from `key_name`, Arrow does: they would read other values of the same row. So
    such a file is damaged.
    """
    seen: set[str] = set()
    for name in names:
        wanted = name.lower()
        if wanted in _RAW_NAMES and (wanted != name or wanted in seen):
            return wanted
        seen.add(wanted)
    return ""


QUARANTINE_SCHEMA: pa.Schema = pa.schema(
    [("source_key", pa.string()), ("line_no", pa.int64()), ("reason", pa.string()), ("raw_line", pa.binary())]
)
"""Schema of quarantined lines: the bytes as they were, so that they can be parsed again."""


@dataclass(frozen=True)
class Table:
    """One table of the lake, as Glue and Athena see it: partition-projected by a UTC day."""

    name: str
    folder: str
    columns: tuple[tuple[str, str, str], ...]
    """(name, Hive type, comment), in order."""
    partition_key: str
    compression: str


def _columns(fields: tuple[Field, ...]) -> tuple[tuple[str, str, str], ...]:
    return tuple((field.name, field.kind.hive, field.comment) for field in fields)


RAW_TABLE = Table("access_logs_raw", "raw", _columns(RAW_TABLE_FIELDS), "ingest_date", "SNAPPY")
COMPACTED_TABLE = Table("access_logs_compacted", "compacted", _columns(COMPACTED_FIELDS), "event_date", "ZSTD")
QUARANTINE_TABLE = Table(
    "access_logs_quarantine",
    "quarantine",
    (
        ("source_key", "string", "Log object the line came from"),
        ("line_no", "bigint", "1-based line number in it"),
        ("reason", "string", "Why it could not be read"),
        ("raw_line", "binary", "The line, byte for byte"),
    ),
    "ingest_date",
    "ZSTD",
)
FINDINGS_TABLE = Table(
    "access_logs_findings",
    "findings",
    (
        ("detection", "string", "Name of the detection"),
        ("source_key", "string", "Log object of the row"),
        ("line_no", "bigint", "Line number of the row"),
        ("severity", "string", "Severity the detection gives itself"),
        ("details", "string", "JSON: the row's fields that matter, credentials masked"),
    ),
    "detected_date",
    "ZSTD",
)
TABLES: tuple[Table, ...] = (RAW_TABLE, COMPACTED_TABLE, QUARANTINE_TABLE, FINDINGS_TABLE)

RECIPE_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("bucket", "string", "bucket_name"),
    ("timestamp", "timestamp", "request_time"),
    ("remoteip", "string", "remote_ip"),
    ("requester", "string", "requester"),
    ("requestid", "string", "request_id"),
    ("operation", "string", "operation"),
    ("key", "string", "key_name"),
    ("requesturi", "string", "request_uri"),
    ("httpstatus", "string", "http_status"),
    ("errorcode", "string", "error_code"),
    ("bytessent", "string", "bytes_sent_size"),
    ("objectsize", "string", "object_size"),
    ("totaltime", "string", "total_duration"),
    ("turnaroundtime", "string", "turn_around_duration"),
    ("referrer", "string", "referer"),
    ("useragent", "string", "user_agent"),
    ("versionid", "string", "version_id"),
    ("hostid", "string", "host_id"),
    ("signatureversion", "string", "signature_version"),
    ("ciphersuite", "string", "cipher_suite"),
    ("authenticationtype", "string", "authentication_type"),
    ("hostheader", "string", "host_header"),
)
"""The recipe's 22 columns: (its name, its type, ours). Its queries must run unchanged against `s3accesslog`."""


def glue_columns(table: Table) -> list[dict[str, str]]:
    """The table's columns as Glue's ``StorageDescriptor.Columns`` wants them."""
    return [{"Name": name, "Type": kind, "Comment": comment} for name, kind, comment in table.columns]


def docs_table() -> str:
    """The field list as the Markdown table of ``docs/schema.md``."""
    lines = ["| # | column | Athena type | Arrow type | what it holds |", "| --- | --- | --- | --- | --- |"]
    for field in FIELDS:
        position = "" if field.wire is None else str(field.wire)
        lines.append(f"| {position} | `{field.name}` | {field.kind.hive} | {field.kind.arrow} | {field.comment} |")
    return "\n".join(lines) + "\n"
