"""Which days a query sees on Trino: around midnight, late, empty, outside what is projected, and still to come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
from conftest import S3Server
from query_answers_rows import Row
from small_lakes import difference
from trino_catalog import put_in_metastore
from trino_fresh import DATABASE, EMPTY, FIRST_DAY, FUTURE, LATE, MIDNIGHT, Fresh, day
from trino_lakes import BUCKET, truth_of_rows
from trino_server import Trino

from etl.schema import COMPACTED_TABLE, RAW_TABLE, SCHEMA

pytest_plugins = ["trino_fixtures"]

RAW, COMPACTED = RAW_TABLE.name, COMPACTED_TABLE.name
COLUMNS = ", ".join(SCHEMA.names)


def seen(trino: Trino, condition: str = "true", *, view: str = "access_logs") -> Counter[tuple[object, ...]]:
    return Counter(trino.run(f"SELECT {COLUMNS} FROM {view} WHERE {condition}", schema=DATABASE).rows)


def wanted(fresh: Fresh, state: str, among: Callable[[Row], bool] = lambda _: True) -> Counter[tuple[object, ...]]:
    return truth_of_rows(row for row in fresh.visible(state) if among(row))


def test_all_that_is_there_is_seen(shown: str, trino: Trino, fresh: Fresh) -> None:
    for view in ("access_logs", "access_logs_exact"):
        assert not difference(seen(trino, view=view), wanted(fresh, shown))


def test_the_first_and_the_last_second_of_a_day_are_in_it_in_both_arms(shown: str, trino: Trino, fresh: Fresh) -> None:
    found = trino.run(
        "SELECT date_format(request_time, '%Y-%m-%d %H:%i:%s'), batch_id IS NULL, count(*) FROM access_logs "
        f"WHERE event_date = '{MIDNIGHT}' GROUP BY 1, 2",
        schema=DATABASE,
    )
    arms = (True,) if shown == "before" else (True, False)
    edges = [f"{MIDNIGHT} 00:00:00", f"{MIDNIGHT} 23:59:59"]
    each = 4 // len(arms)
    assert sorted(found.rows) == sorted((edge, arm, each) for edge in edges for arm in arms)
    by_time = f"request_time >= timestamp '{MIDNIGHT} 00:00:00' AND request_time <= timestamp '{MIDNIGHT} 23:59:59.999'"
    assert seen(trino, by_time) == seen(trino, f"event_date = '{MIDNIGHT}'")


def test_late_rows_are_seen_before_and_after_they_are_compacted(shown: str, trino: Trino, fresh: Fresh) -> None:
    found = seen(trino, f"event_date = '{LATE}'")
    assert not difference(found, wanted(fresh, shown, lambda row: bool(row["event_date"] == LATE)))
    assert found.total() == 8
    assert LATE < FIRST_DAY


def test_a_day_that_is_not_projected_has_no_rows_and_no_error(trino: Trino, fresh: Fresh, s3_server: S3Server) -> None:
    """Which is why compaction widens the range before it commits: here the view was moved without it."""
    for table in (*fresh.glue["after"], *(each for each in fresh.glue["before"] if each["Name"] == COMPACTED)):
        put_in_metastore(s3_server.client(), BUCKET, DATABASE, table)
    found = trino.run(f"SELECT batch_id FROM access_logs WHERE event_date = '{LATE}'", schema=DATABASE)
    assert found.rows == [(None,)] * 4
    whole = trino.run(f"SELECT min(event_date) FROM {COMPACTED}", schema=DATABASE)
    assert whole.rows[0][0] >= FIRST_DAY


def test_compaction_has_widened_the_range(fresh: Fresh) -> None:
    ranges = {
        state: table["Parameters"]["projection.event_date.range"]
        for state, tables in fresh.glue.items()
        for table in tables
        if table["Name"] == COMPACTED
    }
    assert ranges == {"before": f"{FIRST_DAY},NOW", "after": f"{LATE},NOW"}


def test_a_day_without_files_has_no_rows_and_no_error(shown: str, trino: Trino) -> None:
    for condition in (f"event_date = '{EMPTY}'", f"event_date < '{LATE}'", "event_date = '2006-01-01'"):
        assert not seen(trino, condition)
    answer = trino.run(
        f"SELECT count(*), max(request_time) FROM {COMPACTED} WHERE event_date = '{EMPTY}'", schema=DATABASE
    )
    assert answer.rows == [(0, None)]


def test_a_day_to_come_is_seen_while_raw_and_when_it_has_come(
    shown: str, trino: Trino, fresh: Fresh, s3_server: S3Server
) -> None:
    """The range ends with the day of the query, and this one lies beyond it."""
    found = seen(trino, f"event_date = '{FUTURE}'")
    assert found.total() == (1 if shown == "before" else 0)
    # It is there: whoever reads the files sees it.
    keys = [
        each["Key"]
        for each in s3_server.client().list_objects_v2(Bucket=BUCKET, Prefix=f"fresh/compacted/event_date={FUTURE}/")[
            "Contents"
        ]
    ]
    assert len(keys) == 1
    # What arrives under a day to come is beyond, too.
    assert not seen(trino, "source_key = 's3://fresh/tomorrow'")


def test_what_arrived_today_is_seen_today(shown: str, trino: Trino, fresh: Fresh) -> None:
    reads = trino.reads(trino.run("SELECT count(*), max(key_name) FROM access_logs", schema=DATABASE))
    assert day(0) in reads[RAW].partitions
    assert max(reads[RAW].partitions) < FUTURE
    assert min(reads[RAW].partitions) == (FIRST_DAY if shown == "before" else day(3))


def test_one_raw_day_mixes_both_kinds_of_times(fresh: Fresh, s3_server: S3Server) -> None:
    client = s3_server.client()
    kinds = set()
    for each in client.list_objects_v2(Bucket=BUCKET, Prefix=f"fresh/raw/ingest_date={day(1)}/")["Contents"]:
        with client.get_object(Bucket=BUCKET, Key=each["Key"])["Body"] as body:
            file = pq.ParquetFile(pa.BufferReader(body.read()))
        kinds.add(file.schema.column(SCHEMA.names.index("request_time")).physical_type)
    assert kinds == {"INT96", "INT64"}
