"""The detector function: new Parquet files under raw/, announced by a queue, looked at for Signature Version 2.

Configured by its environment: `ACCESSLAKE_LAKE` (`s3://bucket/prefix`), and if the default does not fit
`ACCESSLAKE_MAX_OBJECT_BYTES`.

Lines and metrics come before the file of findings that says that they were told. So a run that is ended between them tells
twice and never not at all, which in a hunt is the better of the two; the findings are exact either way, as their file is
created once and whoever reads them counts each identity once. A message that comes again finds the file, and no finding is
told again (files without any are counted again): lines are doubled by crashes and by rivals at the same moment, not by every
delivery.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache
from io import BytesIO
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from etl.arrivals import embedded_metrics, read_messages
from etl.detect import (
    OBJECT_DETECTIONS,
    Detected,
    build_sigv2_findings,
    detect_file,
    findings_key,
    fold_findings,
    measure,
    object_findings_name,
    render_line,
    write_findings,
    write_lines,
    write_undecidable_lines,
)
from etl.errors import AccessLakeError, BadParameter, LakeUnusable, ObjectNotFound, first_line
from etl.lake import ObjectStore, open_store
from etl.lake._layout import RAW
from etl.lambdas._detection_metrics import DETECTION_UNITS, without_zeros
from etl.lambdas._log import log
from etl.masking import mask
from etl.sources import LogSource

_MAX_OBJECT_BYTES: Final = 512 << 20
_READ_WHOLE: Final = 4 << 20
"""Up to here one request for all of an object is cheaper than one for its footer and some for its columns."""
_MOST_FINDINGS: Final = 200_000
"""Of one file: more than the rows of a full buffer of Firehose."""
_TOLD_AT_ONCE: Final = 50_000
"""Findings that are held before they are told and written down."""
_BUILT_AT_ONCE: Final = 10_000
_RESERVE_SECONDS: Final = 40.0
"""Time kept for the file that is looked at and for what is held: with less left, no other one is begun."""
_REASON_LENGTH: Final = 1000
_BY_HAND: Final = "run accesslake detect on a machine"


class Outcome(Enum):
    """What became of a file; only what failed has its message come again."""

    DETECTED = "detected"
    KNOWN = "detected before"
    MISSING = "missing"
    """It was compacted meanwhile, and collected: `accesslake detect` finds its rows where they are now."""
    FOREIGN = "no raw file of the lake"
    """Trying again would not make it one; nothing of it is read."""
    FAILED = "not detected"


_COUNTED: Final[Mapping[Outcome, str]] = {
    Outcome.KNOWN: "ObjectsKnown",
    Outcome.MISSING: "ObjectsMissing",
    Outcome.FOREIGN: "ObjectsForeign",
    Outcome.FAILED: "ObjectsFailed",
}
_LEVELS: Final[Mapping[Outcome, str]] = {
    Outcome.KNOWN: "INFO",
    Outcome.MISSING: "INFO",
    Outcome.FOREIGN: "WARNING",
    Outcome.FAILED: "ERROR",
}


@dataclass(frozen=True)
class Looked:
    """One file that was announced; what is in it is held until it is told."""

    location: str
    outcome: Outcome
    reason: str = ""
    findings: pa.Table | None = None
    """What is to be told and written down; None if there is nothing."""
    findings_key: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html .

    A file that several messages announce is looked at once. No file's trouble reaches another.
    """

    def seconds_left() -> float:
        return float(context.get_remaining_time_in_millis()) / 1000

    def print_metrics(counts: Mapping[str, int]) -> None:
        metrics = without_zeros(counts)
        if metrics:
            line = embedded_metrics(metrics, function=context.function_name, now=now, units=DETECTION_UNITS)
            print(line, flush=True)

    now, store = datetime.now(UTC), _store()
    most = int(os.environ.get("ACCESSLAKE_MAX_OBJECT_BYTES", _MAX_OBJECT_BYTES))
    messages = read_messages(event)
    announced = {arrival.log.location: arrival.log for message in messages for arrival in message.arrivals}
    looked = (_look_at(file, store, now=now, most=most, seconds_left=seconds_left) for file in announced.values())
    ended: dict[str, Looked] = {}
    for group in _groups(looked):
        ended |= {each.location: each for each in _tell(group, store, print_metrics)}
    failed = {message.message_id: message.malformed for message in messages if message.malformed}
    for message in messages:
        if any(ended[arrival.log.location].outcome is Outcome.FAILED for arrival in message.arrivals):
            failed[message.message_id] = ""
    _log(ended.values(), failed)
    print_metrics(Counter(_COUNTED[each.outcome] for each in ended.values() if each.outcome in _COUNTED))
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _look_at(
    file: LogSource, store: ObjectStore, *, now: datetime, most: int, seconds_left: Callable[[], float]
) -> Looked:
    """What is in the file, whatever it is; whatever it raises is its outcome."""
    location, key = file.location, file.location.removeprefix(f"{store.uri}/")
    if not file.location.startswith(f"{store.uri}/{RAW}") or not key.endswith(".parquet"):
        return Looked(location, Outcome.FOREIGN, "only Parquet files under raw/ of the lake are looked at")
    if seconds_left() < _RESERVE_SECONDS:
        return Looked(location, Outcome.FAILED, "no time was left to look at it")
    if file.size > most:
        return Looked(location, Outcome.FAILED, f"{file.size} bytes are too many; {_BY_HAND}")
    try:
        return _find(location, key, _detect(store, key, file.size), store, now)
    except ObjectNotFound:
        return Looked(location, Outcome.MISSING, "it is gone")
    except Exception as error:  # whatever it is, it is this file's
        return Looked(location, Outcome.FAILED, _reason(error))


