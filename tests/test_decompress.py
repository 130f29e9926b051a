"""A gzip stream gives its bytes whole or an error, wherever it is cut, and never more at once than a part."""

from __future__ import annotations

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import CorruptSource
from etl.sources import _decompress, decompress


@given(
    data=st.binary(max_size=4000),
    members=st.integers(1, 3),
    cuts=st.lists(st.integers(0, 5000)),
    part=st.integers(1, 900),
)
def test_a_stream_may_be_cut_anywhere(data: bytes, members: int, cuts: list[int], part: int) -> None:
    edges = [0, *(len(data) * number // members for number in range(1, members)), len(data)]
    packed = b"".join(gzip.compress(data[start:end]) for start, end in pairwise(edges))
    places = sorted({0, len(packed), *(cut for cut in cuts if cut < len(packed))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_decompress, "PART_BYTES", part)
        plain = list(decompress((packed[start:end] for start, end in pairwise(places)), source_key="x"))
    assert b"".join(plain) == data
    assert all(0 < len(piece) <= part for piece in plain)


@given(data=st.binary(min_size=1, max_size=300), cut=st.integers(0, 400), cuts=st.lists(st.integers(0, 400)))
def test_a_stream_that_ends_early_is_never_taken_for_a_whole_one(data: bytes, cut: int, cuts: list[int]) -> None:
    packed = gzip.compress(data)
    packed = packed[: 2 + cut % (len(packed) - 2)]
    places = sorted({0, len(packed), *(place for place in cuts if place < len(packed))})
    with pytest.raises(CorruptSource):
        list(decompress((packed[start:end] for start, end in pairwise(places)), source_key="x"))


@given(parts=st.lists(st.binary(max_size=5)))
def test_what_is_not_gzip_comes_through_as_it_is(parts: list[bytes]) -> None:
    data = b"".join(parts)
    if not data.startswith(b"\x1f\x8b"):
        assert b"".join(decompress(iter(parts), source_key="x")) == data


def test_a_bomb_comes_in_parts_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_decompress, "PART_BYTES", 1 << 12)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(8)) + packer.flush()
    sizes = [len(part) for part in decompress(iter([bomb]), source_key="x")]
    assert sum(sizes) == 8 << 20
    assert max(sizes) <= 1 << 12
