"""The catalog is made once: nothing moves the state back, nothing of others is dropped, a refusal changes nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import boto3
import duckdb
import pytest
import sqlglot
from aws_account import StrictGlue, aws_account, refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from etl.catalog import (
    Created,
    State,
    access_logs_input,
    create_catalog,
    exact_input,
    read_state,
    recipe_input,
    table_differences,
    table_input,
    view_differences,
)
from etl.catalog._tables import merged_table
from etl.errors import AccessLakeError, LakeMismatch, LakeUnusable
from etl.lake import create_glue_lake, create_lake, open_lake
from etl.schema import COMPACTED_TABLE, RAW_TABLE, RECIPE_COLUMNS, TABLES, Table

LAKE = "s3://lake-bucket/some/lake"
FIRST_DAY = "2020-01-01"
NAMES = ("logs.access_logs_compacted", "logs.access_logs", "logs.access_logs_exact", "old.s3accesslog")
VIEWS = {
    "access_logs": access_logs_input(State("0000000003", "2024-05-01"), database="logs", lake_uri=LAKE),
    "access_logs_exact": exact_input(database="logs", lake_uri=LAKE),
    "s3accesslog": recipe_input(database="logs", recipe_database="old", lake_uri=LAKE),
}


@pytest.fixture
def glue(monkeypatch: pytest.MonkeyPatch) -> Iterator[StrictGlue]:
    with aws_account(monkeypatch):
        boto3.client("s3").create_bucket(Bucket="lake-bucket")
        strict = StrictGlue()
        strict.client.create_database(DatabaseInput={"Name": "logs"})
        yield strict


def create(glue: Any, **changed: str) -> Created:
    given = {"database": "logs", "recipe_database": "old", "lake_uri": LAKE, "first_day": FIRST_DAY}
    return create_catalog(glue, **(given | changed))


def live(glue: StrictGlue, name: str) -> dict[str, Any]:
    database, _, table = name.partition(".")
    return dict(glue.client.get_table(DatabaseName=database, Name=table)["Table"])


def snapshot(glue: StrictGlue) -> dict[str, Any]:
    return {
        f"{database['Name']}.{table['Name']}": dict(table)
        for database in glue.client.get_databases()["DatabaseList"]
        for table in glue.client.get_tables(DatabaseName=database["Name"])["TableList"]
    }


def put(glue: StrictGlue, name: str, table: dict[str, Any]) -> None:
    """What somebody else has in the catalog."""
    database = name.partition(".")[0]
    if name in snapshot(glue):
        glue.client.update_table(DatabaseName=database, TableInput=table)  # type: ignore[arg-type]
        return
    if database not in {each["Name"] for each in glue.client.get_databases()["DatabaseList"]}:
        glue.client.create_database(DatabaseInput={"Name": database})
    glue.client.create_table(DatabaseName=database, TableInput=table)  # type: ignore[arg-type]


def commit(glue: StrictGlue, state: State) -> None:
    """What a compaction does last."""
    put(glue, "logs.access_logs", access_logs_input(state, database="logs", lake_uri=LAKE))


def keys_in_bucket() -> list[str]:
    return [each["Key"] for each in boto3.client("s3").list_objects_v2(Bucket="lake-bucket").get("Contents", [])]


def decoded(view: dict[str, Any]) -> dict[str, Any]:
    text = view["ViewOriginalText"]
    assert text.startswith("/* Presto View: ")
    assert text.endswith(" */")
    found = json.loads(base64.b64decode(text.removeprefix("/* Presto View: ").removesuffix(" */"), validate=True))
    assert isinstance(found, dict)
    return found


# --- What is made -----------------------------------------------------------------------------------------------------


def test_a_new_catalog_has_the_stateful_table_and_the_views(glue: StrictGlue) -> None:
    assert create(glue) == Created(NAMES, (), ())
    table = live(glue, "logs.access_logs_compacted")
    assert table_differences(table, table_input(COMPACTED_TABLE, lake_uri=LAKE, first_day=FIRST_DAY)) == []
    assert table["StorageDescriptor"]["Location"] == f"{LAKE}/compacted/"
    assert read_state(live(glue, "logs.access_logs")) == State("", FIRST_DAY)
    sql = decoded(live(glue, "logs.access_logs"))["originalSql"]
    assert "batch_id <= ''" in sql
    assert f"ingest_date >= '{FIRST_DAY}'" in sql
    assert json.loads(
        boto3.client("s3").get_object(Bucket="lake-bucket", Key="some/lake/meta/lake.json")["Body"].read()
    ) == {
        "format": 1,
        "state": "glue",
        "database": "logs",
    }


def test_a_second_run_changes_nothing(glue: StrictGlue) -> None:
    create(glue)
    before = snapshot(glue)
    assert create(glue, lake_uri=LAKE + "/") == Created((), (), NAMES)
    assert snapshot(glue) == before
    assert glue.updates == []


@pytest.mark.parametrize("name", list(VIEWS))
def test_a_view_has_the_form_that_athena_reads(name: str) -> None:
    view = VIEWS[name]
    assert (view["Name"], view["TableType"], view["PartitionKeys"]) == (name, "VIRTUAL_VIEW", [])
    assert view["Parameters"]["presto_view"] == "true"
    assert view["ViewExpandedText"] == "/* Presto View */"
    definition = decoded(view)
    assert definition["catalog"] == "awsdatacatalog"
    assert definition["schema"] == ("old" if name == "s3accesslog" else "logs")
    select = sqlglot.parse_one(definition["originalSql"], read="athena")
    assert isinstance(select, exp.Query)
    assert select.named_selects == [column["name"] for column in definition["columns"]]


@pytest.mark.parametrize("name", list(VIEWS))
def test_the_columns_of_a_view_have_the_types_that_its_sql_gives(name: str) -> None:
    """Twice: in Hive's words for Glue, in Presto's for Athena, which calls the view stale if they are wrong."""
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA logs; CREATE SCHEMA old")
    for table in (RAW_TABLE, COMPACTED_TABLE):
        columns = ", ".join(
            f"{column} {kind}" for column, kind, _ in (*table.columns, (table.partition_key, "string", ""))
        )
        connection.execute(f"CREATE TABLE logs.{table.name} ({columns})")
    for each, view in VIEWS.items():
        sql = sqlglot.transpile(decoded(view)["originalSql"], read="athena", write="duckdb")[0]
        connection.execute(f"CREATE VIEW {'old' if each == 's3accesslog' else 'logs'}.{each} AS {sql}")
        if each == name:
            break
    described = connection.execute(f"DESCRIBE {'old' if name == 's3accesslog' else 'logs'}.{name}").fetchall()
    hive = {"VARCHAR": "string", "INTEGER": "int", "BIGINT": "bigint", "TIMESTAMP": "timestamp"}
    presto = {"VARCHAR": "varchar", "INTEGER": "integer", "BIGINT": "bigint", "TIMESTAMP": "timestamp(3)"}
    found = VIEWS[name]["StorageDescriptor"]["Columns"]
    assert [(each["Name"], each["Type"]) for each in found] == [(row[0], hive[row[1]]) for row in described]
    assert [(each["name"], each["type"]) for each in decoded(VIEWS[name])["columns"]] == [
        (row[0], presto[row[1]]) for row in described
    ]


def test_the_recipe_s_view_has_its_22_columns() -> None:
    columns = VIEWS["s3accesslog"]["StorageDescriptor"]["Columns"]
    assert [(each["Name"], each["Type"]) for each in columns] == [(name, kind) for name, kind, _ in RECIPE_COLUMNS]


# --- State ------------------------------------------------------------------------------------------------------------


def test_the_state_is_never_moved_back(glue: StrictGlue) -> None:
    create(glue)
    commit(glue, State("0000000007", "2024-05-01"))
    before = snapshot(glue)
    assert create(glue, first_day="2021-01-01").updated == ()
    assert snapshot(glue) == before


def test_an_older_sql_is_renewed_and_keeps_the_state(glue: StrictGlue) -> None:
    create(glue)
    older = access_logs_input(State("0000000007", "2024-05-01"), database="logs", lake_uri=LAKE)
    older["ViewOriginalText"] = older["ViewOriginalText"].replace("/* Presto View: ", "/* Presto View: AAAA")
    older["Parameters"]["mine"] = "kept"
    put(glue, "logs.access_logs", older)
    assert create(glue).updated == ("logs.access_logs",)
    found = live(glue, "logs.access_logs")
    wanted = access_logs_input(State("0000000007", "2024-05-01"), database="logs", lake_uri=LAKE)
    assert view_differences(found, wanted) == []
    assert found["Parameters"]["mine"] == "kept"


def test_a_compaction_that_commits_meanwhile_wins(glue: StrictGlue, monkeypatch: pytest.MonkeyPatch) -> None:
    create(glue)
    older = access_logs_input(State("0000000007", "2024-05-01"), database="logs", lake_uri=LAKE)
    put(glue, "logs.access_logs", {**older, "ViewOriginalText": "/* Presto View: e30= */"})
    reads = []

    def get_table(**arguments: Any) -> Any:
        found = glue.client.get_table(**arguments)
        if arguments["Name"] == "access_logs":
            reads.append(found)
            if len(reads) == 2:  # the first one only looks
                commit(glue, State("0000000008", "2024-05-02"))
        return found

    monkeypatch.setattr(glue, "get_table", get_table, raising=False)
    create(glue)
    found = live(glue, "logs.access_logs")
    assert read_state(found) == State("0000000008", "2024-05-02")
    wanted = access_logs_input(State("0000000008", "2024-05-02"), database="logs", lake_uri=LAKE)
    assert view_differences(found, wanted) == []
    assert glue.updates == [], "the stale write was refused, and none was needed after it"


def test_a_rival_that_makes_it_first_is_no_error(glue: StrictGlue) -> None:
    commit_first = State("0000000001", "2024-01-01")
    glue.before_write = [lambda: None, lambda: commit(glue, commit_first)]
    assert create(glue).unchanged == ("logs.access_logs",)
    assert read_state(live(glue, "logs.access_logs")) == commit_first


def test_rivals_without_end_are_an_error(glue: StrictGlue) -> None:
    create(glue)
    older = {**VIEWS["access_logs_exact"], "ViewOriginalText": "/* Presto View: e30= */"}
    put(glue, "logs.access_logs_exact", older)
    glue.before_write = [lambda: put(glue, "logs.access_logs_exact", older)] * 9
    with pytest.raises(LakeUnusable, match="access_logs_exact: was changed by others"):
        create(glue)


@pytest.mark.parametrize(
    "state",
    [
        *(None, "", "{}", "[]", "7", '{"batch": "7", "raw_since": "2024-05-01"}', '{"batch": "", "raw_since": "soon"}'),
        *('{"batch": 7, "raw_since": "2024-05-01"}', '{"batch": "", "raw_since": "2024-05-01", "more": 1}'),
    ],
)
def test_a_view_without_its_state_is_refused(glue: StrictGlue, state: str | None) -> None:
    """As it is after somebody ran the SQL of `accesslake ddl` over it: guessing would serve rows twice, or not at all."""
    create(glue)
    view = access_logs_input(State("0000000007", "2024-05-01"), database="logs", lake_uri=LAKE)
    del view["Parameters"]["accesslake.state"]
    put(
        glue,
        "logs.access_logs",
        view if state is None else view | {"Parameters": {**view["Parameters"], "accesslake.state": state}},
    )
    refused(glue, "access_logs: does not hold the lake's state")


# --- What is there ----------------------------------------------------------------------------------------------------


def refused(glue: StrictGlue, message: str, **changed: str) -> None:
    """One clear line, and nothing is written: not even the lake's identity."""
    before, keys = snapshot(glue), keys_in_bucket()
    with pytest.raises(AccessLakeError, match=message) as caught:
        create(glue, **changed)
    assert "\n" not in str(caught.value)
    assert snapshot(glue) == before
    assert keys_in_bucket() == keys