def _detect(store: ObjectStore, key: str, size: int) -> Detected:
    if size <= _READ_WHOLE:
        return detect_file(BytesIO(store.read(key)))
    return detect_file(store.path(key), filesystem=store.filesystem)


def _find(location: str, key: str, detected: Detected, store: ObjectStore, now: datetime) -> Looked:
    count = detected.hits.num_rows + detected.unsure.num_rows
    if count > _MOST_FINDINGS:
        raise LakeUnusable(location, f"{count} findings are more than fit", hint=_BY_HAND)
    findings = _build_findings(detected)
    counts = measure([detected])
    if not findings.num_rows:
        return Looked(location, Outcome.DETECTED, counts=counts)
    name = object_findings_name(key, OBJECT_DETECTIONS)
    # A message is tried for less than a day, so that one from yesterday may come again.
    today, yesterday = (findings_key(name, f"{now - timedelta(days=back):%Y-%m-%d}") for back in (0, 1))
    if any(any(store.list(each)) for each in (today, yesterday)):
        return Looked(location, Outcome.KNOWN, f"its {findings.num_rows} findings were written down before")
    return Looked(location, Outcome.DETECTED, findings=findings, findings_key=today, counts=counts)


def _build_findings(detected: Detected) -> pa.Table:
    """Some rows at a time: while they are built they are Python values, which take many times the room."""
    starts = range(0, max(detected.hits.num_rows, detected.unsure.num_rows, 1), _BUILT_AT_ONCE)
    parts = (
        replace(
            detected, hits=detected.hits.slice(at, _BUILT_AT_ONCE), unsure=detected.unsure.slice(at, _BUILT_AT_ONCE)
        )
        for at in starts
    )
    return fold_findings(pa.concat_tables([build_sigv2_findings(part) for part in parts]))


def _groups(looked: Iterable[Looked]) -> Iterator[list[Looked]]:
    """The files in their order, no more at a time than memory has room for."""
    group: list[Looked] = []
    held = 0
    for each in looked:
        group.append(each)
        held += 0 if each.findings is None else each.findings.num_rows
        if held >= _TOLD_AT_ONCE:
            yield group
            group, held = [], 0
    if group:
        yield group


def _tell(
    group: Sequence[Looked], store: ObjectStore, print_metrics: Callable[[Mapping[str, int]], None]
) -> Iterator[Looked]:
    """Tell what was found, then write it down: the files without their findings, and how that ended."""
    counts: Counter[str] = Counter()
    for each in group:
        counts.update(each.counts)
    found = [each.findings for each in group if each.findings is not None]
    if found:
        findings = pa.concat_tables(found)
        sigv2, undecidable = (
            findings.filter(pc.equal(findings.column("detection"), name)) for name in OBJECT_DETECTIONS
        )
        for line in (*write_lines(sigv2), *write_undecidable_lines(undecidable)):
            print(render_line(line), flush=True)
    print_metrics(counts)
    for each in group:
        yield replace(_write_down(each, store), findings=None)


def _write_down(looked: Looked, store: ObjectStore) -> Looked:
    try:
        if looked.findings is not None:
            write_findings(store, looked.findings, looked.findings_key)
    except Exception as error:  # the next one's findings may well be taken
        return replace(looked, outcome=Outcome.FAILED, reason=_reason(error))
    return looked


def _log(ended: Iterable[Looked], failed: Mapping[str, str]) -> None:
    """A line for each file that was not looked at, and for each message that nobody understands."""
    for each in ended:
        if each.reason:
            log(_LEVELS[each.outcome], each.outcome.value, object=mask(each.location), reason=mask(each.reason))
    for message_id, reason in failed.items():
        if reason:
            log("ERROR", "message failed", message=message_id, reason=mask(reason))


def _reason(error: Exception) -> str:
    if isinstance(error, AccessLakeError):
        return f"{error.reason}; {error.hint}" if error.hint else error.reason
    return f"{type(error).__name__}: {first_line(error)}"[:_REASON_LENGTH]


@cache
def _store() -> ObjectStore:
    lake = os.environ.get("ACCESSLAKE_LAKE", "")
    if not lake:
        raise BadParameter("ACCESSLAKE_LAKE", "is not set")
    return open_store(lake)
