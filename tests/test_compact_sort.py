"""Rows are sorted in bounded memory, whatever their keys are."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_lakes import DAY_1, difference, put_raw, raw_row, read_lake

from etl.compact import _rewrite, compact
from etl.compact._sort import PLACE, SORT_KEY, Parts, choose_bounds
from etl.lake import create_lake, open_lake

KEYS = st.lists(st.integers(0, 30) | st.integers(0, 2**62), max_size=60)


def batch(keys: list[int], first: int = 0) -> pa.RecordBatch:
    places = list(range(first, first + len(keys)))
    columns = [pa.array([f"row {place}" for place in places]), pa.array(keys, pa.int64()), pa.array(places, pa.int64())]
    return pa.RecordBatch.from_arrays(columns, ["text", SORT_KEY, PLACE])


def ints(values: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, np.int64)


@settings(max_examples=60, deadline=None)
@given(keys=KEYS, sample=KEYS, target=st.integers(1, 8), size=st.integers(1, 20))
@example(keys=[5] * 9 + [4, 6], sample=[5] * 9, target=2, size=3)
def test_all_rows_come_out_sorted_by_key_and_place(keys: list[int], sample: list[int], target: int, size: int) -> None:
    bounds = choose_bounds(ints(sample), np.ones(len(sample), np.int64), target=target)
    with TemporaryDirectory() as folder:
        parts = Parts(Path(folder) / "parts", bounds)
        for start in range(0, len(keys), size):
            parts.add(batch(keys[start : start + size], start))
        found = [row["text"] for rows in parts.read_sorted() for row in rows.to_pylist()]
    assert found == [f"row {place}" for _, place in sorted(zip(keys, range(len(keys)), strict=True))]


def sizes(keys: list[int], bounds: list[int]) -> list[int]:
    found = np.bincount(np.searchsorted(ints(bounds), ints(keys), side="right"), minlength=len(bounds) + 1)
    return [int(size) for size in found]


def test_parts_are_of_about_equal_weight() -> None:
    keys = list(range(0, 10_000, 7))
    bounds = choose_bounds(ints(keys), np.full(len(keys), 3), target=300).tolist()
    assert set(sizes(keys, bounds)[:-1]) == {100}
    heavy = choose_bounds(ints(keys), np.array([300 if key < 70 else 3 for key in keys]), target=300).tolist()
    assert sizes(keys, heavy)[1:20:2] == [1] * 10, "a row that is as long as a hundred others"


def test_a_key_that_is_too_much_for_a_part_has_one_of_its_own() -> None:
    bounds = choose_bounds(ints([1, 2, 3, *[7] * 50, 8, 9]), np.ones(55, np.int64), target=10).tolist()
    assert {7, 8} <= set(bounds)
    assert bounds == sorted(set(bounds))


def test_no_sample_is_one_part() -> None:
    assert choose_bounds(ints([]), ints([]), target=1).tolist() == []


def test_a_lake_of_many_parts_is_sorted_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the rows are of one second, and some of a time before the first part's or of no operation."""
    create_lake(str(tmp_path))
    for number in range(6):
        rows = [
            raw_row(
                f"s3://logs/{number}",
                line_no,
                f"2024-05-0{1 + line_no % 2}T0{line_no % 3}:00:0{line_no % 4 // 2 * (line_no % 9)}",
                bucket_name=f"b{line_no % 4}",
                operation=None if line_no % 11 == 0 else f"REST.GET.{line_no % 5}",
                request_id=f"{number}/{line_no}",
            )
            for line_no in range(1, 200)
        ]
        put_raw(tmp_path, f"raw-{number}", rows)
    truth = read_lake(tmp_path)
    monkeypatch.setattr(_rewrite, "BYTES_PER_PART", 2000)
    monkeypatch.setattr(_rewrite, "_ROWS_PER_BATCH", 70)
    monkeypatch.setattr(_rewrite, "_SAMPLED_ROWS", 300)
    compact(str(tmp_path), now=DAY_1)
    assert not difference(read_lake(tmp_path), truth)
    files = open_lake(str(tmp_path)).snapshot().compacted
    assert [file.day for file in files] == ["2024-05-01", "2024-05-02"]
    for file in files:
        with pq.ParquetFile(file.path) as parquet:
            columns = ["bucket_name", "operation", "request_time"]
            found = [tuple(row.values()) for row in parquet.read(columns=columns).to_pylist()]
        assert found == sorted(found, key=lambda row: (row[0], row[1] or "", row[2]))