def test_columns_are_only_added_and_the_range_only_widens(glue: StrictGlue) -> None:
    older = table_input(COMPACTED_TABLE, lake_uri=LAKE, first_day="2018-01-01")
    ours = older["StorageDescriptor"]["Columns"]
    mine = {"Name": "mine", "Type": "string", "Comment": "of a user"}
    older["StorageDescriptor"]["Columns"] = [ours[1], mine, *ours[2:-1]]
    older["Parameters"] |= {"owner": "me", "storage.location.template": "s3://x/${event_date}/"}
    put(glue, "logs.access_logs_compacted", older)
    assert create(glue).updated == ("logs.access_logs_compacted",)
    found = live(glue, "logs.access_logs_compacted")
    assert found["StorageDescriptor"]["Columns"] == [ours[1], mine, *ours[2:-1], ours[0], ours[-1]]
    assert found["Parameters"]["projection.event_date.range"] == "2018-01-01,NOW"
    assert found["Parameters"]["owner"] == "me"
    assert "storage.location.template" not in found["Parameters"]


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        (
            "old.s3accesslog",
            {"Name": "s3accesslog", "TableType": "EXTERNAL_TABLE"},
            "s3accesslog: is a table, not a view",
        ),
        (
            "old.s3accesslog",
            {"Name": "s3accesslog", "TableType": "VIRTUAL_VIEW", "Parameters": {"presto_view": "true"}},
            "s3accesslog: is a view that accesslake has not made",
        ),
        (
            "logs.access_logs",
            access_logs_input(State("", FIRST_DAY), database="logs", lake_uri="s3://another/lake"),
            "access_logs: is a view of the lake s3://another/lake",
        ),
        ("logs.access_logs", {"Name": "access_logs"}, "access_logs: is a table, not a view"),
        (
            "logs.access_logs_compacted",
            {**VIEWS["access_logs"], "Name": "access_logs_compacted"},
            "access_logs_compacted: is a view, not a table",
        ),
        (
            "logs.access_logs_compacted",
            table_input(COMPACTED_TABLE, lake_uri="s3://another", first_day=FIRST_DAY),
            "access_logs_compacted: lies at s3://another/compacted/, not",
        ),
        (
            "logs.access_logs_compacted",
            table_input(COMPACTED_TABLE, lake_uri=LAKE, first_day=FIRST_DAY) | {"PartitionKeys": []},
            "partitioned by something else",
        ),
    ],
)
def test_what_belongs_to_others_is_refused_before_anything_is_written(
    glue: StrictGlue, name: str, table: dict[str, Any], message: str
) -> None:
    put(glue, name, table)
    refused(glue, message)


