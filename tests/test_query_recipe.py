"""The queries that the 2019 recipe published, letter for letter, and the ones that took their place."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest
from query_lake import as_remote, ask, ask_for, make_row, snapshot_of, write_compacted, write_raw

from etl.query import bind, connect
from etl.schema import RECIPE_COLUMNS

FIRST_TEN = """
SELECT * FROM "default"."s3accesslog" limit 10;
"""

BY_CLIENT = """
SELECT count(1) AS cnt,
         RemoteIP,
         Requester,
         Bucket ,
         Operation,
         UserAgent ,
         SignatureVersion
FROM "default"."s3accesslog"
WHERE Timestamp > now() - interval '24' hour
AND SignatureVersion = 'SigV2'
GROUP BY  RemoteIP, Requester, Bucket ,Operation, UserAgent , SignatureVersion
ORDER BY  cnt DESC
"""

BY_USER_AGENT = """
SELECT count(1) AS cnt,
         Bucket ,
         UserAgent ,
         SignatureVersion
FROM "default"."s3accesslog"
WHERE Timestamp > now() - interval '24' hour
AND SignatureVersion = 'SigV2'
GROUP BY  Bucket ,Operation, UserAgent , SignatureVersion
ORDER BY  cnt DESC
"""

NOW = dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)
TODAY = NOW.date().isoformat()
ROWS = [
    make_row(
        (NOW - dt.timedelta(hours=hours)).isoformat(), line_no=number, remote_ip="192.0.2.1", requester="me", **values
    )
    for number, (hours, values) in enumerate(
        [
            (1, {"signature_version": "SigV2", "user_agent": "old"}),
            (2, {"signature_version": "SigV2", "user_agent": "old"}),
            (23, {"signature_version": "SigV2", "user_agent": "old", "operation": "REST.PUT.OBJECT"}),
            (3, {"signature_version": "SigV2", "user_agent": "older", "bucket_name": "b2"}),
            (4, {"signature_version": "SigV4", "user_agent": "new"}),
            (5, {"user_agent": "nobody"}),
            (6, {"signature_version": "SigV2", "user_agent": "forged", "parse_status": "ambiguous"}),
            (25, {"signature_version": "SigV2", "user_agent": "yesterday"}),
            (80, {"signature_version": "SigV2", "user_agent": "long ago"}),
        ]
    )
]
EXPECTED_BY_CLIENT = [
    (2, "192.0.2.1", "me", "b1", "REST.GET.OBJECT", "old", "SigV2"),
    (1, "192.0.2.1", "me", "b1", "REST.PUT.OBJECT", "old", "SigV2"),
    (1, "192.0.2.1", "me", "b2", "REST.GET.OBJECT", "older", "SigV2"),
]


@pytest.fixture(scope="module", params=["local", "remote"])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    root = tmp_path_factory.mktemp("lake")
    snapshot = snapshot_of(
        compacted=write_compacted(root, ROWS[::2]), raw=[write_raw(root, ROWS[1::2], day=TODAY, firehose=True)]
    )
    return connect(snapshot if request.param == "local" else as_remote(snapshot, root))


def run(lake: duckdb.DuckDBPyConnection, text: str) -> list[tuple[Any, ...]]:
    return ask(lake, bind(text, {}, newest_day=TODAY))


def test_the_first_ten_rows(lake: duckdb.DuckDBPyConnection) -> None:
    found = run(lake, FIRST_TEN)
    assert len(found) == len(ROWS)
    assert all(len(row) == len(RECIPE_COLUMNS) == 22 for row in found)


def test_sigv2_by_client(lake: duckdb.DuckDBPyConnection) -> None:
    assert Counter(run(lake, BY_CLIENT)) == Counter(EXPECTED_BY_CLIENT)


def test_sigv2_by_user_agent(lake: duckdb.DuckDBPyConnection) -> None:
    # The text groups by operation without showing it.
    assert Counter(run(lake, BY_USER_AGENT)) == Counter(
        [(2, "b1", "old", "SigV2"), (1, "b1", "old", "SigV2"), (1, "b2", "older", "SigV2")]
    )


def test_the_most_frequent_comes_first(lake: duckdb.DuckDBPyConnection) -> None:
    assert [row[0] for row in run(lake, BY_CLIENT)] == [2, 1, 1]


def test_ours_give_what_the_recipes_give(lake: duckdb.DuckDBPyConnection) -> None:
    assert ask_for(lake, "recipe_sigv2_by_client", TODAY) == EXPECTED_BY_CLIENT
    ours = ask_for(lake, "recipe_sigv2_by_user_agent", TODAY)
    assert ours == [(3, "b1", "old", "SigV2"), (1, "b2", "older", "SigV2")]


def test_ours_show_the_newest_day_of_old_logs(tmp_path: Path) -> None:
    rows = [make_row(f"2019-03-{day}T10:00:00", signature_version="SigV2", user_agent=day) for day in ("28", "29")]
    connection = connect(snapshot_of(raw=[write_raw(tmp_path, rows, day=TODAY)]))
    assert run(connection, BY_USER_AGENT) == []
    assert ask_for(connection, "recipe_sigv2_by_user_agent", "2019-03-29") == [(1, "b1", "29", "SigV2")]
    assert len(ask_for(connection, "recipe_sigv2_by_user_agent", "2019-03-29", hours="48")) == 2
