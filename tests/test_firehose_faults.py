"""Whatever Firehose answers: a row is delivered at least once, or whoever must hear of it is told."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from botocore.exceptions import EndpointConnectionError
from firehose_stand_in import ACCEPT, EVERY, THROTTLE, TIMEOUT, Answer
from firehose_world import RESERVE, World, documents_of, write_all
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.sinks import Delivered, _firehose, _pack


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., World]:
    def make(*script: Answer, **settings: Any) -> World:
        return World(tmp_path, script, **settings)

    return make


_dropped = st.frozensets(st.integers(0, 4))
_answers = st.one_of(
    st.just(ACCEPT),
    st.builds(Answer, _dropped),
    st.just(Answer(EVERY)),
    st.just(THROTTLE),
    st.builds(Answer, _dropped | st.just(EVERY), st.sampled_from([TIMEOUT, "InternalFailure", "ThrottlingException"])),
)
_hopeless = st.builds(Answer, st.just(EVERY), st.sampled_from(["AccessDeniedException", "ResourceNotFoundException"]))
_objects = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), max_size=8)


@contextlib.contextmanager
def small_limits() -> Iterator[None]:
    with (
        mock.patch.object(_pack, "RECORD_DOCUMENTS", 2),
        mock.patch.multiple(_firehose, CALL_RECORDS=4, CALL_BYTES=2500),
    ):
        yield


@given(
    objects=_objects,
    script=st.lists(_answers, max_size=12) | st.lists(_answers | _hopeless, max_size=12),
    seconds=st.sampled_from([10_000.0, 60.0, 24.0, 19.0]),
    call_seconds=st.sampled_from([0.01, 1.0, 30.0]),
)
@settings(max_examples=250)
def test_any_pattern_of_faults(
    objects: list[tuple[str, int]],
    script: list[Answer],
    seconds: float,
    call_seconds: float,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    world = World(_shared_folder(tmp_path_factory), script, seconds=seconds, call_seconds=call_seconds)
    with small_limits():
        rows = write_all(world, objects)
        lost = world.sink.finish()
        assert world.sink.finish() == lost

    firehose = world.firehose
    delivered = documents_of(firehose.taken)
    assert lost <= set(rows)
    for owner, own in rows.items():
        assert owner in lost or own <= set(delivered), f"rows of {owner} are gone, and nobody is told"
    assert set(delivered) <= set().union(*rows.values())
    assert bool(lost) == bool(world.sink.errors)
    assert not firehose.violations
    assert all(1 <= len(call) <= 4 for call in firehose.calls)
    assert all(sum(map(len, call)) <= 2500 or len(call) == 1 for call in firehose.calls)
    assert all(left >= RESERVE for left in world.left_at_calls)
    check_only_refused_records_are_sent_again(firehose.calls, script)
    # An error of a call tells nothing of its records; without one, nothing comes twice and the counts are exact.
    if not any(answer.error for answer in script[: len(firehose.calls)]):
        assert set(delivered.values()) <= {1}
        assert world.sink.delivered.documents == delivered.total()
        assert world.sink.delivered.records == len(firehose.taken)
        assert world.sink.delivered.bytes == sum(map(len, firehose.taken))
    sent = Counter(record for call in firehose.calls for record in call)
    assert world.sink.delivered.retried == sent.total() - len(sent)


def check_only_refused_records_are_sent_again(calls: list[list[bytes]], script: list[Answer]) -> None:
    accepted: set[bytes] = set()
    for number, call in enumerate(calls):
        assert not accepted & set(call), "a record that Firehose said it has"
        answer = script[number] if number < len(script) else ACCEPT
        if not answer.error:
            refused = [record for index, record in enumerate(call) if index in answer.dropped]
            accepted |= set(call) - set(refused)
            later = calls[number + 1] if number + 1 < len(calls) else None
            # Refused records are a call of their own, in their order; if not, time was up for them.
            assert (
                not refused or later is None or later == refused or not set(refused) & set().union(*calls[number + 1 :])
            )


_folders: dict[str, Path] = {}


def _shared_folder(factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples: nothing is written to it."""
    return _folders.setdefault("faults", factory.mktemp("faults", numbered=True))