def test_a_column_of_another_type_is_refused(glue: StrictGlue) -> None:
    other = table_input(COMPACTED_TABLE, lake_uri=LAKE, first_day=FIRST_DAY)
    other["StorageDescriptor"]["Columns"][9] = {"Name": "http_status", "Type": "string"}
    put(glue, "logs.access_logs_compacted", other)
    refused(glue, "column http_status is string, not int")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"first_day": "2024-13-01"}, "first day: '2024-13-01' is not a day"),
        ({"first_day": ""}, "first day: '' is not a day"),
        ({"first_day": "20240101"}, "first day: '20240101' is not a day"),
        ({"first_day": "2024-01-01\n"}, "is not a day"),
        ({"database": "Logs"}, "database: 'Logs' cannot name a database"),
        ({"recipe_database": "a-b"}, "recipe database: 'a-b' cannot"),
        ({"lake_uri": "/some/folder"}, "/some/folder: Athena reads a lake in S3 only"),
    ],
)
def test_what_cannot_be_used_is_refused(glue: StrictGlue, changed: dict[str, str], message: str) -> None:
    refused(glue, message, **changed)


def test_a_database_that_is_missing_is_one_clear_error(glue: StrictGlue) -> None:
    with pytest.raises(LakeUnusable, match=r"nowhere\.access_logs_compacted: .*EntityNotFoundException"):
        create(glue, database="nowhere")


