"""One log object becomes one Parquet file, the same every time, that says itself how many lines it stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_lakes import line, log_text, text

from etl import SCHEMA, Parsed, parse
from etl.parse import parse_stream
from etl.schema import QUARANTINE_SCHEMA
from etl.sinks import LINES_METADATA, QUARANTINED_METADATA, Written, _parquet, write_parquet

Write = Callable[..., tuple[Written, Path, Path]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes parts to files of their own; gives the counts and the two paths."""

    def put(*parts: Parsed, name: str = "a") -> tuple[Written, Path, Path]:
        rows_file, quarantine_file = tmp_path / f"{name}-rows", tmp_path / f"{name}-quarantine"
        return (
            write_parquet(parts, rows_file=rows_file, quarantine_file=quarantine_file),
            rows_file,
            quarantine_file,
        )

    return put


def table_of(path: Path) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read()


def group_sizes(path: Path) -> list[int]:
    metadata = pq.read_metadata(path)
    return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]


def test_rows_and_quarantined_lines_are_written_as_they_are(write: Write) -> None:
    parsed = parse(log_text(50, bad_every=7), source_key="s3://logs/a")
    written, rows, quarantine = write(parsed)
    assert written == Written(lines=50, rows=43, quarantined=7)
    assert table_of(rows).equals(parsed.table)
    assert table_of(quarantine).equals(parsed.quarantine)


def test_the_files_have_the_schema_and_nothing_that_only_arrow_reads(write: Write) -> None:
    _, rows, quarantine = write(parse(log_text(20, bad_every=7), source_key="a"))
    for path, schema in ((rows, SCHEMA), (quarantine, QUARANTINE_SCHEMA)):
        metadata = pq.read_metadata(path)
        assert metadata.schema.to_arrow_schema().equals(schema)
        assert b"ARROW:schema" not in (metadata.metadata or {})


def test_times_are_int64_milliseconds_without_a_zone(write: Write) -> None:
    _, rows, _ = write(parse(text(line("2024-05-02T23:59:59")), source_key="a"))
    metadata = pq.read_metadata(rows)
    column = metadata.schema.column(SCHEMA.get_field_index("request_time"))
    assert column.physical_type == "INT64"
    logical = str(column.logical_type)
    assert "isAdjustedToUTC=false" in logical
    assert "timeUnit=milliseconds" in logical


def test_every_column_is_zstd_and_has_statistics(write: Write) -> None:
    _, rows, quarantine = write(parse(log_text(20, bad_every=7), source_key="a"))
    for path in (rows, quarantine):
        group = pq.read_metadata(path).row_group(0)
        for number in range(group.num_columns):
            column: Any = group.column(number)
            assert column.compression == "ZSTD"
            assert column.statistics is not None


def test_the_rows_file_says_how_many_lines_it_stands_for(write: Write) -> None:
    _, rows, _ = write(parse(log_text(50, bad_every=7) + b"\n  \n", source_key="a"))
    metadata = pq.read_metadata(rows).metadata
    assert metadata[LINES_METADATA] == b"50"
    assert metadata[QUARANTINED_METADATA] == b"7"


def test_without_bad_lines_there_is_no_quarantine_file(write: Write) -> None:
    written, _, quarantine = write(parse(log_text(5), source_key="a"))
    assert written == Written(5, 5, 0)
    assert not quarantine.exists()


def test_an_object_of_only_bad_lines_still_has_a_rows_file_that_counts_them(write: Write) -> None:
    written, rows, quarantine = write(parse(b"bad\nworse\n", source_key="a"))
    assert written == Written(2, 0, 2)
    assert table_of(rows).num_rows == 0
    assert table_of(rows).schema.equals(SCHEMA)
    assert pq.read_metadata(rows).metadata[LINES_METADATA] == b"2"
    assert table_of(quarantine).column("raw_line").to_pylist() == [b"bad", b"worse"]


def test_an_empty_object_gives_an_empty_file(write: Write) -> None:
    for parts in ((), (parse(b"", source_key="a"),), (parse(b"\n \n", source_key="a"),)):
        written, rows, _ = write(*parts)
        assert written == Written(0, 0, 0)
        assert table_of(rows).equals(SCHEMA.empty_table())


def test_the_same_parts_give_the_same_bytes(write: Write) -> None:
    data = log_text(300, bad_every=11)
    first = write(*parse_stream([data[:7000], data[7000:]], source_key="a"), name="1")
    second = write(*parse_stream([data[:7000], data[7000:]], source_key="a"), name="2")
    assert first[0] == second[0]
    assert first[1].read_bytes() == second[1].read_bytes()
    assert first[2].read_bytes() == second[2].read_bytes()


def test_small_parts_share_a_row_group_and_large_ones_are_cut(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_parquet, "ROWS_PER_GROUP", 100)
    parts = [parse(log_text(30, seed=str(number)), source_key="a") for number in range(10)]
    _, rows, _ = write(*parts)
    assert group_sizes(rows) == [120, 120, 60]
    assert table_of(rows).equals(pa.concat_tables([part.table for part in parts]))


def test_long_lines_make_row_groups_of_fewer_rows(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client chooses how long its user agent is; it must not choose how much memory we use."""
    monkeypatch.setattr(_parquet, "BYTES_PER_GROUP", 1 << 16)
    parts = [parse(text(*[line(agent="x" * 8192)] * 4, *[b"bad " + b"y" * 8192] * 4), source_key="a") for _ in range(8)]
    written, rows, quarantine = write(*parts)
    assert written == Written(64, 32, 32)
    for path in (rows, quarantine):
        assert len(group_sizes(path)) >= 4
        metadata = pq.read_metadata(path)
        sizes = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
        assert max(sizes) < 2 << 16
    assert table_of(rows).equals(pa.concat_tables([part.table for part in parts]))


def test_an_error_of_the_parts_comes_through(write: Write, tmp_path: Path) -> None:
    def parts() -> Iterator[Parsed]:
        yield parse(log_text(5), source_key="a")
        raise EOFError("cut")

    with pytest.raises(EOFError):
        write_parquet(parts(), rows_file=tmp_path / "rows", quarantine_file=tmp_path / "quarantine")
