"""Tables of the lake in Glue's form, and what an update may change of one that exists: pure.

A table is never made anew over one that exists: what others have added to it stays, and so does the range that compaction has
widened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from etl.ddl import table_properties
from etl.errors import BadParameter, LakeMismatch
from etl.schema import Table, glue_columns

Json = Mapping[str, Any]

_PARQUET: Final = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
_TABLE_INPUT: Final = (
    *("Name", "Description", "Owner", "LastAccessTime", "LastAnalyzedTime", "Retention", "StorageDescriptor"),
    *("PartitionKeys", "ViewOriginalText", "ViewExpandedText", "TableType", "Parameters", "TargetTable"),
)
"""What GetTable gives that UpdateTable takes back."""
_RANGE: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}),NOW")
_DATABASE: Final = re.compile(r"[a-z0-9_]{1,255}")


def check_day(name: str, value: str) -> str:
    """The day `YYYY-MM-DD`; raises `BadParameter` for anything else: Athena would tell only the one who queries."""
    try:
        if date.fromisoformat(value).isoformat() == value:
            return value
    except ValueError:
        pass
    raise BadParameter(name, f"{value!r} is not a day", hint="YYYY-MM-DD")


def check_database(name: str, value: str) -> str:
    """A database's name; raises `BadParameter` for one that Athena cannot query or that Glue writes otherwise."""
    if not _DATABASE.fullmatch(value):
        raise BadParameter(name, f"{value!r} cannot name a database", hint="lower-case letters, digits and _")
    return value


def table_input(table: Table, *, lake_uri: str, first_day: str) -> dict[str, Any]:
    """The table as `CreateTable` wants it; the same that `etl.ddl.create_table` says in SQL."""
    return {
        "Name": table.name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", **table_properties(table, first_day=first_day)},
        "PartitionKeys": [{"Name": table.partition_key, "Type": "string"}],
        "StorageDescriptor": {
            "Columns": glue_columns(table),
            "Location": f"{lake_uri.rstrip('/')}/{table.folder}/",
            **_PARQUET,
        },
    }


def merged_table(live: Json, expected: Json) -> dict[str, Any] | None:
    """What to update the live table to; None if it is as expected already.

    Columns are only added, at the end: Firehose and every older file know the others by their names and types. The first day of
    the projection only goes down. Raises `LakeMismatch` for a table that cannot become the expected one this way.
    """
    name = expected["Name"]
    if live.get("TableType") == "VIRTUAL_VIEW":
        raise LakeMismatch(name, "is a view, not a table", hint="drop it or choose another database")
    found, wanted = live.get("StorageDescriptor", {}), expected["StorageDescriptor"]
    if _location(found) != wanted["Location"]:
        raise LakeMismatch(
            name,
            f"lies at {_location(found) or 'no place'}, not {wanted['Location']}",
            hint="it belongs to another lake; choose another database",
        )
    if _names_and_types(live.get("PartitionKeys", [])) != _names_and_types(expected["PartitionKeys"]):
        raise LakeMismatch(name, "is partitioned by something else", hint="choose another database")
    merged = as_input(live)
    merged["TableType"] = expected["TableType"]
    merged["StorageDescriptor"] = {
        **found,
        **wanted,
        "Location": found["Location"],
        "SerdeInfo": {**found.get("SerdeInfo", {}), **wanted["SerdeInfo"]},
        "Columns": _with_new_columns(name, found.get("Columns", []), wanted["Columns"]),
    }
    parameters = {**live.get("Parameters", {}), **expected["Parameters"]}
    key = _range_key(expected)
    parameters[key] = _wider(live.get("Parameters", {}).get(key, ""), expected["Parameters"][key])
    # A projection that takes its places from a template reads another layout than ours.
    parameters.pop("storage.location.template", None)
    merged["Parameters"] = parameters
    return None if merged == as_input(live) else merged


def table_differences(live: Json, expected: Json) -> list[str]:
    """How the live table differs from the expected one, a short text each; empty if queries see what they must.

    Columns and properties beyond the expected are nobody's business; a range that starts earlier is compaction's.
    """
    found, wanted = live.get("StorageDescriptor", {}), expected["StorageDescriptor"]
    differences = []
    columns = dict(_names_and_types(found.get("Columns", [])))
    for name, kind in _names_and_types(wanted["Columns"]):
        if columns.get(name) != kind:
            differences.append(f"column {name} is {columns.get(name, 'missing')}, not {kind}")
    if _names_and_types(live.get("PartitionKeys", [])) != _names_and_types(expected["PartitionKeys"]):
        differences.append(f"partition keys are {[each['Name'] for each in live.get('PartitionKeys', [])]}")
    if _location(found) != wanted["Location"]:
        differences.append(f"location is {_location(found) or 'missing'}, not {wanted['Location']}")
    for part in ("InputFormat", "OutputFormat"):
        if found.get(part) != wanted[part]:
            differences.append(f"{part} is {found.get(part, 'missing')}")
    serde = found.get("SerdeInfo", {}).get("SerializationLibrary", "missing")
    if serde != wanted["SerdeInfo"]["SerializationLibrary"]:
        differences.append(f"SerDe is {serde}")
    properties = live.get("Parameters", {})
    for key, value in expected["Parameters"].items():
        if key.startswith("projection.") and not _projects(key, properties.get(key, ""), value):
            differences.append(f"{key} is {properties.get(key, 'missing')}, not {value}")
    if "storage.location.template" in properties:
        differences.append("storage.location.template is set")
    return differences


def as_input(live: Json) -> dict[str, Any]:
    """A table as `GetTable` gives it, as `UpdateTable` takes it: all of it that can be kept, but no text that is empty."""
    return {key: live[key] for key in _TABLE_INPUT if live.get(key, "") != ""}


def _with_new_columns(name: str, found: Sequence[Json], wanted: Sequence[Json]) -> list[dict[str, Any]]:
    ours = {column["Name"]: column for column in wanted}
    for column in found:
        kind = ours.get(column["Name"], column)["Type"]
        if column.get("Type") != kind:
            raise LakeMismatch(
                name,
                f"column {column['Name']} is {column.get('Type')}, not {kind}",
                hint="a column's type cannot change",
            )
    there = {column["Name"] for column in found}
    kept = [{**column, **ours.get(column["Name"], {})} for column in found]
    return kept + [dict(column) for column in wanted if column["Name"] not in there]


def _range_key(expected: Json) -> str:
    return f"projection.{expected['PartitionKeys'][0]['Name']}.range"


def _wider(live: str, expected: str) -> str:
    return min(live, expected) if _RANGE.fullmatch(live) else expected


def _projects(key: str, live: str, expected: str) -> bool:
    if key.endswith(".range"):
        return _RANGE.fullmatch(live) is not None and live <= expected
    return live == expected


def _location(storage: Json) -> str:
    location = str(storage.get("Location") or "")
    return location and location.rstrip("/") + "/"


def _names_and_types(columns: Sequence[Json]) -> list[tuple[str, str]]:
    return [(str(column["Name"]), str(column.get("Type"))) for column in columns]
