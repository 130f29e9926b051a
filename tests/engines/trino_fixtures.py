"""One Trino server for all tests of tables, views and queries, whose metastore holds what Glue holds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import S3Server
from trino_catalog import create_database, put_in_metastore
from trino_fresh import DATABASE, RECIPE_DATABASE, RECIPE_VIEW, Fresh, make_fresh
from trino_lakes import AFTER, BUCKET, FIRST_DAY, LOCATION, MAIN, RAW_SINCE, Lakes, make_lakes
from trino_server import Trino, started_trino

from etl.catalog import State, access_logs_input, exact_input, recipe_input, table_input
from etl.schema import TABLES

STATES = {MAIN: RAW_SINCE, AFTER: "2026-08-04"}


@pytest.fixture(scope="session")
def lakes(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server) -> Lakes:
    return make_lakes(tmp_path_factory.mktemp("lakes"), s3_server)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server, lakes: Lakes) -> Fresh:
    return make_fresh(tmp_path_factory.mktemp("fresh"), s3_server)


@pytest.fixture(scope="session")
def trino(tmp_path_factory: pytest.TempPathFactory, s3_server: S3Server, lakes: Lakes) -> Iterator[Trino]:
    """With the lake before its second compaction in the schema `main`, and after it in `after`."""
    folder = tmp_path_factory.mktemp("trino")
    client = s3_server.client()
    with started_trino(folder, s3_endpoint=s3_server.endpoint, bucket=BUCKET) as server:
        for database in (MAIN, AFTER, DATABASE, RECIPE_DATABASE):
            create_database(server, BUCKET, database)
        for database, batch in ((MAIN, lakes.batch), (AFTER, lakes.batch_after)):
            state = State(batch, STATES[database])
            tables = [table_input(table, lake_uri=LOCATION, first_day=FIRST_DAY) for table in TABLES]
            tables += [
                access_logs_input(state, database=database, lake_uri=LOCATION),
                exact_input(database=database, lake_uri=LOCATION),
                recipe_input(database=database, recipe_database=database, lake_uri=LOCATION),
            ]
            for table in tables:
                put_in_metastore(client, BUCKET, database, table)
        put_in_metastore(client, BUCKET, RECIPE_DATABASE, RECIPE_VIEW)
        yield server


@pytest.fixture(params=["before", "after"])
def shown(request: pytest.FixtureRequest, trino: Trino, s3_server: S3Server, fresh: Fresh) -> str:
    """Whether the fresh lake shows itself as before its compaction, or as after it."""
    state: str = request.param
    for table in fresh.glue[state]:
        put_in_metastore(s3_server.client(), BUCKET, DATABASE, table)
    return state