@pytest.mark.parametrize("operation", ["get_table", "create_table", "get_database"])
def test_no_permission_is_one_clear_error(glue: StrictGlue, operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(**_: Any) -> None:
        raise refusal("AccessDeniedException", operation, "User is not authorized\nand more")

    monkeypatch.setattr(glue, operation, deny, raising=False)
    with pytest.raises(LakeUnusable, match="AccessDeniedException") as caught:
        create(glue)
    assert "\n" not in str(caught.value)


COLUMN = st.sampled_from([*({"Name": name, "Type": kind} for name, kind, _ in COMPACTED_TABLE.columns)])
EXTRA = st.builds(lambda name: {"Name": f"x_{name}", "Type": "double"}, st.text("abc", min_size=1, max_size=3))
DAY = st.dates().map(lambda day: f"{day.isoformat()},NOW")


@settings(max_examples=60)
@given(
    columns=st.lists(COLUMN | EXTRA, unique_by=lambda each: each["Name"]),
    bounds=DAY | st.just("") | st.just("soon,NOW"),
    parameters=st.dictionaries(st.text("pqr.", min_size=1), st.text(max_size=3), max_size=3),
)
def test_a_merged_table_keeps_all_has_all_and_is_settled(
    columns: list[dict[str, str]], bounds: str, parameters: dict[str, str]
) -> None:
    expected = table_input(COMPACTED_TABLE, lake_uri=LAKE, first_day=FIRST_DAY)
    found = table_input(COMPACTED_TABLE, lake_uri=LAKE, first_day=FIRST_DAY)
    found["StorageDescriptor"]["Columns"] = columns
    found["Parameters"] = {**parameters, "projection.event_date.range": bounds}
    merged = merged_table(found, expected)
    assert merged is not None
    names = [(each["Name"], each["Type"]) for each in merged["StorageDescriptor"]["Columns"]]
    assert names[: len(columns)] == [(each["Name"], each["Type"]) for each in columns]
    assert len(names) == len(dict(names))
    assert parameters.items() <= merged["Parameters"].items()
    if bounds[:1].isdigit():
        assert merged["Parameters"]["projection.event_date.range"] == min(bounds, f"{FIRST_DAY},NOW")
    assert table_differences(merged, expected) == []
    assert merged_table(merged, expected) is None


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda t: t["StorageDescriptor"]["Columns"].pop(), "missing"),
        (lambda t: t["StorageDescriptor"]["Columns"][0].update(Type="double"), "double"),
        (lambda t: t["StorageDescriptor"].update(Location="s3://x/"), "location is s3://x/"),
        (lambda t: t["StorageDescriptor"].update(InputFormat="text"), "InputFormat is text"),
        (lambda t: t["StorageDescriptor"].update(SerdeInfo={}), "SerDe is missing"),
        (lambda t: t["Parameters"].update({"projection.enabled": "false"}), "projection.enabled is false"),
        (
            lambda t: t["Parameters"].update({f"projection.{t['PartitionKeys'][0]['Name']}.range": "2021-01-01,NOW"}),
            "range",
        ),
        (lambda t: t["Parameters"].update({"storage.location.template": "s3://x/"}), "template"),
        (lambda t: t["PartitionKeys"].append({"Name": "hour", "Type": "string"}), "hour"),
    ],
)
def test_what_differs_is_told(table: Table, change: Any, word: str) -> None:
    found = table_input(table, lake_uri=LAKE, first_day=FIRST_DAY)
    expected = table_input(table, lake_uri=LAKE, first_day=FIRST_DAY)
    assert table_differences(found, expected) == []
    change(found)
    (difference,) = table_differences(found, expected)
    assert word in difference


# --- The lake's identity ----------------------------------------------------------------------------------------------


def test_two_keepers_never_meet_on_one_lake(glue: StrictGlue) -> None:
    create_lake(LAKE)
    with pytest.raises(LakeMismatch, match="its state is kept by 'file', not by Glue"):
        create(glue)
    assert snapshot(glue) == {}


def test_a_lake_of_another_database_is_refused(glue: StrictGlue) -> None:
    create_glue_lake(LAKE, database="others")
    refused(glue, "kept by the Glue database 'others', not by 'logs'")


def test_a_verb_for_files_refuses_a_lake_of_glue(glue: StrictGlue) -> None:
    create(glue)
    with pytest.raises(LakeMismatch, match="its state is kept by 'glue', not by files"):
        open_lake(LAKE)
    with pytest.raises(LakeMismatch, match="'glue'"):
        create_lake(LAKE)
    lake = open_lake(LAKE, states=("file", "glue"))
    assert (lake.state, lake.database, lake.quarantined_keys()) == ("glue", "logs", [])
    for ask in (lake.snapshot, lake.uncompacted, lake.ingested_names):
        with pytest.raises(LakeMismatch, match="not by files"):
            ask()
