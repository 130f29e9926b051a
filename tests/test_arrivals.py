"""SQS messages to log objects, and a batch of them into a sink: every message ends right, whatever its neighbours do."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_shapes import plain_lines

from etl.arrivals import Message, Outcome, Taken, embedded_metrics, measure, read_messages, take_messages
from etl.arrivals._metrics import UNITS
from etl.errors import LakeUnusable, SourceNotFound, SourceReplaced, SourceUnreadable
from etl.parse import Parsed
from etl.sinks import Delivered, Written
from etl.sources import LogSource

LINES = b"\n".join(plain_lines(3, seed=1)) + b"\n"
LIMIT = 1 << 20


def s3_record(key: str, *, bucket: str = "logs", size: int = 100, **other: Any) -> dict[str, Any]:
    """One record of an S3 notification, shaped as S3 writes it."""
    stored = {"key": key, "size": size, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "0055AED6DCD90281E5"}
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2026-07-01T10:20:30.123Z",
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}, "object": stored},
        **other,
    }


def sqs_event(*bodies: object) -> dict[str, Any]:
    """A Lambda event with one message, `m0` on, for each body."""
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return {"Records": [{"messageId": f"m{n}", "body": text} for n, text in enumerate(texts)]}


def announce(*keys: str, **other: Any) -> Message:
    """A message that announces objects."""
    (message,) = read_messages(sqs_event({"Records": [s3_record(key, **other) for key in keys]}))
    return message


# --- Messages ---------------------------------------------------------------------------------------------------------


def test_a_notification_names_the_object_as_s3_knows_it() -> None:
    (message,) = read_messages(sqs_event({"Records": [s3_record("a/b+c%2Bd%C3%BC%3D.log", size=7)]}))
    (arrival,) = message.arrivals
    assert arrival.bucket == "logs"
    assert arrival.log == LogSource(
        "s3://logs/a/b c+dü=.log", "s3://logs/a/b c+dü=.log", 7, "d41d8cd98f00b204e9800998ecf8427e"
    )
    assert arrival.announced == datetime(2026, 7, 1, 10, 20, 30, 123000, tzinfo=UTC)


def test_several_records_and_an_sns_envelope() -> None:
    notification = {"Records": [s3_record("a"), s3_record("b", eventName="s3:ObjectCreated:CompleteMultipartUpload")]}
    envelope = {"Type": "Notification", "MessageId": "x", "Message": json.dumps(notification)}
    plain, wrapped = read_messages(sqs_event(notification, envelope))
    assert [arrival.log.source_key for arrival in plain.arrivals] == ["s3://logs/a", "s3://logs/b"]
    assert wrapped.arrivals == plain.arrivals
    assert (plain.message_id, wrapped.message_id) == ("m0", "m1")


@pytest.mark.parametrize(
    "body",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "logs"},
        {"Records": [s3_record("a", eventName="ObjectRemoved:Delete")]},
        {"Records": [s3_record("a", eventName="LifecycleExpiration:Delete")]},
        {"Records": []},
    ],
    ids=["test event", "removed", "expired", "none"],
)
def test_what_announces_nothing(body: object) -> None:
    assert read_messages(sqs_event(body)) == [Message("m0")]


@pytest.mark.parametrize(
    "body",
    [
        *("", "null", "no JSON", "[]", "{}", '"text"', "12"),
        {"Records": [s3_record("a", eventVersion="3.0")]},
        {"Records": [s3_record("a", size="many")]},  # type: ignore[arg-type]
        {"Records": [{"eventVersion": "2.1", "eventName": "ObjectCreated:Put", "s3": {}}]},
        {"Records": "a"},
        {"Type": "Notification", "Message": "{"},
    ],
)
def test_what_cannot_be_understood_fails_its_message_alone(body: object) -> None:
    broken, whole = read_messages(sqs_event(body, {"Records": [s3_record("a")]}))
    assert broken.malformed
    assert not broken.arrivals
    assert len(whole.arrivals) == 1


def test_an_event_of_something_else_is_no_batch() -> None:
    with pytest.raises(KeyError):
        read_messages({"detail": {}})


# --- A batch ----------------------------------------------------------------------------------------------------------


@dataclass
class MemorySink:
    """Keeps the rows it is given; loses those of some owners, and refuses some names outright."""

    lost: Callable[[str], bool] = lambda _: False
    unused: Collection[str] = ()
    rows: dict[str, int] = field(default_factory=dict)
    delivered: Delivered = field(default_factory=Delivered)
    errors: list[str] = field(default_factory=list)

    def write(self, parts: Iterable[Parsed], *, name: str, owner: str) -> Written:
        lines = rows = 0
        for part in parts:
            if not part.table.num_rows and part.quarantine["raw_line"][0].as_py().startswith(b"refuse"):
                raise LakeUnusable("s3://lake", "refused")
            lines, rows = lines + part.lines, rows + part.table.num_rows
        self.rows[owner] = rows
        return Written(lines, rows, lines - rows)

    def finish(self) -> frozenset[str]:
        return frozenset(filter(self.lost, self.rows))


def reader(objects: dict[str, bytes | Exception]) -> Callable[[LogSource], Iterator[bytes]]:
    def read(log: LogSource) -> Iterator[bytes]:
        content = objects[log.source_key.removeprefix("s3://logs/")]
        if isinstance(content, Exception):
            raise content
        yield content

    return read


def take(
    messages: list[Message],
    objects: dict[str, bytes | Exception],
    *,
    sink: MemorySink | None = None,
    seconds_left: Callable[[], float] = lambda: 300.0,
) -> Taken:
    return take_messages(
        messages,
        sink=sink or MemorySink(),
        buckets={"logs"},
        read=reader(objects),
        max_object_bytes=LIMIT,
        seconds_left=seconds_left,
    )


def outcomes(taken: Taken) -> dict[str, Outcome]:
    return {found.arrival.log.source_key.removeprefix("s3://logs/"): found.outcome for found in taken.objects}


GONE = SourceNotFound("s3://logs/gone", "is gone")
CASES: dict[str, tuple[bytes | Exception, Outcome]] = {
    "plain": (LINES, Outcome.TAKEN),
    "packed": (gzip.compress(LINES), Outcome.TAKEN),
    "unreadable lines": (b"no log line\n", Outcome.TAKEN),
    "gone": (GONE, Outcome.MISSING),
    "replaced": (SourceReplaced("s3://logs/replaced", "changed"), Outcome.MISSING),
    "unreadable": (SourceUnreadable("s3://logs/unreadable", "timeout"), Outcome.FAILED),
    "noise": (bytes(range(256)) * 100, Outcome.NOT_A_LOG),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(5000), Outcome.NOT_A_LOG),
    "half": (gzip.compress(LINES)[:-20], Outcome.NOT_A_LOG),
    "bomb": (gzip.compress(LINES * (LIMIT // len(LINES) + 2)), Outcome.TOO_LARGE),
    "refused by the lake": (b"refuse\n", Outcome.FAILED),
    "a defect": (ZeroDivisionError("of ours"), Outcome.FAILED),
}


def test_each_outcome_beside_all_others() -> None:
    """One poison object blocks none of its neighbours."""
    sink = MemorySink()
    messages = [Message(case, announce(case.replace(" ", "+")).arrivals) for case in CASES]
    messages += [
        Message("foreign", announce("plain", bucket="others").arrivals),
        Message("large", announce("large", size=LIMIT + 1).arrivals),
        Message("empty", announce("empty", size=0).arrivals),
        Message("malformed", malformed="no S3 notification"),
    ]
    taken = take(messages, {case: content for case, (content, _) in CASES.items()}, sink=sink)
    expected = {case: outcome for case, (_, outcome) in CASES.items()}
    expected |= {"s3://others/plain": Outcome.FOREIGN, "large": Outcome.TOO_LARGE, "empty": Outcome.TAKEN}
    assert outcomes(taken) == expected
    undone = {case for case, outcome in expected.items() if outcome not in (Outcome.TAKEN, Outcome.MISSING)}
    assert taken.failed.keys() == undone - {"s3://others/plain"} | {"foreign", "malformed"}
    assert all(taken.failed.values())
    assert sorted(sink.rows.values()) == [0, 3, 3]


def test_a_message_fails_with_any_of_its_objects_and_is_done_with_all() -> None:
    taken = take([announce("plain", "noise"), Message("ok", announce("plain").arrivals)], {
        "plain": LINES, "noise": bytes(range(256)) * 100,
    })  # fmt: skip
    assert taken.failed.keys() == {"m0"}


def test_an_object_announced_twice_is_read_once_and_lost_to_both() -> None:
    reads: list[str] = []

    def read(log: LogSource) -> Iterator[bytes]:
        reads.append(log.source_key)
        yield LINES

    messages = [Message("a", announce("plain").arrivals), Message("b", announce("plain").arrivals)]
    taken = take_messages(
        messages,
        sink=MemorySink(lost=lambda _: True),
        buckets={"logs"},
        read=read,
        max_object_bytes=LIMIT,
        seconds_left=lambda: 300.0,
    )
    assert reads == ["s3://logs/plain"]
    assert taken.failed.keys() == {"a", "b"}


def test_what_there_is_no_time_for_fails_and_is_not_read() -> None:
    left = iter([300.0, 300.0, 300.0, 300.0])
    read: list[str] = []
    keys = [f"k{n}" for n in range(50)]

    def parts(log: LogSource) -> Iterator[bytes]:
        read.append(log.source_key)
        yield LINES

    messages = [Message(key, announce(key).arrivals) for key in keys]
    taken = take_messages(
        messages,
        sink=MemorySink(),
        buckets={"logs"},
        read=parts,
        max_object_bytes=LIMIT,
        seconds_left=lambda: next(left, 1.0),
    )
    done = [key for key, outcome in outcomes(taken).items() if outcome is Outcome.TAKEN]
    assert set(done) | taken.failed.keys() == set(keys)
    assert len(read) < 10
    assert all("no time" in reason for reason in taken.failed.values())


def test_objects_are_read_side_by_side() -> None:
    together = threading.Barrier(4)

    def read(log: LogSource) -> Iterator[bytes]:
        together.wait(timeout=20)
        yield LINES

    messages = [Message(str(n), announce(f"k{n}").arrivals) for n in range(8)]
    taken = take_messages(
        messages,
        sink=MemorySink(),
        buckets={"logs"},
        read=read,
        max_object_bytes=LIMIT,
        seconds_left=lambda: 300.0,
    )
    assert not taken.failed


def test_a_large_object_is_read_in_parts_and_only_when_its_turn_comes() -> None:
    size = 64 << 20
    asked = 0

    def read(log: LogSource) -> Iterator[bytes]:
        nonlocal asked
        for _ in range(size // (4 << 20)):
            asked += 1
            yield LINES

    class Impatient(MemorySink):
        def write(self, parts: Iterable[Parsed], *, name: str, owner: str) -> Written:
            next(iter(parts))
            assert asked < 4
            raise LakeUnusable("s3://lake", "full")

    taken = take_messages(
        [announce("large", size=size)],
        sink=Impatient(),
        buckets={"logs"},
        read=read,
        max_object_bytes=1 << 30,
        seconds_left=lambda: 300.0,
    )
    assert taken.failed.keys() == {"m0"}
    assert asked < 4


@given(
    st.lists(st.lists(st.sampled_from([*CASES]), max_size=3), max_size=6),
    st.sets(st.sampled_from(["plain", "packed", "unreadable lines"])),
)
@settings(max_examples=60)
def test_any_batch(batch: list[list[str]], lost: set[str]) -> None:
    """A message is reported if, and only if, an object of it is neither taken whole nor gone."""
    names: dict[str, str] = {}
    messages = []
    for number, cases in enumerate(batch):
        arrivals = announce(*(case.replace(" ", "+") for case in cases)).arrivals
        messages.append(Message(str(number), arrivals))
    sink = MemorySink()
    sink.lost = lambda name: names.get(name, "") in lost
    from etl.arrivals._take import _name

    for message in messages:
        for arrival in message.arrivals:
            names[_name(arrival)] = arrival.log.source_key.removeprefix("s3://logs/")
    taken = take(messages, {case: content for case, (content, _) in CASES.items()}, sink=sink)
    undone = {case for case, (_, outcome) in CASES.items() if not outcome.done} | lost
    assert taken.failed.keys() == {str(number) for number, cases in enumerate(batch) if undone.intersection(cases)}


# --- Metrics ----------------------------------------------------------------------------------------------------------


def test_metrics_say_what_the_batch_did() -> None:
    messages = [Message(case, announce(case.replace(" ", "+")).arrivals) for case in CASES]
    taken = take(messages, {case: content for case, (content, _) in CASES.items()})
    now = datetime(2026, 7, 1, 10, 20, 30, 123000, tzinfo=UTC) + timedelta(seconds=90)
    metrics = measure(taken, Delivered(6, 2, 1, 4000), now=now)
    assert metrics == {
        "Messages": 12,
        "MessagesFailed": 7,
        "Objects": 12,
        "ObjectsFailed": 3,
        "ObjectsMissing": 2,
        "ObjectsForeign": 0,
        "ObjectsTooLarge": 1,
        "ObjectsNotLogs": 3,
        "Lines": 7,
        "LinesQuarantined": 1,
        "Documents": 6,
        "Records": 2,
        "RecordsRetried": 1,
        "BytesSent": 4000,
        "ObjectLagSeconds": 90.0,
    }
    assert metrics.keys() == UNITS.keys()
    line = json.loads(embedded_metrics(metrics, function="parser", now=now))
    assert line["_aws"]["Timestamp"] == 1782901320123
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "accesslake"
    assert directive["Dimensions"] == [["Function"]]
    assert line["Function"] == "parser"
    assert {metric["Name"]: line[metric["Name"]] for metric in directive["Metrics"]} == metrics


def test_a_batch_of_nothing_has_no_lag() -> None:
    assert "ObjectLagSeconds" not in measure(take([], {}), Delivered(), now=datetime.now(UTC))
