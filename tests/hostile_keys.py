"""Keys that are hard to decode, in log lines of every kind of operation, and the raw file that Firehose makes of rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from firehose_conversion import Conversion
from small_lakes import line, text

from etl.schema import JSON_KEYS, RAW_TABLE
from etl.sinks._documents import to_documents

HOSTILE_KEYS = (
    *("a.txt", "a+b", "%2Ba+b", "%252B", "%20", "%2520", "%252520", "%2525", "%25", "%", "%%", "%2", "a%2", "%zz"),
    *("%41", "%2541", "%25%34%31", "%C3%BC", "%25C3%25BC", "%C3%25BC", "%C3", "%25C3", "%FF", "%25FF", "%ED%A0%80"),
    *("%25zz", "%25ED%25A0%2580", "%C0%80", "%F5%80%80%80", "%EF%BF%BD", "%ef%bf%bd%FF", "%C3%EF%BF%BD%BC", "%250a"),
    *("%25EF%25BF%25BD", "%00", "%2500", "%0A", "%22", "ü", "ü%C3%BC", "😀", "%F0%9F%98%80", "%25F0%259F%2598%2580"),
    *(
        "%-1",
        "%+1",
        "%25+1",
        "\0",
        "a\0%41",
        "\ufffd",
        "\ufffd%41",
        "-",
        "--",
        "''",
        "\\",
        "\\xff",
        "$1",
        "%24%31",
        "%5C1",
    ),
)
OPERATIONS = ("REST.GET.OBJECT", "S3.EXPIRE.OBJECT", "BATCH.DELETE.OBJECT", "SOAP.X", "BATCHED.X", "S3X.Y")
_DAMAGED_KEYS = (b"a\xff", b"a\xef\xbf\xbd", b"%41\xff")
_AGENTS = (b"curl", b"\xff", b" a\xef\xbf\xbd ")


def hostile_log() -> bytes:
    """Every key under every operation, and in lines that are UTF-8 and such that are not."""
    keys = [*(key.encode() for key in HOSTILE_KEYS), *_DAMAGED_KEYS]
    return text(
        *(log_line(key, operation, agent) for operation in OPERATIONS for key in keys for agent in _AGENTS),
    )


def log_line(key: bytes, operation: str, agent: bytes) -> bytes:
    """A log line with this key and user agent, of any bytes."""
    logged = line(key="KEY", agent="AGENT", operation=operation)
    return logged.replace(b"KEY", key).replace(b"AGENT", agent)


def put_firehose(lake: Path, name: str, rows: pa.Table, *, day: str, lacks: tuple[str, ...] = ("object_key",)) -> Path:
    """A raw file as Firehose writes it: SNAPPY, INT96 times, no status for a clean row, and some columns not at all."""
    columns = {column: kind for column, kind, _ in RAW_TABLE.columns if column not in lacks}
    conversion = Conversion(columns, JSON_KEYS)
    data = "".join(to_documents(rows).to_pylist()).encode()
    path = lake / "raw" / f"ingest_date={day}" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(conversion.to_parquet(conversion.read_record(data)))
    return path
