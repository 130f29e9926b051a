"""Rows that are looked for most stand first in their day, in row groups of their own, and statistics exclude the others."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_lakes import DAY_3, put_raw, raw_row

from etl.compact import _outputs, compact
from etl.compact._order import FILE_ORDER, SOUGHT_FIRST, is_sought
from etl.detect import detect_file
from etl.lake import create_lake, open_lake
from etl.schema import SCHEMA

VERSIONS = (None, "SigV2", "SigV4", "SigV", "")
STATUSES = (None, "clean", "short", "ambiguous")
EVERY_PAIR = pa.RecordBatch.from_pylist(
    [
        {"signature_version": version, "parse_status": status}
        for version, status in itertools.product(VERSIONS, STATUSES)
    ],
    pa.schema([("signature_version", pa.string()), ("parse_status", pa.string())]),
)


def sought_by_hand(row: Mapping[str, Any]) -> bool:
    return row["signature_version"] == "SigV2" or row["parse_status"] in ("short", "ambiguous")


def make_rows(count: int, *, every: int, day: int = 1) -> list[dict[str, Any]]:
    """Rows of a day in the order of their lines; one in `every` is sought, for one reason or another."""
    reasons = itertools.cycle(
        ({"signature_version": "SigV2"}, {"parse_status": "short"}, {"parse_status": "ambiguous"})
    )
    return [
        raw_row(
            f"s3://logs/{day}",
            number,
            f"2024-05-{day:02}T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}",
            **{"bucket_name": f"b{number % 3}", "signature_version": "SigV4", "request_id": f"{number}"}
            | (next(reasons) if number % every == 0 else {}),
        )
        for number in range(count)
    ]


def compact_rows(folder: Path, rows: list[dict[str, Any]]) -> list[Path]:
    """The committed files of a new lake with these rows."""
    create_lake(str(folder))
    put_raw(folder, "a", rows)
    compact(str(folder), now=DAY_3)
    return [Path(file.path) for file in open_lake(str(folder)).snapshot().compacted]


def test_sql_and_arrow_seek_the_same_rows() -> None:
    source = pa.Table.from_batches([EVERY_PAIR])
    with duckdb.connect() as connection:
        by_sql = connection.execute(f"SELECT {SOUGHT_FIRST} = 0 FROM source").fetchall()
    assert source.num_rows == len(VERSIONS) * len(STATUSES)
    by_hand = [sought_by_hand(row) for row in EVERY_PAIR.to_pylist()]
    assert [found for (found,) in by_sql] == is_sought(EVERY_PAIR).to_pylist() == by_hand
    assert any(by_hand)
    assert not all(by_hand)


def test_the_order_is_that_of_the_record() -> None:
    assert [text for text in FILE_ORDER if text != SOUGHT_FIRST] == [
        "event_date",
        "coalesce(bucket_name, '')",
        "coalesce(operation, '')",
        "request_time",
    ]
    assert FILE_ORDER.index(SOUGHT_FIRST) == 1


def test_sought_rows_stand_first_and_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_outputs, "ROWS_WORTH_A_GROUP", 20)
    monkeypatch.setattr(_outputs, "ROWS_PER_GROUP", 100)
    files = compact_rows(tmp_path, [*make_rows(400, every=10), *make_rows(300, every=6, day=2)])
    assert len(files) == 2
    for file, sought in zip(files, (40, 50), strict=True):
        rows = pq.read_table(file).to_pylist()
        assert [sought_by_hand(row) for row in rows] == [True] * sought + [False] * (len(rows) - sought)
        for part in (rows[:sought], rows[sought:]):
            keys = [(row["bucket_name"], row["request_time"]) for row in part]
            assert keys == sorted(keys)
        metadata = pq.read_metadata(file)
        sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        assert sizes[0] == sought
        assert sum(sizes) == len(rows)
        places = {name: metadata.schema.names.index(name) for name in ("signature_version", "parse_status")}
        for number in range(1, metadata.num_row_groups):
            group = metadata.row_group(number)
            versions, statuses = (group.column(place).statistics for place in places.values())
            assert (versions.min, versions.max) == ("SigV4", "SigV4")
            assert (statuses.min, statuses.max) == ("clean", "clean")


def test_few_sought_rows_share_a_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_outputs, "ROWS_WORTH_A_GROUP", 41)
    (file,) = compact_rows(tmp_path, make_rows(400, every=10))
    assert pq.read_metadata(file).num_row_groups == 1
    assert [sought_by_hand(row) for row in pq.read_table(file).to_pylist()] == [True] * 40 + [False] * 360


def test_the_detector_reads_one_row_group_of_a_compacted_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_outputs, "ROWS_WORTH_A_GROUP", 20)
    monkeypatch.setattr(_outputs, "ROWS_PER_GROUP", 100)
    (file,) = compact_rows(tmp_path, make_rows(400, every=10))
    assert pq.read_metadata(file).num_row_groups == 5
    read: list[int] = []

    class Watched(pq.ParquetFile):  # type: ignore[misc]
        def read_row_group(self, i: int, *rest: Any, **options: Any) -> pa.Table:
            read.append(i)
            return super().read_row_group(i, *rest, **options)

    monkeypatch.setattr(pq, "ParquetFile", Watched)
    found = detect_file(str(file))
    assert found.hits.num_rows == 14
    assert set(read) == {0}
    assert found.rows == 400


@given(
    st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 8),
    st.integers(1, 8),
    st.integers(1, 30),
)
def test_groups_lose_nothing_wherever_batches_end(
    tmp_path_factory: pytest.TempPathFactory,
    kinds: list[tuple[int, bool]],
    per_group: int,
    worth: int,
    at_once: int,
) -> None:
    """Sorted rows come in batches cut anywhere; each row group is of one day, and none but the last sought one is mixed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_outputs, "ROWS_PER_GROUP", per_group)
        patch.setattr(_outputs, "ROWS_WORTH_A_GROUP", worth)
        folder = tmp_path_factory.mktemp("lake")
        lake = create_lake(str(folder / "lake"))
        ordered = sorted(kinds, key=lambda kind: (kind[0], not kind[1]))
        rows = pa.RecordBatch.from_pylist(
            [
                raw_row("s", number, f"2024-05-0{day}T00:00:00", signature_version="SigV2" if sought else "SigV4")
                for number, (day, sought) in enumerate(ordered)
            ],
            SCHEMA,
        )
        with _outputs.Outputs(lake, "0000000001", "attempt", folder, 1 << 30) as outputs:
            for start in range(0, len(ordered), at_once):
                outputs.add(rows.slice(start, at_once))
            written = outputs.finish()
        found = []
        for output in written:
            key = f"staging/0000000001/attempt/{output.key.removeprefix('compacted/')}"
            with pq.ParquetFile(folder / "lake" / key) as file:
                for number in range(file.num_row_groups):
                    group = file.read_row_group(number).to_pylist()
                    flags = [row["signature_version"] == "SigV2" for row in group]
                    assert len(group) <= per_group
                    assert len({row["request_time"] for row in group}) == 1
                    if len(set(flags)) == 2:
                        assert flags.count(True) < worth
                    found += [row["line_no"] for row in group]
        assert found == list(range(len(ordered)))
