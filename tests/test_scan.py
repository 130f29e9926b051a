"""What a query must read of a lake's files, and what Athena asks for that."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from query_lake import make_row, write_compacted, write_raw

from etl.lake._snapshot import DataFile
from etl.query import Query, ScannedFile, athena_usd, list_queries, scanned_bytes
from etl.query._catalog import read_query

NEWEST = "2024-05-03"


def scanned(sql: str, *files: ScannedFile) -> int:
    return scanned_bytes(read_query("test", sql), files, newest_day=NEWEST)


def column_bytes(file: ScannedFile, *names: str) -> int:
    footer = file.footer
    return sum(
        footer.row_group(group).column(place).total_compressed_size
        for group in range(footer.num_row_groups)
        for place in range(footer.num_columns)
        if footer.schema.column(place).name in names
    )


def of_day(file: DataFile) -> ScannedFile:
    return ScannedFile(file.day, pq.read_metadata(file.path))


@pytest.fixture
def compacted(tmp_path: Path) -> list[ScannedFile]:
    """A file for each of three days; bucket b<n>, status <n>00, and a requester on the last day only."""
    rows = [
        make_row(f"2024-05-0{day}T00:00:00", bucket_name=f"b{day}", http_status=day * 100, requester=who)
        for day, who in ((1, None), (2, None), (3, "somebody"))
    ]
    return [of_day(file) for file in write_compacted(tmp_path, rows)]


def test_only_the_named_columns_and_the_batch_are_read(compacted: list[ScannedFile]) -> None:
    found = scanned("-- q\nSELECT bucket_name FROM access_logs", *compacted)
    assert found == sum(column_bytes(file, "bucket_name", "batch_id") for file in compacted)
    everything = scanned("-- q\nSELECT * FROM access_logs", *compacted)
    assert everything == sum(column_bytes(file, *file.footer.schema.names) for file in compacted)


@pytest.mark.parametrize(
    ("condition", "days"),
    [
        ("event_date >= '2024-05-02'", "23"),
        ("event_date > '2024-05-02'", "3"),
        ("event_date <= '2024-05-02' AND event_date >= '2024-05-02'", "2"),
        ("event_date < '2024-05-02'", "1"),
        ("event_date = :day", "3"),
        ("bucket_name = 'b2'", "2"),
        ("bucket_name IN ('b1', 'b3')", "13"),
        ("bucket_name = 'b1' OR bucket_name = 'b9'", "1"),
        ("(bucket_name = 'b1' AND http_status = 200)", ""),
        ("http_status >= 250", "3"),
        ("requester IS NULL", "12"),
        ("requester IS NOT NULL", "3"),
        ("requester = 'somebody'", "3"),
        # What nobody can tell from a footer reads all.
        ("NOT bucket_name = 'b2'", "123"),
        ("lower(bucket_name) = 'b2'", "123"),
        ("bucket_name = key_name", "123"),
        ("bucket_name LIKE 'b2'", "123"),
        ("requester IS NOT DISTINCT FROM NULL", "123"),
        ("http_status = '200'", "123"),
        ("bucket_name = :which", "123"),
        ("'' = :which OR bucket_name = :which", "123"),
    ],
)
def test_files_and_row_groups_that_cannot_hold_it_are_not_read(
    compacted: list[ScannedFile], condition: str, days: str
) -> None:
    header = "-- q\n-- :day date = today  a day\n-- :which string  must be given\n"
    sql = f"{header}SELECT version_id FROM access_logs WHERE {condition}"
    for file in compacted:
        found = scanned(sql, file)
        assert (found > 0) == (str(file.event_day)[-1] in days), file.event_day


def test_a_raw_row_derives_what_it_lacks_and_may_be_of_any_day(tmp_path: Path) -> None:
    file = write_raw(tmp_path, [make_row("2024-05-01T00:00:00")], day="2024-05-02")
    raw = ScannedFile(None, pq.read_metadata(file.path))
    sql = "-- q\nSELECT object_key FROM access_logs WHERE event_date = '2030-01-01'"
    needed = ("object_key", "key_name", "operation", "raw_line", "request_time")
    assert scanned(sql, raw) == column_bytes(raw, *needed)


def test_every_query_that_comes_with_the_product_can_be_priced(compacted: list[ScannedFile]) -> None:
    whole = sum(column_bytes(file, *file.footer.schema.names) for file in compacted)
    for query in list_queries():
        found = scanned_bytes(query, compacted, newest_day=NEWEST)
        assert 0 <= found <= whole, query.name
    last = Query("q", "q", (), "SELECT requester FROM access_logs WHERE event_date = '2024-05-03'")
    assert scanned_bytes(last, compacted, newest_day=NEWEST) > 0


@pytest.mark.parametrize(
    ("scanned_", "usd"), [(0, 5e-5), (1, 5e-5), (10_000_000, 5e-5), (10_000_001, 5.5e-5), (10**12, 5.0)]
)
def test_athena_bills_whole_megabytes_and_ten_at_least(scanned_: int, usd: float) -> None:
    assert athena_usd(scanned_) == pytest.approx(usd)