@given(objects=_objects, script=st.lists(_answers, max_size=12))
@settings(max_examples=60)
def test_with_enough_time_every_row_arrives(
    objects: list[tuple[str, int]], script: list[Answer], tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = World(_shared_folder(tmp_path_factory), script, seconds=100_000.0)
    with small_limits():
        rows = write_all(world, objects)
        assert world.sink.finish() == frozenset()
    assert set(documents_of(world.firehose.taken)) == set().union(*rows.values())
    assert world.sink.errors == []


def test_only_the_owners_of_a_lost_record_are_reported(world: Callable[..., World]) -> None:
    """The second of three records is refused until the time is up."""
    own = world(*[Answer({1})], *[THROTTLE] * 100, seconds=60.0)
    with mock.patch.object(_pack, "RECORD_DOCUMENTS", 2):
        write_all(own, [("a", 3), ("b", 1), ("c", 2)])
        assert own.sink.finish() == {"a", "b"}
    assert own.sink.delivered.documents == 4
    assert own.sink.errors == ["no time was left to send all records"]


def test_waits_grow_with_jitter_and_stop_growing(world: Callable[..., World]) -> None:
    own = world(*[THROTTLE] * 12, call_seconds=0.0)
    write_all(own, [("a", 1)])
    own.sink.finish()
    assert own.sleeps == [min(10.0, 0.1 * 2**attempt) / 2 for attempt in range(1, 13)]


def test_without_time_no_call_is_made(world: Callable[..., World]) -> None:
    own = world(seconds=RESERVE - 0.001)
    write_all(own, [("a", 1)])
    assert own.sink.finish() == {"a"}
    assert own.left_at_calls == []
    assert own.sink.errors == ["no time was left to send all records"]


def test_a_wait_that_would_use_up_the_reserve_is_not_begun(world: Callable[..., World]) -> None:
    """After the first call 0.05 seconds are left, and the wait would be 0.1."""
    own = world(THROTTLE, seconds=RESERVE + 1.05)
    write_all(own, [("a", 1)])
    assert own.sink.finish() == {"a"}
    assert len(own.left_at_calls) == 1
    assert own.sleeps == []


@pytest.mark.parametrize(
    "code",
    [
        *("AccessDeniedException", "InvalidArgumentException", "ResourceNotFoundException", "ValidationException"),
        *("InvalidSourceException", "UnrecognizedClientException"),
    ],
)
def test_a_hopeless_error_stops_at_once(world: Callable[..., World], code: str) -> None:
    own = world(*[Answer(EVERY, code)] * 5)
    write_all(own, [("a", 1)])
    assert own.sink.finish() == {"a"}
    assert len(own.left_at_calls) == 1
    assert own.sleeps == []
    (reason,) = own.sink.errors
    assert code in reason
    assert "\n" not in reason


def test_trouble_with_the_network_is_tried_again(world: Callable[..., World]) -> None:
    own = world()
    write_all(own, [("a", 1)])
    answers = iter([EndpointConnectionError(endpoint_url="https://firehose.invalid/")])
    put = own.put_record_batch

    def fail_once(**arguments: Any) -> Any:
        for error in answers:
            raise error
        return put(**arguments)

    with mock.patch.object(own, "put_record_batch", fail_once):
        assert own.sink.finish() == frozenset()
    assert own.sink.delivered == Delivered(1, 1, 1, own.sink.delivered.bytes)


def test_an_answer_for_fewer_records_than_were_sent_accepts_none(world: Callable[..., World]) -> None:
    own = world()
    put = own.put_record_batch
    cut = iter([True])

    def put_and_cut(**arguments: Any) -> Any:
        answer = put(**arguments)
        if next(cut, False):
            answer["RequestResponses"].pop()
        return answer

    with mock.patch.object(_pack, "RECORD_DOCUMENTS", 1), mock.patch.object(own, "put_record_batch", put_and_cut):
        write_all(own, [("a", 2)])
        assert own.sink.finish() == frozenset()
    assert [len(call) for call in own.firehose.calls] == [2, 2]


@pytest.mark.parametrize("answer", [{}, {"message": "<html>"}], ids=["empty", "no JSON"])
def test_an_answer_that_is_none_reports_every_owner_of_its_records(
    world: Callable[..., World], answer: dict[str, Any]
) -> None:
    """Whoever writes when the call is made hears the error; the others whose records were in it must hear of it too."""
    own = world()
    with (
        mock.patch.multiple(_firehose, CALL_RECORDS=1),
        mock.patch.object(_pack, "RECORD_DOCUMENTS", 1),
        mock.patch.object(own, "put_record_batch", return_value=answer),
        contextlib.suppress(KeyError),
    ):
        write_all(own, [("a", 1), ("b", 2)])
    assert own.sink.finish() >= {"a"}
