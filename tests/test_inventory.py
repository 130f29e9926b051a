"""S3 Inventories as the list of log objects: CSV and Parquet, in a bucket or downloaded, whole or damaged."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_lakes import DAY_1, difference, line, read_rows, text, truth_of

from etl.backfill import backfill
from etl.errors import CorruptSource, SourceError, SourceNotFound, SourceUnreadable
from etl.ingest import ingest
from etl.lake import open_lake
from etl.sources import LogSource, find_logs

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Row = dict[str, Any]
CSV_NAMES = {
    "bucket": "Bucket",
    "key": "Key",
    "version_id": "VersionId",
    "is_latest": "IsLatest",
    "is_delete_marker": "IsDeleteMarker",
    "size": "Size",
    "last_modified_date": "LastModifiedDate",
    "e_tag": "ETag",
    "storage_class": "StorageClass",
}
KEYS = ("logs/plain", "logs/a b+c%2Fd", "logs/é", 'logs/"quoted", comma', "logs/two words", "logs/new\nline")


def row(key: str, **other: Any) -> Row:
    """A version of an object, as a report of all versions has it."""
    found = {"bucket": "logs", "key": key, "version_id": "v1", "is_latest": True, "is_delete_marker": False}
    return found | {"size": 7, "last_modified_date": "2024-05-02T00:00:00.000Z", "e_tag": f"etag-{key}"} | other


def as_csv(rows: Sequence[Row], encode: Callable[[str], str] = quote_plus) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for each in rows:
        values = {**each, "key": encode(each["key"])}
        writer.writerow(str(value).lower() if isinstance(value, bool) else value for value in values.values())
    return gzip.compress(text.getvalue().encode())


def as_parquet(rows: Sequence[Row]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue()


def manifest(format_: str, files: dict[str, bytes], names: Sequence[str]) -> bytes:
    """By https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html."""
    schema = ", ".join(CSV_NAMES[name] for name in names) if format_ == "CSV" else "message s3.inventory { }"
    return json.dumps(
        {
            "sourceBucket": "logs",
            "destinationBucket": "arn:aws:s3:::reports",
            "version": "2016-11-30",
            "creationTimestamp": "1514944800000",
            "fileFormat": format_,
            "fileSchema": schema,
            "files": [
                {"key": key, "size": len(data), "MD5checksum": hashlib.md5(data).hexdigest()}
                for key, data in files.items()
            ],
        }
    ).encode()


def report(folder: Path, format_: str, *parts: Sequence[Row], encode: Callable[[str], str] = quote_plus) -> str:
    """A report as it lies in its bucket, downloaded; the path of its manifest."""
    ending = "csv.gz" if format_ == "CSV" else "parquet"
    made = (as_csv(part, encode) if format_ == "CSV" else as_parquet(part) for part in parts)
    files = {f"inventory/logs/all/data/{number}.{ending}": data for number, data in enumerate(made)}
    for key, data in files.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
    path = folder / "inventory/logs/all/2024-05-02T01-00Z/manifest.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(manifest(format_, files, list(parts[0][0])))
    return str(path)


def found_in(manifest: str, exclude: str | None = None) -> tuple[list[LogSource], list[SourceError]]:
    found = list(find_logs([], inventories=[manifest], exclude=exclude))
    errors = [each for each in found if isinstance(each, SourceError)]
    return [each for each in found if isinstance(each, LogSource)], errors


def the_error(manifest: str) -> SourceError:
    logs, errors = found_in(manifest)
    assert logs == []
    (error,) = errors
    return error


FORMATS = pytest.mark.parametrize("format_", ["CSV", "Parquet"])


@FORMATS
def test_every_key_comes_back_as_it_is(tmp_path: Path, format_: str) -> None:
    rows = [row(key, size=number) for number, key in enumerate(KEYS)]
    logs, errors = found_in(report(tmp_path, format_, rows[:4], rows[4:]))
    assert errors == []
    assert logs == [
        LogSource(f"s3://logs/{key}", f"s3://logs/{key}", number, f"etag-{key}") for number, key in enumerate(KEYS)
    ]


def test_a_key_whose_spaces_are_percent_encoded_is_the_same(tmp_path: Path) -> None:
    logs, _ = found_in(report(tmp_path, "CSV", [row(key) for key in KEYS], encode=quote))
    assert [log.location.removeprefix("s3://logs/") for log in logs] == list(KEYS)


@FORMATS
def test_only_what_is_there_now_is_taken(tmp_path: Path, format_: str) -> None:
    rows = [
        row("old", is_latest=False),
        row("deleted", is_delete_marker=True, size=None, e_tag=None),
        row("folder/", size=0),
        row("not a folder/", size=3),
        row("lake/raw/x"),
        row("lake2/x"),
        row("twice"),
        row("twice"),
    ]
    logs, errors = found_in(report(tmp_path, format_, rows), exclude="s3://logs/lake")
    assert [log.location for log in logs] == ["s3://logs/not a folder/", "s3://logs/lake2/x", "s3://logs/twice"]
    assert errors == []


@FORMATS
def test_a_report_of_current_versions_alone_has_no_such_fields(tmp_path: Path, format_: str) -> None:
    names = ("bucket", "key", "size", "e_tag")
    logs, errors = found_in(report(tmp_path, format_, [{name: row("a")[name] for name in names}]))
    assert ([log.version for log in logs], errors) == (["etag-a"], [])


def test_a_report_in_one_folder(tmp_path: Path) -> None:
    path = Path(report(tmp_path, "CSV", [row("a")]))
    (tmp_path / "inventory/logs/all/data/0.csv.gz").rename(path.parent / "0.csv.gz")
    logs, _ = found_in(str(path))
    assert [log.source_key for log in logs] == ["s3://logs/a"]


def test_the_manifest_for_hive_names_parquet_files(tmp_path: Path) -> None:
    (tmp_path / "1.parquet").write_bytes(as_parquet([row("a b")]))
    (tmp_path / "symlink.txt").write_text(f"{tmp_path}/1.parquet\n")
    logs, errors = found_in(str(tmp_path / "symlink.txt"))
    assert ([log.source_key for log in logs], errors) == (["s3://logs/a b"], [])
    (tmp_path / "my report.parquet").write_bytes(as_parquet([row("c")]))
    (tmp_path / "symlink.txt").write_text(f"{tmp_path}/my report.parquet\r\n\n{tmp_path}/1.parquet")
    logs, errors = found_in(str(tmp_path / "symlink.txt"))
    assert ([log.source_key for log in logs], errors) == (["s3://logs/c", "s3://logs/a b"], [])
    (tmp_path / "symlink.txt").write_text("s3://reports/1.csv.gz\n")
    assert "no manifest" in str(the_error(str(tmp_path / "symlink.txt")))


# --- What cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b'{"fileFormat": "CSV", "destinationBucket": 1, "files": 3}',
        b"null",
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_what_is_no_manifest_is_one_clear_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(data)
    error = the_error(str(tmp_path / "manifest.json"))
    assert isinstance(error, CorruptSource)
    assert "is no manifest of an S3 Inventory" in str(error)


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    error = the_error(str(tmp_path / "manifest.json"))
    assert isinstance(error, SourceNotFound)
    assert error.reason == "no such file or object"


def test_orc_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(manifest("ORC", {}, []))
    assert "is ORC, and only CSV and Parquet are read" in str(the_error(str(tmp_path / "manifest.json")))


@FORMATS
def test_a_report_without_what_is_needed_is_refused(tmp_path: Path, format_: str) -> None:
    rows = [{name: row("a")[name] for name in ("bucket", "key")}]
    error = the_error(report(tmp_path, format_, rows))
    assert isinstance(error, SourceUnreadable)
    assert "has no size and no etag" in str(error)


@FORMATS
@pytest.mark.parametrize("damage", ["cut", "other", "gone"])
def test_a_damaged_file_costs_no_other(tmp_path: Path, format_: str, damage: str) -> None:
    path = report(tmp_path, format_, [row("a")], [row("b")])
    first = min((tmp_path / "inventory/logs/all/data").iterdir())
    if damage == "gone":
        # Then it is looked for in its bucket; none of that name can exist.
        text = Path(path).read_text().replace("arn:aws:s3:::reports", "arn:aws:s3:::Not A Bucket")
        Path(path).write_text(text)
        first.unlink()
    else:
        first.write_bytes(first.read_bytes()[:-5] if damage == "cut" else as_csv([row("c")]))
    logs, errors = found_in(path)
    assert [log.source_key for log in logs] == ["s3://logs/b"]
    assert len(errors) == 1
    if damage != "gone":
        assert "is not the file that the manifest names" in str(errors[0])


@pytest.mark.parametrize(
    "data",
    [
        b"no gzip",
        gzip.compress(b'"logs","a"\n'),
        gzip.compress(as_csv([row("a")]))[:-3],
        gzip.compress(b'"b","%ff","v","true","false","7","d","e"\n'),
        gzip.compress(b'"b","k","v","true","false","seven","d","e"\n'),
        gzip.compress(b'"b","k\n'),
        gzip.compress(b"\xff" * 99),
    ],
    ids=["plain", "short", "cut", "escape", "size", "open", "bytes"],
)
def test_a_file_that_is_what_the_manifest_names_and_no_list_is_an_error(tmp_path: Path, data: bytes) -> None:
    path = Path(report(tmp_path, "CSV", [row("a")]))
    (tmp_path / "inventory/logs/all/data/0.csv.gz").write_bytes(data)
    path.write_bytes(manifest("CSV", {"inventory/logs/all/data/0.csv.gz": data}, list(row("a"))))
    assert isinstance(the_error(str(path)), CorruptSource)


@FORMATS
def test_a_row_that_names_no_version_of_an_object_costs_no_other(tmp_path: Path, format_: str) -> None:
    odd = [row("a", size=None), row("b", e_tag=""), row("c", e_tag=None), row("", size=1), row("e", bucket=None)]
    odd.append(row("d", size=-1))
    logs, errors = found_in(report(tmp_path, format_, [row("first"), *odd, row("last", e_tag='"e"')]))
    assert [(log.source_key, log.version) for log in logs] == [
        ("s3://logs/first", "etag-first"),
        ("s3://logs/last", "e"),
    ]
    assert all(isinstance(error, CorruptSource) for error in errors)
    place = tmp_path / f"inventory/logs/all/data/0.{'csv.gz' if format_ == 'CSV' else 'parquet'}"
    assert [str(error) for error in errors] == [
        f"{place}: row {number} names no object with its size and ETag" for number in range(2, 8)
    ]


def test_a_key_that_is_no_text_costs_its_row_alone(tmp_path: Path) -> None:
    keys = {"bad": "%FF", "good": "good"}
    logs, errors = found_in(report(tmp_path, "CSV", [row("bad"), row("good")], encode=keys.__getitem__))
    assert [log.source_key for log in logs] == ["s3://logs/good"]
    assert [error.reason for error in errors] == ["row 1 names no object with its size and ETag"]


def test_an_empty_report_names_nothing(tmp_path: Path) -> None:
    assert "names no object" in str(the_error(report(tmp_path, "CSV", [row("a", is_latest=False)])))


# --- From a bucket ----------------------------------------------------------------------------------------------------


@FORMATS
@pytest.mark.parametrize("verb", ["ingest", "backfill"])
def test_the_objects_of_a_report_are_taken_in_the_version_it_names(
    s3: S3Client, new_bucket: Callable[[], str], tmp_path: Path, format_: str, verb: str
) -> None:
    bucket, reports = new_bucket(), new_bucket()
    logs = {key: text(line(request_id=f"R{number}")) for number, key in enumerate(KEYS[:5])}
    rows = []
    for key, data in logs.items():
        etag = s3.put_object(Bucket=bucket, Key=key, Body=data)["ETag"].strip('"')
        rows.append(row(key, bucket=bucket, size=len(data), e_tag=etag))
    data = as_csv(rows) if format_ == "CSV" else as_parquet(rows)
    s3.put_object(Bucket=reports, Key="inv/data/1", Body=data)
    made = manifest(format_, {"inv/data/1": data}, list(rows[0])).replace(b":::reports", f":::{reports}".encode())
    s3.put_object(Bucket=reports, Key="inv/2024/manifest.json", Body=made)
    s3.put_object(Bucket=bucket, Key=KEYS[0], Body=text(line(request_id="new")))
    address, lake = f"s3://{reports}/inv/2024/manifest.json", str(tmp_path / "lake")
    if verb == "ingest":
        failed = ingest([], inventories=[address], lake=lake, now=DAY_1).failed
    else:
        failed = backfill([], inventories=[address], lake=lake, now=DAY_1).failed
    assert [error.subject for error in failed] == [f"s3://{bucket}/{KEYS[0]}"]
    assert "changed since it was listed" in failed[0].reason
    expected = truth_of({f"s3://{bucket}/{key}": data for key, data in logs.items() if key != KEYS[0]})
    assert difference(read_rows(open_lake(lake).snapshot()), expected) == ""
