"""A compacted row is the same through whichever sink its line came."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from hostile_keys import HOSTILE_KEYS, OPERATIONS, hostile_log, log_line, put_firehose
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from small_lakes import DAY_1, difference, line, put_raw, raw_row, read_lake, rows_of, text, truth_of

from etl import SCHEMA, parse
from etl.compact import compact, read_or_create_plan
from etl.compact._left_out import restore_left_out
from etl.ingest import ingest
from etl.lake import create_lake, open_lake
from etl.query import connect, run_query


def through_both_sinks(data: bytes) -> Iterator[tuple[str, Path]]:
    """A lake for each sink that got this log object, not compacted yet."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "logs").mkdir()
        log = folder / "logs" / "a.log"
        log.write_bytes(data)
        for sink in ("direct", "firehose"):
            lake = folder / sink
            create_lake(str(lake))
            if sink == "direct":
                ingest([str(log)], lake=str(lake), now=DAY_1)
            else:
                put_firehose(lake, "a", parse(data, source_key=str(log)).table, day="2024-05-02")
            yield str(log), lake


def assert_same_rows(data: bytes) -> None:
    for source_key, lake in through_both_sinks(data):
        truth = truth_of({source_key: data})
        assert compact(str(lake), now=DAY_1).rows_out == truth.total()
        assert not difference(read_lake(lake), truth), lake.name


PIECES = st.sampled_from(
    (
        *(b"a", b"%", b"+", b"4", b"25", b"%25", b"%41", b"%00", b"C3", b"%C3", b"%C3%BC", b"%25C3%25BC", b"%ED%A0%80"),
        *(b"\xff", b"\xef\xbf\xbd", b"\xc3\xbc", b"\\xff", b"\0", b"'"),
    )
)
KEYS = st.lists(PIECES, min_size=1, max_size=6).map(b"".join)
AGENTS = st.sampled_from([b"curl", b"\xff", b"\xef\xbf\xbd", b" a\xef\xbf\xbd ", b'" "', b"\\"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(KEYS, st.sampled_from(OPERATIONS), AGENTS), min_size=1, max_size=12))
@example([(b"a\xff", "REST.GET.OBJECT", b" a\xef\xbf\xbd "), (b"a\xef\xbf\xbd", "REST.GET.OBJECT", b"\xff")])
def test_the_same_lines_through_both_sinks_are_the_same_rows(lines: list[tuple[bytes, str, bytes]]) -> None:
    logged = [log_line(*each) for each in lines]
    assert_same_rows(text(*logged, logged[0][:-20]))


def test_hostile_keys_through_both_sinks_are_the_same_rows() -> None:
    assert_same_rows(hostile_log())


def test_the_view_shows_a_raw_row_of_firehose_as_compaction_will_write_it() -> None:
    data = hostile_log()
    for source_key, lake in through_both_sinks(data):
        truth = truth_of({source_key: data})
        with connect(open_lake(str(lake)).snapshot()) as connection:
            seen = run_query(connection, f"SELECT {', '.join(SCHEMA.names)} FROM access_logs").read_all()
        assert not difference(rows_of(seen), truth), lake.name


def test_a_row_that_lacks_nothing_is_left_as_it_is() -> None:
    rows = parse(text(*(line(key=key) for key in HOSTILE_KEYS)), source_key="s").table
    (batch,) = rows.combine_chunks().to_batches()
    assert restore_left_out(batch).equals(batch)


def test_damage_that_only_the_last_reading_meets_is_left_out_too(tmp_path: Path) -> None:
    """To fold and to sort, a few columns are read; the others are when the rows are dealt out."""
    create_lake(str(tmp_path))
    put_raw(tmp_path, "a-good", [raw_row("s3://logs/a", n, request_id=str(n)) for n in range(300)])
    path = put_raw(tmp_path, "bad", [raw_row("s3://logs/b", n, host_id=f"id {n * n}") for n in range(1, 500)])
    read_or_create_plan(open_lake(str(tmp_path)))
    chunk = pq.read_metadata(path).row_group(0).column(SCHEMA.names.index("host_id"))
    data = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xa5" * chunk.total_compressed_size
    path.write_bytes(data)
    done = compact(str(tmp_path), now=DAY_1)
    assert done.left_out == ("raw/ingest_date=2024-05-02/bad.parquet",)
    assert done.rows_out == read_lake(tmp_path).total() == 300
