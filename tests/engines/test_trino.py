"""The tables and views on Trino, which Athena is made from: the rows are the lake's, and filters keep files unread."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import S3Server
from small_lakes import difference, read_lake
from trino_lakes import BUCKET, FIRST_DAY, LAST_RAW, NEWEST, RAW_SINCE, Lakes, make_lakes
from trino_server import Trino, started_trino
from trino_tables import trino_table

from etl.ddl import ddl, table_properties
from etl.lake import open_lake
from etl.query import bind, connect, find_query, list_queries, run_query, to_duckdb
from etl.schema import COMPACTED_TABLE, RAW_TABLE, RECIPE_COLUMNS, SCHEMA, TABLES

LOCATION = f"s3://{BUCKET}/lake"
RAW, COMPACTED = RAW_TABLE.name, COMPACTED_TABLE.name
COLUMNS = ", ".join(SCHEMA.names)
PARAMETERS = {
    "object_history": {"bucket": "b1", "key": "a/b/c.txt"},
    "detections/access_denied_bursts": {"requests": "3"},
}
DAY = "2024-05-02"


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server) -> Lakes:
    return make_lakes(tmp_path_factory.mktemp("lakes"), s3_server)


@pytest.fixture(scope="module")
def trino(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server, lakes: Lakes) -> Iterator[Trino]:
    """With the lake before its second compaction in the schema `logs`, and after it in `after`."""
    folder = tmp_path_factory.mktemp("trino")
    with started_trino(folder, s3_endpoint=s3_server.endpoint, bucket=BUCKET) as server:
        create(server, "logs", batch=lakes.batch, raw_since=RAW_SINCE)
        create(server, "after", batch=lakes.batch_after, raw_since="2026-08-04")
        yield server


def create(server: Trino, database: str, *, batch: str, raw_since: str) -> None:
    recipe = "default" if database == "logs" else database
    for schema in {database, recipe}:
        server.run(f"CREATE SCHEMA \"{schema}\" WITH (location = 's3://{BUCKET}/databases/{schema}')")
    _, *statements = ddl(
        location=LOCATION,
        database=database,
        recipe_database=recipe,
        first_day=FIRST_DAY,
        batch=batch,
        raw_since=raw_since,
    )
    for statement in statements:
        server.run(statement if "VIEW" in statement.partition("\n")[0] else trino_table(statement))


def test_the_tables_are_stored_with_the_parameters_that_glue_gets(trino: Trino, s3_server: S3Server) -> None:
    for table in TABLES:
        key = f"metastore/logs/{table.name}/.trinoSchema"
        stored = json.loads(s3_server.client().get_object(Bucket=BUCKET, Key=key)["Body"].read())["parameters"]
        expected = table_properties(table, first_day=FIRST_DAY)
        found = {name: value for name, value in stored.items() if name.startswith("projection.")}
        wanted = {name: value for name, value in expected.items() if name.startswith("projection.")}
        assert {name: value.lower() for name, value in found.items()} == {
            name: value.lower() for name, value in wanted.items()
        }


# --- Rows -------------------------------------------------------------------------------------------------------------


def test_the_raw_days_mix_both_kinds_of_times(lakes: Lakes) -> None:
    kinds = {
        pq.ParquetFile(file.path).schema.column(SCHEMA.names.index("request_time")).physical_type
        for file in open_lake(str(lakes.before)).snapshot().raw
    }
    assert kinds == {"INT96", "INT64"}


def test_the_exact_view_holds_the_truth(trino: Trino, lakes: Lakes) -> None:
    seen = trino.run(f"SELECT {COLUMNS} FROM access_logs_exact")
    assert not difference(Counter(seen.rows), lakes.truth)


def test_the_view_holds_the_truth_and_what_was_delivered_twice(trino: Trino, lakes: Lakes) -> None:
    seen = trino.run(f"SELECT {COLUMNS} FROM access_logs")
    assert dict(seen.columns)["request_time"] == "timestamp(3)"
    assert not difference(Counter(seen.rows), lakes.truth + lakes.delivered_twice)


def test_a_batch_and_a_day_later_the_same_files_hold_what_compaction_left(trino: Trino, lakes: Lakes) -> None:
    seen = trino.run(f"SELECT {COLUMNS} FROM access_logs", schema="after")
    assert not difference(Counter(seen.rows), read_lake(lakes.after))
    assert seen.rows


def test_the_recipe_view_has_its_columns_and_a_row_for_each(trino: Trino, lakes: Lakes) -> None:
    seen = trino.run('SELECT * FROM "default"."s3accesslog"')
    types = {"string": "varchar", "timestamp": "timestamp(3)"}
    assert list(seen.columns) == [(name, types[kind]) for name, kind, _ in RECIPE_COLUMNS]
    assert len(seen.rows) == (lakes.truth + lakes.delivered_twice).total()


# --- What is read -----------------------------------------------------------------------------------------------------


def test_a_day_reads_its_own_compacted_files_and_the_raw_arm(trino: Trino, lakes: Lakes) -> None:
    answer = trino.run(f"SELECT {COLUMNS} FROM access_logs WHERE event_date = '{DAY}'")
    truth = lakes.truth + lakes.delivered_twice
    day = SCHEMA.names.index("event_date")
    wanted = Counter({row: count for row, count in truth.items() if row[day] == DAY})
    assert not difference(Counter(answer.rows), wanted)
    reads = trino.reads(answer)
    assert reads[COMPACTED].partitions == {DAY}
    # The files of batch 2, which is not committed yet, are passed over by their statistics.
    assert reads[COMPACTED].rows == rows_in(lakes, COMPACTED, DAY, batch=lakes.batch) < rows_in(lakes, COMPACTED, DAY)
    assert min(reads[RAW].partitions) == RAW_SINCE


def test_a_span_reads_its_days_alone(trino: Trino, lakes: Lakes) -> None:
    span = f"event_date >= '{DAY}' AND event_date <= '2024-05-03'"
    for view in ("access_logs", "access_logs_exact"):
        reads = trino.reads(trino.run(f"SELECT count(*), max(user_agent) FROM {view} WHERE {span}"))
        assert reads[COMPACTED].partitions == {DAY, "2024-05-03"}
        whole = trino.reads(trino.run(f"SELECT count(*), max(user_agent) FROM {view}"))
        assert reads[COMPACTED].bytes < whole[COMPACTED].bytes
        days = reads[COMPACTED].partitions
        assert reads[COMPACTED].rows == sum(rows_in(lakes, COMPACTED, day, batch=lakes.batch) for day in days)


def test_the_first_raw_day_bounds_the_raw_arm(trino: Trino, lakes: Lakes) -> None:
    reads = trino.reads(trino.run("SELECT count(*), max(request_uri) FROM access_logs"))
    assert min(reads[RAW].partitions) == RAW_SINCE
    assert reads[RAW].rows == sum(rows_in(lakes, RAW, day) for day in (RAW_SINCE, LAST_RAW))
    assert rows_in(lakes, RAW, "2026-08-01"), "the files of committed batches are still there"
    after = trino.reads(trino.run("SELECT count(*), max(request_uri) FROM access_logs", schema="after"))
    assert after[RAW].rows == 0
    assert min(after[RAW].partitions) == "2026-08-04"


def test_the_plan_names_the_days(trino: Trino) -> None:
    plan = trino.run(f"EXPLAIN SELECT operation, count(*) FROM access_logs WHERE event_date = '{DAY}' GROUP BY 1")
    text = "\n".join(str(row[0]) for row in plan.rows)
    assert "event_date:string:PARTITION_KEY" in text
    assert f":: [[{DAY}]]" in text


def rows_in(lakes: Lakes, table: str, day: str, *, batch: str = "") -> int:
    """Rows of the table's files of a day, of one batch or of all, whether a reader is to see them or not."""
    folder, key = {COMPACTED: ("compacted", "event_date"), RAW: ("raw", "ingest_date")}[table]
    files = lakes.after.glob(f"{folder}/{key}={day}/{batch}*.parquet")
    return sum(pq.read_metadata(file).num_rows for file in files)


# --- The queries that come with the product ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [query.name for query in list_queries()])
def test_a_query_answers_on_trino_as_it_does_embedded(name: str, trino: Trino, lakes: Lakes) -> None:
    sql = bind(find_query(name), PARAMETERS.get(name, {}), newest_day=NEWEST)
    found = trino.run(sql)
    connection = connect(open_lake(str(lakes.before)).snapshot())
    embedded = run_query(connection, to_duckdb(sql)).read_all()
    assert [column for column, _ in found.columns] == embedded.column_names
    assert found.rows == [tuple(map(_naive, row.values())) for row in embedded.to_pylist()]
    assert found.rows, "an answer without rows shows nothing"
    if COMPACTED in (reads := trino.reads(found)):
        assert max(reads[COMPACTED].partitions, default=NEWEST) <= NEWEST


def _naive(value: Any) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value
