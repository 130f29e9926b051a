"""Checks of the way out: Firehose with its conversion, and the workgroup that queries. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from etl.doctor._check import Check, judge
from etl.doctor._deployed import Deployed
from etl.schema import JSON_KEYS, RAW_TABLE

_LEAST_MEGABYTES: Final = 64
_MOST_SECONDS: Final = 900
_LEAST_CUTOFF: Final = 10_000_000
_UPDATE: Final = "update the stack; rows that were converted wrongly are in errors/, see accesslake replay"


def stream_checks(deployed: Deployed) -> Iterator[Check]:
    """What Firehose does to the documents and where it puts them; nothing for a stack without it."""
    stream, stack = deployed.stream, deployed.stack
    if stream is None:
        return
    prefix = stack.lake_prefix
    yield judge(
        "stream conversion",
        stream,
        _conversion_problems,
        expected="JSON to Parquet: SNAPPY inside, UNCOMPRESSED outside, dictionaries",
        advice=_UPDATE,
    )
    yield judge(
        "stream mapping",
        stream,
        _mapping_problems,
        expected=f"the JSON keys of {len(JSON_KEYS)} columns",
        advice=f"{_UPDATE}; a column without its key is null in every row",
    )
    yield judge(
        "stream buffer",
        stream,
        _buffer_problems,
        expected=f"at least {_LEAST_MEGABYTES} MB, at most {_MOST_SECONDS} s",
        advice=_UPDATE,
    )
    yield judge(
        "stream prefixes",
        stream,
        lambda found: _differences(
            _destination(found),
            {
                "BucketARN": f"arn:{stack.outputs['QueueArn'].split(':')[1]}:s3:::{stack.lake_bucket}",
                "Prefix": f"{prefix}raw/ingest_date=!{{timestamp:yyyy-MM-dd}}/",
                "ErrorOutputPrefix": f"{prefix}errors/!{{firehose:error-output-type}}/!{{timestamp:yyyy-MM-dd}}/",
            },
        ),
        expected="raw/ by day of arrival, errors/ outside every table",
        advice=f"{_UPDATE}; objects elsewhere are in no table",
    )
    yield judge(
        "stream schema",
        stream,
        lambda found: _differences(
            _conversion(found).get("SchemaConfiguration", {}),
            {"DatabaseName": stack.database, "TableName": RAW_TABLE.name, "VersionId": "LATEST"},
        ),
        expected=f"{stack.database}.{RAW_TABLE.name}, its latest version",
        advice=_UPDATE,
    )


def workgroup_check(deployed: Deployed) -> Check:
    """A query that forgets its day must not cost what the lake weighs."""
    return judge(
        "workgroup cutoff",
        deployed.workgroup,
        _cutoff_problems,
        expected=f"a scan limit of {_LEAST_CUTOFF:,} bytes or more that clients cannot override",
        advice="update the stack",
    )


def _conversion_problems(stream: dict[str, Any]) -> Iterator[str]:
    if stream.get("DeliveryStreamStatus") != "ACTIVE":
        yield f"the stream is {stream.get('DeliveryStreamStatus')}"
    conversion = _conversion(stream)
    if not conversion.get("Enabled"):
        yield "conversion is off"
    parquet = conversion.get("OutputFormatConfiguration", {}).get("Serializer", {}).get("ParquetSerDe")
    if parquet is None:
        yield "it does not write Parquet"
    else:
        yield from _differences(parquet, {"Compression": "SNAPPY", "EnableDictionaryCompression": True})
    yield from _differences(_destination(stream), {"CompressionFormat": "UNCOMPRESSED"})


def _mapping_problems(stream: dict[str, Any]) -> Iterator[str]:
    deserializer = _conversion(stream).get("InputFormatConfiguration", {}).get("Deserializer", {})
    yield from _differences(deserializer.get("OpenXJsonSerDe", {}).get("ColumnToJsonKeyMappings", {}), JSON_KEYS)


def _buffer_problems(stream: dict[str, Any]) -> Iterator[str]:
    hints = _destination(stream).get("BufferingHints", {})
    size, seconds = hints.get("SizeInMBs", 0), hints.get("IntervalInSeconds", 0)
    if size < _LEAST_MEGABYTES:
        yield f"{size} MB"
    if not 0 < seconds <= _MOST_SECONDS:
        yield f"{seconds} s"


def _cutoff_problems(workgroup: dict[str, Any]) -> Iterator[str]:
    configuration = workgroup.get("Configuration", {})
    if int(configuration.get("BytesScannedCutoffPerQuery") or 0) < _LEAST_CUTOFF:
        yield "there is none"
    if not configuration.get("EnforceWorkGroupConfiguration"):
        yield "clients can override it"
    if workgroup.get("State", "ENABLED") != "ENABLED":
        yield f"the workgroup is {workgroup['State']}"


def _destination(stream: dict[str, Any]) -> dict[str, Any]:
    destinations = stream.get("Destinations") or [{}]
    found: dict[str, Any] = destinations[0].get("ExtendedS3DestinationDescription", {})
    return found


def _conversion(stream: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _destination(stream).get("DataFormatConversionConfiguration", {})
    return found


def _differences(found: dict[str, Any], expected: dict[str, Any] | dict[str, str]) -> Iterator[str]:
    for name, value in expected.items():
        if found.get(name) != value:
            yield f"{name} is {found.get(name, 'not set')}, not {value}"
