"""Glue's tables and views in Trino's metastore, word for word: files of JSON that hold what Glue holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trino_files import VERSION
from trino_server import Trino

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Json = Mapping[str, Any]


def create_database(trino: Trino, bucket: str, name: str) -> None:
    trino.run(f"CREATE SCHEMA \"{name}\" WITH (location = 's3://{bucket}/databases/{name}')")


def put_in_metastore(client: S3Client, bucket: str, database: str, table: Json) -> None:
    """A table or view as `CreateTable` and `UpdateTable` take it; one that is there is replaced."""
    client.put_object(Bucket=bucket, Key=_key(database, table["Name"]), Body=json.dumps(_stored(table)).encode())


def read_metastore(client: S3Client, bucket: str, database: str, name: str) -> Json:
    """What the metastore holds of a table or view."""
    found: Json = json.loads(client.get_object(Bucket=bucket, Key=_key(database, name))["Body"].read())
    return found


def _key(database: str, name: str) -> str:
    return f"metastore/{database}/{name}/.trinoSchema"


def _stored(table: Json) -> Json:
    storage = table["StorageDescriptor"]
    formats = {
        "serde": storage["SerdeInfo"].get("SerializationLibrary"),
        "inputFormat": storage.get("InputFormat"),
        "outputFormat": storage.get("OutputFormat"),
    }
    stored = {
        "writerVersion": VERSION,
        # A view runs with the rights of its owner; Glue does not say who that is.
        "owner": "tests",
        "tableType": table["TableType"],
        "dataColumns": _columns(storage["Columns"]),
        "partitionColumns": _columns(table["PartitionKeys"]),
        "parameters": table["Parameters"],
        "originalStorageFormat": {name: value for name, value in formats.items() if value},
        "serdeParameters": {},
        "columnStatistics": {},
    }
    if storage["Location"]:
        # Trino puts a slash of its own between this and the partition; two would name another prefix of the bucket.
        stored["externalLocation"] = storage["Location"].rstrip("/")
    for theirs, ours in (("viewOriginalText", "ViewOriginalText"), ("viewExpandedText", "ViewExpandedText")):
        if ours in table:
            stored[theirs] = table[ours]
    return stored


def _columns(columns: Sequence[Json]) -> list[Json]:
    return [
        {"name": column["Name"], "type": column["Type"], "properties": {}}
        | ({"comment": column["Comment"]} if "Comment" in column else {})
        for column in columns
    ]
