"""The bill, part by part, with the arithmetic of each. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from etl.cost import _prices as price
from etl.cost import _workload as given
from etl.cost._workload import DAYS, GB, Workload
from etl.errors import BadParameter

_SECONDS_A_MONTH: Final = DAYS * 86_400
_TB: Final = 1e12


@dataclass(frozen=True)
class LineItem:
    """One part of the bill: USD a month, and how that comes about."""

    name: str
    usd: float
    how: str


@dataclass(frozen=True)
class Estimate:
    """The bill of one way, and what the ways in cost beside each other, without storage and queries."""

    workload: Workload
    sink: str
    items: tuple[LineItem, ...]
    alternatives: tuple[LineItem, ...]
    """Ways to have these lines where they can be queried."""

    @property
    def total(self) -> float:
        """USD a month."""
        return sum(item.usd for item in self.items)


def cost(workload: Workload, *, sink: str = "firehose") -> Estimate:
    """The monthly bill for a workload through `firehose` or `parquet`, beside the alternatives.

    Linear list prices: no free tier, no discounts for volume, no data transfer (everything is in one region). Raises
    `BadParameter` for another sink.
    """
    if sink not in _SINKS:
        raise BadParameter("--sink", f"{sink!r} is none", hint=" or ".join(_SINKS))
    items = (*_front(workload), *_SINKS[sink](workload), *_rest(workload, sink))
    return Estimate(workload, sink, items, _alternatives(workload))


def _front(load: Workload) -> tuple[LineItem, ...]:
    """What reading the log objects costs, whatever the sink."""
    waiting = load.objects * given.GET_SECONDS
    parsing = load.lines / given.LINES_PER_SECOND
    gb_seconds = (waiting + parsing) * given.LAMBDA_GB
    messages = load.objects * given.SQS_REQUESTS
    return (
        LineItem(
            "log bucket, GETs",
            load.objects / 1e3 * price.S3_GET.usd,
            f"{load.objects:,.0f} objects x ${price.S3_GET.usd}/1,000",
        ),
        LineItem(
            "SQS",
            messages / 1e6 * price.SQS.usd,
            f"{load.objects:,.0f} messages x {given.SQS_REQUESTS} requests x ${price.SQS.usd:.2f}/M",
        ),
        LineItem(
            "Lambda, parser",
            gb_seconds * price.LAMBDA_ARM.usd,
            f"({waiting:,.0f} s of GETs + {parsing:,.0f} s of parsing) x {given.LAMBDA_GB:.2f} GB"
            f" x ${price.LAMBDA_ARM.usd:.10f}/GB-s",
        ),
        LineItem(
            "Lambda, requests",
            load.batches / 1e6 * price.LAMBDA_REQUESTS.usd,
            f"{load.batches:,.0f} batches of {given.BATCH_MESSAGES} messages x ${price.LAMBDA_REQUESTS.usd:.2f}/M",
        ),
    )


def _firehose(load: Workload) -> tuple[LineItem, ...]:
    document = load.bytes_per_line * given.DOCUMENT_SHARE
    documents = given.documents_per_record(document)
    billed = given.packed_bytes(load.lines, document, batches=load.batches)
    calls = load.lines * document / given.CALL_BYTES
    waiting = calls * given.CALL_SECONDS
    objects = _firehose_objects(load, document)
    gb = billed / GB
    how = (
        f"{load.lines / documents:,.0f} records of {documents} documents of {document:,.0f} B,"
        f" {given.billed_record_bytes(documents * document):,} B billed each: {gb:,.3f} GB"
    )
    return (
        LineItem(
            "Lambda, sending",
            waiting * given.LAMBDA_GB * price.LAMBDA_ARM.usd,
            f"{calls:,.0f} calls x {given.CALL_SECONDS} s x {given.LAMBDA_GB:.2f} GB",
        ),
        LineItem("Firehose, ingestion", gb * price.FIREHOSE_INGESTION.usd, f"{how} x ${price.FIREHOSE_INGESTION.usd}"),
        LineItem(
            "Firehose, conversion",
            gb * price.FIREHOSE_CONVERSION.usd,
            f"{gb:,.3f} GB x ${price.FIREHOSE_CONVERSION.usd}",
        ),
        LineItem(
            "S3, PUTs", objects / 1e3 * price.S3_PUT.usd, f"{objects:,.0f} raw objects x ${price.S3_PUT.usd}/1,000"
        ),
    )


def _firehose_objects(load: Workload, document: float) -> float:
    """One whenever the buffer is full or its time is up, whichever comes first."""
    return max(load.lines * document / given.BUFFER_BYTES, min(_SECONDS_A_MONTH / given.BUFFER_SECONDS, load.objects))


def _parquet(load: Workload) -> tuple[LineItem, ...]:
    return (
        LineItem(
            "S3, PUTs",
            load.objects / 1e3 * price.S3_PUT.usd,
            f"{load.objects:,.0f} raw objects, one a log object, x ${price.S3_PUT.usd}/1,000",
        ),
    )


_SINKS: Final[dict[str, Callable[[Workload], tuple[LineItem, ...]]]] = {"firehose": _firehose, "parquet": _parquet}


def _rest(load: Workload, sink: str) -> tuple[LineItem, ...]:
    """Compaction, storage once `days_kept` have passed, queries and watching."""
    document = load.bytes_per_line * given.DOCUMENT_SHARE
    raw_objects = _firehose_objects(load, document) if sink == "firehose" else load.objects
    seconds = load.lines / given.COMPACT_ROWS_PER_SECOND
    looking = raw_objects * given.DETECT_SECONDS + load.lines / given.DETECT_ROWS_PER_SECOND
    logs = load.log_bytes / DAYS * given.LOG_DAYS / GB
    raw = load.log_bytes / DAYS * given.RAW_DAYS * given.RAW_SHARE / GB
    compacted = load.log_bytes / DAYS * load.days_kept * given.COMPACTED_SHARE / GB
    scanned = load.queries_per_day * DAYS * _scanned(load, given.COMPACTED_SHARE * given.QUERY_SHARE)
    return (
        LineItem(
            "compaction",
            seconds * given.COMPACT_GB * price.LAMBDA_ARM.usd
            + raw_objects * given.COMPACT_REQUESTS / 1e3 * price.S3_GET.usd,
            f"{seconds:,.0f} s x {given.COMPACT_GB:.2f} GB x ${price.LAMBDA_ARM.usd:.10f}/GB-s"
            f" + {raw_objects:,.0f} raw objects x {given.COMPACT_REQUESTS} GETs x ${price.S3_GET.usd}/1,000",
        ),
        LineItem(
            "detection",
            looking * given.DETECT_GB * price.LAMBDA_ARM.usd
            + raw_objects / given.BATCH_MESSAGES / 1e6 * price.LAMBDA_REQUESTS.usd
            + raw_objects * given.SQS_REQUESTS / 1e6 * price.SQS.usd
            + raw_objects * given.DETECT_REQUESTS / 1e3 * price.S3_GET.usd,
            f"{looking:,.0f} s x {given.DETECT_GB:.2f} GB x ${price.LAMBDA_ARM.usd:.10f}/GB-s"
            f" + {raw_objects:,.0f} raw objects: calls, messages, {given.DETECT_REQUESTS} GETs each",
        ),
        LineItem(
            "storage, text logs",
            logs * price.S3_STORAGE.usd,
            f"{given.LOG_DAYS} days: {logs:,.2f} GB x ${price.S3_STORAGE.usd}",
        ),
        LineItem(
            "storage, raw/",
            raw * price.S3_STORAGE.usd,
            f"{given.RAW_DAYS} days x {given.RAW_SHARE} of the log's bytes: {raw:,.2f} GB x ${price.S3_STORAGE.usd}",
        ),
        LineItem(
            "storage, compacted/",
            compacted * price.S3_STORAGE.usd,
            f"{load.days_kept} days x {given.COMPACTED_SHARE} of the log's bytes: {compacted:,.2f} GB"
            f" x ${price.S3_STORAGE.usd}",
        ),
        LineItem(
            "Athena",
            scanned / _TB * price.ATHENA.usd,
            f"{load.queries_per_day * DAYS:,} queries of {given.QUERY_DAYS} days and {given.QUERY_SHARE:.0%} of the"
            f" bytes: {scanned / GB:,.2f} GB x ${price.ATHENA.usd:.0f}/TB",
        ),
        LineItem(
            "CloudWatch",
            (given.METRICS + given.DETECTION_METRICS + given.COMPACTION_METRICS / 24) * price.METRIC.usd
            + given.ALARMS * price.ALARM.usd,
            f"({given.METRICS} metrics + {given.DETECTION_METRICS} of the detector"
            f" + {given.COMPACTION_METRICS} in one hour a day) x ${price.METRIC.usd:.2f}"
            f" + {given.ALARMS} alarms x ${price.ALARM.usd:.2f}, whatever the volume",
        ),
    )


def _scanned(load: Workload, share: float) -> float:
    """Bytes that one query reads; Athena bills 10 MB at least (https://aws.amazon.com/athena/pricing/)."""
    days = max(1, min(given.QUERY_DAYS, load.days_kept))
    return max(load.log_bytes / DAYS * days * share, 1e7)


def _alternatives(load: Workload) -> tuple[LineItem, ...]:
    front = sum(item.usd for item in _front(load))
    rate = price.FIREHOSE_INGESTION.usd + price.FIREHOSE_CONVERSION.usd
    recipe = given.billed_record_bytes(load.bytes_per_line * given.RECIPE_SHARE)
    recipe_gb = load.lines * recipe / GB
    vended = load.log_bytes * given.VENDED_SHARE / GB
    scanned = load.queries_per_day * DAYS * _scanned(load, 1.0)
    return (
        LineItem("accesslake, firehose", front + _sum(_firehose(load)), "as above: reading, sending, converting"),
        LineItem("accesslake, parquet", front + _sum(_parquet(load)), "reading, and one PUT a log object"),
        LineItem(
            "recipe: one document a record",
            front + recipe_gb * rate,
            f"the same reading + {load.lines:,.0f} records billed {recipe:,} B: {recipe_gb:,.3f} GB x ${rate:.3f}",
        ),
        LineItem(
            "AWS's own delivery, to CloudWatch Logs",
            vended * price.VENDED_STANDARD.usd,
            f"{vended:,.3f} GB x ${price.VENDED_STANDARD.usd:.2f}; falls with volume, and there is no back-fill",
        ),
        LineItem(
            "AWS's own delivery, to S3",
            vended * price.VENDED_S3.usd,
            f"{vended:,.3f} GB x ${price.VENDED_S3.usd:.2f}, perhaps more as Parquet; falls with volume, no back-fill",
        ),
        LineItem(
            "CloudTrail data events",
            load.lines / 1e5 * price.CLOUDTRAIL.usd,
            f"{load.lines:,.0f} events x ${price.CLOUDTRAIL.usd:.2f}/100,000, without storage",
        ),
        LineItem(
            "raw text in Athena",
            scanned / _TB * price.ATHENA.usd,
            f"nothing to ingest; {load.queries_per_day * DAYS:,} queries read all bytes of {given.QUERY_DAYS} days:"
            f" {scanned / GB:,.2f} GB x ${price.ATHENA.usd:.0f}/TB",
        ),
    )


def _sum(items: tuple[LineItem, ...]) -> float:
    return sum(item.usd for item in items)
