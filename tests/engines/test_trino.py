"""The tables and views on Trino, which Athena is made from: the rows are the lake's, and filters keep files unread."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from small_lakes import difference, read_lake
from trino_lakes import AFTER, FIRST_DAY, LAST_RAW, LOCATION, MAIN, RAW_SINCE, ROWS_PER_GROUP, Lakes, truth_of_rows
from trino_server import Answer, Trino

from etl.catalog import State, access_logs_input, exact_input, recipe_input, table_input
from etl.lake import open_lake
from etl.schema import COMPACTED_TABLE, RAW_TABLE, RECIPE_COLUMNS, SCHEMA, TABLES, Table

pytest_plugins = ["trino_fixtures"]

RAW, COMPACTED = RAW_TABLE.name, COMPACTED_TABLE.name
COLUMNS = ", ".join(SCHEMA.names)
DAY = "2024-05-02"
TRINO_TYPES = {"string": "varchar", "int": "integer", "timestamp": "timestamp(3)", "binary": "varbinary"}


# --- The catalog ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_is_what_glue_gets(table: Table, trino: Trino) -> None:
    """Word for word in the metastore; here is what Trino understands of it."""
    expected = table_input(table, lake_uri=LOCATION, first_day=FIRST_DAY)
    properties = ask(trino, f'SELECT * FROM "{table.name}$properties"')
    assert dict(zip((name for name, _ in properties.columns), properties.rows[0], strict=True)) == {
        name.lower(): value for name, value in expected["Parameters"].items()
    }
    columns = [*expected["StorageDescriptor"]["Columns"], *expected["PartitionKeys"]]
    described = [(name, kind, comment) for name, kind, _, comment in ask(trino, f"DESCRIBE {table.name}").rows]
    assert described == [
        (column["Name"], TRINO_TYPES.get(column["Type"], column["Type"]), column.get("Comment", ""))
        for column in columns
    ]
    (created,) = ask(trino, f"SHOW CREATE TABLE {table.name}").rows[0]
    assert f"external_location = '{LOCATION}/{table.folder}'" in created
    assert "format = 'PARQUET'" in created
    assert "partition_projection_enabled = true" in created


def test_a_view_that_compaction_writes_has_its_columns(trino: Trino, lakes: Lakes) -> None:
    state = State(lakes.batch, RAW_SINCE)
    for view in (
        access_logs_input(state, database=MAIN, lake_uri=LOCATION),
        exact_input(database=MAIN, lake_uri=LOCATION),
        recipe_input(database=MAIN, recipe_database=MAIN, lake_uri=LOCATION),
    ):
        text = view["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
        definition = json.loads(base64.b64decode(text))
        shown = ask(trino, f"DESCRIBE {view['Name']}").rows
        assert [row[:2] for row in shown] == [(each["name"], each["type"]) for each in definition["columns"]]


# --- Rows -------------------------------------------------------------------------------------------------------------


def test_the_raw_days_mix_both_kinds_of_times(lakes: Lakes) -> None:
    kinds: dict[str, set[str]] = {}
    for file in open_lake(str(lakes.before)).snapshot().raw:
        column = pq.ParquetFile(file.path).schema.column(SCHEMA.names.index("request_time"))
        kinds.setdefault(file.day, set()).add(column.physical_type)
    assert kinds[LAST_RAW] == kinds[RAW_SINCE] == {"INT96", "INT64"}


def test_the_view_holds_the_truth_and_what_was_delivered_twice(trino: Trino, lakes: Lakes) -> None:
    seen = ask(trino, f"SELECT {COLUMNS} FROM access_logs")
    assert dict(seen.columns)["request_time"] == "timestamp(3)"
    assert not difference(Counter(seen.rows), truth_of_rows(lakes.seen))


def test_the_exact_view_holds_each_row_once(trino: Trino, lakes: Lakes) -> None:
    seen = ask(trino, f"SELECT {COLUMNS} FROM access_logs_exact")
    assert not difference(Counter(seen.rows), truth_of_rows(lakes.seen) - truth_of_rows(lakes.twice))


def test_a_batch_and_a_day_later_the_same_files_hold_what_compaction_left(trino: Trino, lakes: Lakes) -> None:
    seen = ask(trino, f"SELECT {COLUMNS} FROM access_logs", schema=AFTER)
    assert not difference(Counter(seen.rows), truth_of_rows(lakes.seen_after))
    assert not difference(Counter(seen.rows), read_lake(lakes.after))


def test_the_recipe_view_has_its_columns_and_a_row_for_each(trino: Trino, lakes: Lakes) -> None:
    seen = ask(trino, "SELECT * FROM s3accesslog")
    assert list(seen.columns) == [(name, TRINO_TYPES.get(kind, kind)) for name, kind, _ in RECIPE_COLUMNS]
    assert len(seen.rows) == len(lakes.seen)


# --- What is read -----------------------------------------------------------------------------------------------------


def test_a_day_reads_its_own_compacted_files_and_the_raw_arm(trino: Trino, lakes: Lakes) -> None:
    answer = ask(trino, f"SELECT {COLUMNS} FROM access_logs WHERE event_date = '{DAY}'")
    assert not difference(Counter(answer.rows), truth_of_rows(row for row in lakes.seen if row["event_date"] == DAY))
    reads = trino.reads(answer)
    assert reads[COMPACTED].partitions == {DAY}
    # The files of batch 2, which is not committed yet, are passed over by their statistics.
    assert reads[COMPACTED].rows == rows_in(lakes, COMPACTED, DAY, batch=lakes.batch) < rows_in(lakes, COMPACTED, DAY)
    assert min(reads[RAW].partitions) == RAW_SINCE


def test_a_span_reads_its_days_alone(trino: Trino, lakes: Lakes) -> None:
    span = f"event_date >= '{DAY}' AND event_date <= '2024-05-03'"
    for view in ("access_logs", "access_logs_exact"):
        reads = trino.reads(ask(trino, f"SELECT count(*), max(user_agent) FROM {view} WHERE {span}"))
        assert reads[COMPACTED].partitions == {DAY, "2024-05-03"}
        whole = trino.reads(ask(trino, f"SELECT count(*), max(user_agent) FROM {view}"))
        assert reads[COMPACTED].bytes < whole[COMPACTED].bytes
        days = reads[COMPACTED].partitions
        assert reads[COMPACTED].rows == sum(rows_in(lakes, COMPACTED, day, batch=lakes.batch) for day in days)


def test_the_first_raw_day_bounds_the_raw_arm(trino: Trino, lakes: Lakes) -> None:
    sql = "SELECT count(*), max(request_uri) FROM access_logs"
    reads = trino.reads(ask(trino, sql))
    assert min(reads[RAW].partitions) == RAW_SINCE
    assert reads[RAW].rows == sum(rows_in(lakes, RAW, day) for day in (RAW_SINCE, LAST_RAW))
    assert rows_in(lakes, RAW, "2026-08-01"), "the files of committed batches are still there"
    after = trino.reads(ask(trino, sql, schema=AFTER))
    assert after[RAW].rows == 0
    assert min(after[RAW].partitions) == "2026-08-04"


def test_few_columns_are_few_bytes(trino: Trino, lakes: Lakes) -> None:
    """What is saved is what the other columns take in the files, but for some headers."""
    whole = trino.reads(ask(trino, "SELECT * FROM access_logs"))
    narrow = trino.reads(ask(trino, "SELECT operation, count(*) FROM access_logs GROUP BY 1"))
    raw = [file for day in (RAW_SINCE, LAST_RAW) for file in lakes.before.glob(f"raw/ingest_date={day}/*.parquet")]
    compacted = lakes.before.glob(f"compacted/*/{lakes.batch}*.parquet")
    for table, files in ((RAW, raw), (COMPACTED, list(compacted))):
        assert narrow[table].rows == whole[table].rows
        others = column_bytes(files, without=("operation", "batch_id"))
        assert whole[table].bytes - narrow[table].bytes >= 0.98 * others > 0


def column_bytes(files: Iterable[Path], *, without: tuple[str, ...]) -> int:
    """What the columns but these take."""
    groups = [each.row_group(number) for each in map(pq.read_metadata, files) for number in range(each.num_row_groups)]
    chunks = [group.column(place) for group in groups for place in range(group.num_columns)]
    return sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema not in without)


@pytest.mark.parametrize(
    ("column", "value"), [("bucket_name", "b3"), ("operation", "S3.EXPIRE.OBJECT"), ("bucket_name", "nowhere")]
)
def test_a_bucket_and_an_operation_leave_row_groups_unread(column: str, value: str, trino: Trino, lakes: Lakes) -> None:
    found = ask(trino, f"SELECT source_key, line_no FROM access_logs WHERE {column} = '{value}'")
    wanted = [(row["source_key"], row["line_no"]) for row in lakes.seen if row[column] == value]
    assert Counter(found.rows) == Counter(wanted)
    read = trino.reads(found)[COMPACTED].rows
    groups = [
        metadata.row_group(number)
        for file in lakes.before.glob(f"compacted/*/{lakes.batch}*.parquet")
        for metadata in [pq.read_metadata(file)]
        for number in range(metadata.num_row_groups)
    ]
    assert max(group.num_rows for group in groups) == ROWS_PER_GROUP
    place = pq.read_schema(next(lakes.before.glob("compacted/*/*.parquet"))).names.index(column)
    possible = [
        group.num_rows
        for group in groups
        for statistics in [group.column(place).statistics]
        if statistics.min <= value <= statistics.max
    ]
    # Fewer still where a dictionary tells that the value is not among those between.
    assert read <= sum(possible) < sum(group.num_rows for group in groups)


def test_the_plan_names_the_days_of_each_arm(trino: Trino) -> None:
    sql = f"SELECT operation, count(*) FROM access_logs WHERE event_date = '{DAY}' GROUP BY 1"
    text = "\n".join(str(row[0]) for row in ask(trino, f"EXPLAIN {sql}").rows)
    compacted, raw = (text.partition(f"table = awsdatacatalog:{MAIN}:{name}")[2] for name in (COMPACTED, RAW))
    assert "event_date:string:PARTITION_KEY" in compacted
    assert f":: [[{DAY}]]" in compacted
    assert "ingest_date:string:PARTITION_KEY" in raw
    assert f":: [[{RAW_SINCE}" in raw


def ask(trino: Trino, sql: str, *, schema: str = MAIN) -> Answer:
    return trino.run(sql, schema=schema)


def rows_in(lakes: Lakes, table: str, day: str, *, batch: str = "") -> int:
    """Rows of the table's files of a day, of one batch or of all, whether a reader is to see them or not."""
    folder, key = {COMPACTED: ("compacted", "event_date"), RAW: ("raw", "ingest_date")}[table]
    files = lakes.after.glob(f"{folder}/{key}={day}/{batch}*.parquet")
    return sum(pq.read_metadata(file).num_rows for file in files)
