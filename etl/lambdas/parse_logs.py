"""The parser function: a batch of SQS messages in, rows to the sink, and the messages that must come again out.

Configured by its environment: `ACCESSLAKE_LAKE` (`s3://bucket/prefix`), `ACCESSLAKE_LOG_BUCKETS` (separated by commas),
`ACCESSLAKE_SINK` (`firehose` or `parquet`), `ACCESSLAKE_STREAM` (for the former), `ACCESSLAKE_MAX_OBJECT_BYTES`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, cast

import boto3
from botocore.config import Config

from etl.arrivals import Taken, embedded_metrics, measure, read_messages, take_messages
from etl.errors import BadParameter
from etl.lake import ObjectStore, open_store
from etl.lambdas._log import log
from etl.masking import mask
from etl.sinks import FirehoseClient, FirehoseSink, ParquetSink, Sink
from etl.sources import read_stored_parts

_MAX_OBJECT_BYTES: Final = 512 << 20
_ONE_TRY: Final = Config(connect_timeout=4, read_timeout=15, retries={"total_max_attempts": 1})
"""The sink tries again itself, and knows how much time is left."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html ."""

    def seconds_left() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    now = datetime.now(UTC)
    sink = _open_sink(f"{now:%Y-%m-%d}", seconds_left)
    taken = take_messages(
        read_messages(event),
        sink=sink,
        buckets=frozenset(_setting("ACCESSLAKE_LOG_BUCKETS").split(",")),
        read=read_stored_parts,
        max_object_bytes=int(os.environ.get("ACCESSLAKE_MAX_OBJECT_BYTES", _MAX_OBJECT_BYTES)),
        seconds_left=seconds_left,
    )
    _log(taken, sink.errors)
    metrics = measure(taken, sink.delivered, now=datetime.now(UTC))
    print(embedded_metrics(metrics, function=context.function_name, now=now), flush=True)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in taken.failed]}


def _open_sink(ingest_date: str, seconds_left: Callable[[], float]) -> Sink:
    kind = os.environ.get("ACCESSLAKE_SINK", "firehose")
    if kind == "firehose":
        stream = _setting("ACCESSLAKE_STREAM")
        return FirehoseSink(_firehose(), stream, _store(), ingest_date=ingest_date, seconds_left=seconds_left)
    if kind == "parquet":
        return ParquetSink(_store(), ingest_date=ingest_date)
    raise BadParameter("ACCESSLAKE_SINK", f"{kind!r} is neither firehose nor parquet")


def _log(taken: Taken, errors: list[str]) -> None:
    """A line for each object that is not taken, and for what the sink says; hostile text cannot leave its line."""
    for found in taken.objects:
        if found.reason:
            _say(found.outcome.value, found.reason)
    for message_id, reason in taken.failed.items():
        _say("message failed", f"{message_id}: {reason}")
    for error in errors:
        _say("sink", error)


def _say(what: str, reason: str) -> None:
    log("ERROR", what, reason=mask(reason))


def _setting(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise BadParameter(name, "is not set")
    return value


@cache
def _firehose() -> FirehoseClient:
    client: Any = boto3.client("firehose", config=_ONE_TRY)
    return cast(FirehoseClient, client)


@cache
def _store() -> ObjectStore:
    return open_store(_setting("ACCESSLAKE_LAKE"))
