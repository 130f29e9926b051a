"""The packer loses nothing, keeps order, keeps the limits, says whose documents are in a record, and fills records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby, pairwise
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl.sinks import Packer, Record, _pack
from etl.sinks._pack import MAX_RECORD_BYTES, RECORD_BYTES, RECORD_DOCUMENTS

Batch = tuple[str, list[str]]
"""An owner, and documents of theirs that came together."""
SMALL_BYTES, SMALL_DOCUMENTS = 40, 4


@contextmanager
def small_limits() -> Iterator[None]:
    with mock.patch.multiple(_pack, RECORD_BYTES=SMALL_BYTES, RECORD_DOCUMENTS=SMALL_DOCUMENTS):
        yield


def pack(batches: list[Batch]) -> list[Record]:
    packer = Packer()
    records = [record for owner, texts in batches for record in packer.add(pa.array(texts, pa.string()), owner)]
    return [*records, *packer.flush()]


def number(sizes: list[tuple[str, list[int]]]) -> list[Batch]:
    """Batches of different documents of these sizes (at least 5)."""
    count = iter(range(10_000))
    return [(owner, [f"{next(count):04}".ljust(size - 1, "x") + "\n" for size in some]) for owner, some in sizes]


def check(batches: list[Batch], records: list[Record], *, most_bytes: int, most_documents: int) -> None:
    flat = [(text, owner) for owner, texts in batches for text in texts]
    assert b"".join(record.data for record in records).decode() == "".join(text for text, _ in flat)
    place, contents = 0, []
    for record in records:
        inside = flat[place : place + record.documents]
        place += record.documents
        contents.append([text for text, _ in inside])
        assert record.data.decode() == "".join(contents[-1])
        assert record.owners == {owner for _, owner in inside}
        assert 1 <= record.documents <= most_documents
        assert len(record.data) <= most_bytes or record.documents == 1
    assert place == len(flat)
    for one, other in pairwise(contents):
        # As full as can be: the next document did not fit.
        size = sum(len(text) for text in one) + len(other[0])
        assert len(one) == most_documents or size > most_bytes


_sizes = st.integers(5, 12) | st.integers(36, 44) | st.integers(60, 130)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.lists(_sizes, max_size=9)), max_size=9))
@example([("a", [40, 40, 40])])
@example([("a", [41]), ("b", [5] * 5)])
@example([("a", [5] * 4), ("b", []), ("c", [5] * 4)])
@settings(max_examples=300)
def test_any_documents(sizes: list[tuple[str, list[int]]]) -> None:
    batches = number(sizes)
    with small_limits():
        records = pack(batches)
    check(batches, records, most_bytes=SMALL_BYTES, most_documents=SMALL_DOCUMENTS)


@given(st.lists(_sizes, min_size=1, max_size=9), st.data())
@settings(max_examples=60)
def test_documents_that_are_a_part_of_an_array(sizes: list[int], data: st.DataObject) -> None:
    """What the parser gives is often a slice: its offsets do not begin at 0."""
    ((_, texts),) = number([("a", sizes)])
    begin = data.draw(st.integers(0, len(texts)))
    packer = Packer()
    with small_limits():
        records = [*packer.add(pa.array(texts, pa.string()).slice(begin), "a"), *packer.flush()]
    check([("a", texts[begin:])], records, most_bytes=SMALL_BYTES, most_documents=SMALL_DOCUMENTS)


@pytest.mark.parametrize(
    "sizes",
    [
        [700] * 1100,
        [100] * 1100,
        [RECORD_BYTES, 1000, RECORD_BYTES - 1000, 1001],
        [MAX_RECORD_BYTES, 700, MAX_RECORD_BYTES, MAX_RECORD_BYTES],
        [RECORD_BYTES + 1, RECORD_BYTES - 700, 700, 700],
    ],
    ids=lambda sizes: f"{len(sizes)} of {sizes[0]}",
)
def test_the_limits_of_firehose(sizes: list[int]) -> None:
    batches = number([(f"owner-{place // 300}", [size for _, size in some]) for place, some in _in_tens(sizes)])
    records = pack(batches)
    check(batches, records, most_bytes=RECORD_BYTES, most_documents=RECORD_DOCUMENTS)
    assert all(len(record.data) <= MAX_RECORD_BYTES for record in records)


def _in_tens(sizes: list[int]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    for ten, some in groupby(enumerate(sizes), lambda each: each[0] // 10):
        yield ten * 10, list(some)


def test_the_limits_are_what_aws_allows_and_what_pays() -> None:
    assert RECORD_DOCUMENTS <= 500
    assert MAX_RECORD_BYTES <= 1_024_000
    for step in (5_000, 5_120):  # which of the two is billed is not documented
        assert RECORD_BYTES + -RECORD_BYTES % step <= 1.005 * RECORD_BYTES


def test_nothing_is_flushed_twice() -> None:
    packer = Packer()
    assert not list(packer.add(pa.array(["a\n"]), "a"))
    assert list(packer.flush()) == [Record(b"a\n", 1, frozenset("a"))]
    assert not list(packer.flush())
    assert not list(packer.add(pa.array([], pa.string()), "b"))
    assert not list(packer.flush())
