"""Log objects that an S3 Inventory names: a report of millions of keys, made by S3 without listing.

What a report looks like: https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html for the manifest,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html for the fields. In CSV the key is URL-encoded and
must be decoded; in Parquet it is not.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, NoReturn
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.parquet as pq

from etl.errors import CorruptSource, SourceError, SourceNotFound, SourceUnreadable, first_line
from etl.sources._local import read_local_parts
from etl.sources._log_source import LogSource

_BUCKET, _KEY, _SIZE, _ETAG, _LATEST, _DELETED = ("bucket", "key", "size", "etag", "islatest", "isdeletemarker")
_NEEDED: Final = (_BUCKET, _KEY, _SIZE, _ETAG)
_FORMATS: Final = {"csv": "CSV", "parquet": "Parquet"}
_ROWS_PER_BATCH: Final = 20_000

_Row = Mapping[str, Any]
"""One object version of a report, by field name in lower case and without underscores."""


@dataclass(frozen=True)
class _DataFile:
    places: tuple[str, ...]
    """Where it may be, the likeliest first: a report that was downloaded may lie as it did in its bucket, or in one folder."""
    md5: str


@dataclass(frozen=True)
class _Report:
    address: str
    format: str
    columns: tuple[str, ...]
    """Of CSV, which has no header."""
    files: tuple[_DataFile, ...]


def find_inventory_logs(address: str, *, exclude: str | None) -> Iterator[LogSource | SourceError]:
    """Objects of the report whose `manifest.json` (or, of Parquet, `symlink.txt`) is at this path or `s3://bucket/key`.

    The latest version of each, no delete markers, nothing under the address `exclude`. Objects that changed after the report are
    found out when they are read: its ETag is the version that is wanted. A report that cannot be read is an error, and so is each
    damaged file of it, and each row that names no object in a version.
    """
    lake = None if exclude is None else f"{exclude.rstrip('/')}/"
    try:
        report = _read_manifest(address)
    except SourceError as error:
        yield error
        return
    empty = True
    for file in report.files:
        try:
            for log in _logs_of(report, file):
                if isinstance(log, SourceError) or lake is None or not log.location.startswith(lake):
                    empty = False
                    yield log
        except SourceError as error:
            empty = False
            yield error
    if empty:
        yield SourceNotFound(address, "names no object")


def _log_of(report: _Report, row: _Row) -> LogSource | None:
    """The row's object; None for an old version, a delete marker, and a console's folder marker.

    Raises `TypeError` or `ValueError` for a row that names no object, or not in which version.
    """
    if _is(row.get(_LATEST), "false") or _is(row.get(_DELETED), "true"):
        return None
    bucket, key, version = (str(row[name] or "") for name in (_BUCKET, _KEY, _ETAG))
    size, version = int(row[_SIZE]), version.strip('"')
    if report.format == "CSV":
        key = unquote_plus(key, errors="strict")
    if key.endswith("/") and not size:
        return None
    # Without a version any would do, and what replaced the object would be taken for it.
    if not (bucket and key and version) or size < 0:
        raise ValueError
    location = f"s3://{bucket}/{key}"
    return LogSource(location, location, size, version)


def _is(value: object, word: str) -> bool:
    return str(value).lower() == word


# --- The manifest -----------------------------------------------------------------------------------------------------


def _read_manifest(address: str) -> _Report:
    try:
        text = b"".join(_read(address))
    except SourceNotFound as error:
        raise SourceNotFound(address, "no such file or object") from error
    try:
        if PurePosixPath(address).name == "symlink.txt":
            places = [line.decode().strip() for line in text.splitlines() if line.strip()]
            return _Report(address, _format_of(places), (), tuple(_DataFile((place,), "") for place in places))
        manifest = json.loads(text)
        format_ = str(manifest["fileFormat"])
        bucket = str(manifest["destinationBucket"]).rpartition(":")[2]
        files = tuple(
            _DataFile(_places(address, bucket, str(file["key"])), str(file.get("MD5checksum", "")))
            for file in manifest["files"]
        )
        columns = tuple(_plain(name) for name in str(manifest["fileSchema"]).split(",")) if format_ == "CSV" else ()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptSource(address, "is no manifest of an S3 Inventory", hint="manifest.json") from error
    if format_ not in _FORMATS.values():
        _refuse(address, f"the inventory is {format_[:20]}, and only CSV and Parquet are read")
    if format_ == "CSV":
        _check_columns(address, columns)
    return _Report(address, format_, columns, files)


def _format_of(places: list[str]) -> str:
    if not all(place.endswith(".parquet") for place in places):
        raise ValueError("CSV has no header, and symlink.txt says nothing of its columns")
    return "Parquet"


def _places(address: str, bucket: str, key: str) -> tuple[str, ...]:
    remote = f"s3://{bucket}/{key}"
    if address.startswith("s3://"):
        return (remote,)
    folder, name = Path(os.path.realpath(address)).parent, PurePosixPath(key).name
    mirrored = () if ".." in PurePosixPath(key).parts else (parent / key.lstrip("/") for parent in folder.parents)
    return (*map(str, (folder / name, folder / "data" / name, folder.parent / "data" / name, *mirrored)), remote)


def _plain(name: str) -> str:
    """`ETag` in CSV's schema is `e_tag` in Parquet's."""
    return name.strip().replace("_", "").lower()


def _check_columns(address: str, columns: tuple[str, ...]) -> None:
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        _refuse(address, f"the inventory has no {' and no '.join(missing)}")


def _refuse(address: str, reason: str) -> NoReturn:
    raise SourceUnreadable(address, reason, hint="configure one as CSV or Parquet, with Size and ETag")


# --- Its files --------------------------------------------------------------------------------------------------------


def _logs_of(report: _Report, file: _DataFile) -> Iterator[LogSource | SourceError]:
    """The objects that a data file names, and an error for each row that names none. Raises `SourceError`."""
    with tempfile.NamedTemporaryFile(prefix="accesslake-inventory-") as copy:
        place = _fetch(file, copy)
        try:
            rows = _parquet_rows(report, copy) if report.format == "Parquet" else _csv_rows(report, copy)
            for number, row in enumerate(rows, 1):
                try:
                    log = _log_of(report, row)
                except (TypeError, ValueError):
                    yield CorruptSource(place, f"row {number:,} names no object with its size and ETag")
                    continue
                if log is not None:
                    yield log
        except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError, pa.ArrowException) as error:
            raise CorruptSource(place, f"cannot be read as an inventory: {first_line(error)}") from error


def _fetch(file: _DataFile, copy: Any) -> str:
    """Copy the file from where it is; that place."""
    place = next((place for place in file.places if not place.startswith("s3://") and os.path.exists(place)), "")
    place = place or file.places[-1]
    digest = hashlib.md5(usedforsecurity=False)
    for part in _read(place):
        digest.update(part)
        copy.write(part)
    copy.flush()
    copy.seek(0)
    if file.md5 and digest.hexdigest() != file.md5:
        raise CorruptSource(place, "is not the file that the manifest names")
    return place


def _read(address: str) -> Iterator[bytes]:
    source = LogSource(address, address, 0)
    if address.startswith("s3://"):
        from etl.sources._s3 import read_s3_parts

        return read_s3_parts(source)
    return read_local_parts(source)


def _csv_rows(report: _Report, copy: Any) -> Iterator[_Row]:
    with gzip.open(copy, "rb") as data, io.TextIOWrapper(data, encoding="utf-8", newline="") as text:
        for values in csv.reader(text, strict=True):
            if len(values) != len(report.columns):
                raise csv.Error(f"{len(values)} fields, {len(report.columns)} are named")
            yield dict(zip(report.columns, values, strict=True))


def _parquet_rows(report: _Report, copy: Any) -> Iterator[_Row]:
    with pq.ParquetFile(copy) as file:
        names = {_plain(name): name for name in file.schema_arrow.names}
        _check_columns(report.address, tuple(names))
        wanted = [names[name] for name in (*_NEEDED, _LATEST, _DELETED) if name in names]
        for batch in file.iter_batches(_ROWS_PER_BATCH, columns=wanted):
            for row in batch.to_pylist():
                yield {_plain(name): value for name, value in row.items()}
