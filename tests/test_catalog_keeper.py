"""The state in the view moves by one batch, by one write, whoever else writes; Glue is moto's, strict about versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_account import StrictGlue, aws_account, refusal
from botocore.exceptions import ReadTimeoutError
from lake_records import INPUT, OUTPUT

from etl.catalog import (
    EXACT_VIEW,
    GlueKeeper,
    State,
    access_logs_input,
    create_catalog,
    open_lake,
    read_state,
    table_differences,
    table_input,
    view_differences,
)
from etl.errors import LakeMismatch, LakeNotFound, LakeUnusable
from etl.lake import Commit, Plan, Winner, create_record
from etl.lake._layout import commit_key, plan_key, winner_key
from etl.schema import COMPACTED_TABLE

LAKE = "s3://lake-bucket/some/lake"
FIRST_DAY = "2024-05-01"
FIRST = State("0000000001", "2024-05-03")
DAYS = ["2024-05-02", "2024-04-30"]
WINNER = Winner("0000000001", "attempt", (OUTPUT,), {"2024-05-02": 1})


@pytest.fixture
def glue(monkeypatch: pytest.MonkeyPatch) -> Iterator[StrictGlue]:
    with aws_account(monkeypatch):
        boto3.client("s3").create_bucket(Bucket="lake-bucket")
        strict = StrictGlue()
        strict.client.create_database(DatabaseInput={"Name": "logs"})
        make_catalog(strict)
        yield strict


@pytest.fixture
def keeper(glue: Any) -> GlueKeeper:
    return GlueKeeper(open_lake(LAKE).store, glue, "logs")


def make_catalog(glue: Any) -> None:
    create_catalog(glue, database="logs", recipe_database="old", lake_uri=LAKE, first_day=FIRST_DAY)


def live(glue: StrictGlue, name: str = "access_logs") -> dict[str, Any]:
    return dict(glue.client.get_table(DatabaseName="logs", Name=name)["Table"])


def put(glue: StrictGlue, table: dict[str, Any]) -> None:
    """What somebody else writes."""
    glue.client.update_table(DatabaseName="logs", TableInput=table)  # type: ignore[arg-type]


def commit_of_others(glue: StrictGlue, state: State) -> None:
    put(glue, access_logs_input(state, database="logs", lake_uri=LAKE))


def renewed_by_others(glue: StrictGlue) -> None:
    """What a newer version does to the view, with the state as it is."""
    view = access_logs_input(read_state(live(glue)), database="logs", lake_uri=LAKE)
    put(glue, view | {"Description": "of others", "Parameters": view["Parameters"] | {"of": "others"}})


def writes(glue: StrictGlue) -> list[str]:
    return [each["TableInput"]["Name"] for each in glue.updates]


# --- One commit -------------------------------------------------------------------------------------------------------


def test_a_new_lake_starts_where_its_view_says(keeper: GlueKeeper) -> None:
    assert keeper.read() == State("", FIRST_DAY)
    assert list(keeper.commits()) == []


def test_the_keeper_that_a_lake_is_opened_with_asks_the_same_glue(glue: StrictGlue) -> None:
    lake = open_lake(LAKE)
    assert (lake.state, lake.database, lake.keeper.read()) == ("glue", "logs", State("", FIRST_DAY))
    assert lake.snapshot().batch_id == ""


def test_a_commit_widens_the_table_and_then_moves_batch_and_days_in_one_write(
    glue: StrictGlue, keeper: GlueKeeper
) -> None:
    renewed_by_others(glue)
    keeper.advance(FIRST, event_days=DAYS)
    assert writes(glue) == ["access_logs_compacted", "access_logs"]
    table = live(glue, "access_logs_compacted")
    wanted = table_input(COMPACTED_TABLE, lake_uri=LAKE, first_day="2024-04-30")
    assert table_differences(table, wanted) == []
    assert table["Parameters"]["projection.event_date.range"] == "2024-04-30,NOW"
    view = live(glue)
    assert view_differences(view, access_logs_input(FIRST, database="logs", lake_uri=LAKE)) == []
    assert (view["Parameters"]["of"], view["Description"]) == ("others", "of others"), "what is not ours stays"
    assert keeper.read() == FIRST


def test_a_table_that_reaches_back_far_enough_is_left_alone(glue: StrictGlue, keeper: GlueKeeper) -> None:
    keeper.advance(FIRST, event_days=["2024-05-02"])
    assert writes(glue) == ["access_logs"]
    assert live(glue, "access_logs_compacted")["Parameters"]["projection.event_date.range"] == f"{FIRST_DAY},NOW"


def test_every_commit_reaches_back_to_all_that_is_committed(glue: StrictGlue, keeper: GlueKeeper) -> None:
    """As after somebody has set the range by hand."""
    record(keeper, committed_at="")
    commit_of_others(glue, FIRST)
    put(glue, table_input(COMPACTED_TABLE, lake_uri=LAKE, first_day="2024-05-09"))
    keeper.advance(State("0000000002", "2024-05-10"), event_days=["2024-05-09"])
    assert live(glue, "access_logs_compacted")["Parameters"]["projection.event_date.range"] == "2024-05-01,NOW"


def test_a_batch_without_rows_asks_for_no_day(glue: StrictGlue, keeper: GlueKeeper) -> None:
    keeper.advance(FIRST, event_days=[])
    assert (writes(glue), keeper.read()) == (["access_logs"], FIRST)


def test_days_never_go_back_whatever_the_plan_says(glue: StrictGlue, keeper: GlueKeeper) -> None:
    keeper.advance(State("0000000001", "2024-04-01"), event_days=[])
    assert keeper.read() == State("0000000001", FIRST_DAY)


# --- Others -----------------------------------------------------------------------------------------------------------


def test_an_equal_run_that_was_first_has_done_it(glue: StrictGlue, keeper: GlueKeeper) -> None:
    glue.before_write = [lambda: commit_of_others(glue, FIRST)]
    keeper.advance(FIRST, event_days=[])
    assert (writes(glue), keeper.read()) == ([], FIRST)


def test_who_slept_through_later_batches_moves_nothing_back(glue: StrictGlue, keeper: GlueKeeper) -> None:
    later = State("0000000002", "2024-05-09")
    for batch in (FIRST.batch, later.batch):
        create_record(keeper.store, commit_key(batch), Commit(batch, (), (), (), {}, "2024-05-04T00:00:00+00:00"))
    commit_of_others(glue, later)
    keeper.advance(FIRST, event_days=[])
    assert (writes(glue), keeper.read()) == ([], later)


def test_a_view_that_was_renewed_meanwhile_keeps_what_is_new_in_it(glue: StrictGlue, keeper: GlueKeeper) -> None:
    glue.before_write = [lambda: renewed_by_others(glue)] * 2
    keeper.advance(FIRST, event_days=[])
    assert writes(glue) == ["access_logs"]
    assert keeper.read() == FIRST
    assert live(glue)["Parameters"]["of"] == "others"


@pytest.mark.parametrize(
    ("others", "days"),
    [(renewed_by_others, []), (lambda glue: put(glue, {**_without_version(live(glue, COMPACTED_TABLE.name))}), DAYS)],
    ids=["the view", "the table"],
)
def test_others_without_end_are_an_error(
    glue: StrictGlue, keeper: GlueKeeper, others: Callable[[StrictGlue], None], days: list[str]
) -> None:
    glue.before_write = [lambda: others(glue)] * 9
    with pytest.raises(LakeUnusable, match="was changed by others 5 times in a row") as caught:
        keeper.advance(FIRST, event_days=days)
    assert caught.value.retryable
    assert keeper.read() == State("", FIRST_DAY)


def _without_version(table: dict[str, Any]) -> dict[str, Any]:
    kept = ("Name", "Parameters", "PartitionKeys", "StorageDescriptor", "TableType")
    return {key: table[key] for key in kept}


@pytest.mark.parametrize("batch", ["0000000002", "0000000009"])
def test_no_batch_is_left_out(keeper: GlueKeeper, batch: str) -> None:
    with pytest.raises(LakeMismatch, match=f"shows batch none, not that before {batch}"):
        keeper.advance(State(batch, "2024-05-03"), event_days=[])


# --- Glue that fails --------------------------------------------------------------------------------------------------


class Failing:
    """Glue whose update of the view fails in some way, before or after it is done."""

    def __init__(self, glue: StrictGlue, error: Exception, *, done: bool) -> None:
        self._glue, self._error, self._done = glue, error, done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._glue, name)

    def update_table(self, **arguments: Any) -> Any:
        if self._done:
            self._glue.update_table(**arguments)
        raise self._error


TROUBLE = (
    ReadTimeoutError(endpoint_url="https://glue"),
    refusal("InternalServiceException", "UpdateTable"),
    refusal("AccessDeniedException", "UpdateTable", "not authorized\nat all"),
)


@pytest.mark.parametrize("error", TROUBLE, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
def test_of_an_update_without_an_answer_the_state_tells(glue: Any, error: Exception, done: bool) -> None:
    failing: Any = Failing(glue, error, done=done)
    keeper = GlueKeeper(open_lake(LAKE).store, failing, "logs")
    if done:
        keeper.advance(FIRST, event_days=[])
        assert keeper.read() == FIRST
        return
    with pytest.raises(LakeUnusable, match=r"logs\.access_logs: ") as caught:
        keeper.advance(FIRST, event_days=[])
    assert "\n" not in str(caught.value)
    assert "changed by others" not in str(caught.value), "nobody has"
    assert keeper.read() == State("", FIRST_DAY)


@pytest.mark.parametrize("name", ["access_logs", "access_logs_compacted"])
def test_what_is_missing_is_named(glue: StrictGlue, keeper: GlueKeeper, name: str) -> None:
    glue.client.delete_table(DatabaseName="logs", Name=name)
    with pytest.raises(LakeNotFound, match=f"logs.{name}: is not in Glue"):
        keeper.advance(FIRST, event_days=DAYS)


def test_what_belongs_to_others_is_refused(glue: StrictGlue, keeper: GlueKeeper) -> None:
    put(glue, table_input(COMPACTED_TABLE, lake_uri="s3://another/lake", first_day=FIRST_DAY))
    with pytest.raises(LakeMismatch, match="lies at s3://another/lake/compacted/"):
        keeper.advance(FIRST, event_days=DAYS)
    assert keeper.read() == State("", FIRST_DAY)
    put(glue, {"Name": "access_logs", "TableType": "EXTERNAL_TABLE"})
    with pytest.raises(LakeMismatch, match="is a table, not a view"):
        keeper.read()


def test_a_state_of_unknown_form_is_refused(glue: StrictGlue, keeper: GlueKeeper) -> None:
    view = live(glue)["Parameters"] | {"accesslake.state": "{}"}
    put(glue, access_logs_input(State("", FIRST_DAY), database="logs", lake_uri=LAKE) | {"Parameters": view})
    with pytest.raises(LakeMismatch, match="does not hold the lake's state"):
        keeper.read()


# --- Records ----------------------------------------------------------------------------------------------------------


def record(keeper: GlueKeeper, *, committed_at: str) -> Commit:
    """The records of a first batch, with its journal if that has a time."""
    create_record(keeper.store, plan_key("0000000001"), Plan("0000000001", (INPUT,), (), "2024-05-03"))
    create_record(keeper.store, winner_key("0000000001"), WINNER)
    commit = Commit("0000000001", (INPUT,), (), (OUTPUT,), {"2024-05-02": 1}, committed_at)
    if committed_at:
        create_record(keeper.store, commit_key("0000000001"), commit)
    return commit


@pytest.mark.parametrize("committed_at", ["2024-05-04T00:00:00+00:00", ""], ids=["with a record", "without"])
def test_what_is_committed_is_what_the_view_shows(glue: StrictGlue, keeper: GlueKeeper, committed_at: str) -> None:
    wanted = record(keeper, committed_at=committed_at)
    if not committed_at:
        assert list(keeper.commits()) == [], "a plan and a winner are no commit"
    commit_of_others(glue, FIRST)
    assert list(keeper.commits()) == [wanted]
    assert open_lake(LAKE).ingested_names() == {"a"}


def test_a_record_of_a_batch_that_the_view_does_not_show_is_refused(glue: StrictGlue, keeper: GlueKeeper) -> None:
    record(keeper, committed_at="2024-05-04T00:00:00+00:00")
    with pytest.raises(
        LakeMismatch, match="shows batch none, but batch 0000000001 was committed: the view was moved back"
    ):
        list(keeper.commits())


def test_the_other_view_is_nobodys_state(glue: StrictGlue, keeper: GlueKeeper) -> None:
    keeper.advance(FIRST, event_days=[])
    assert "accesslake.state" not in live(glue, EXACT_VIEW)["Parameters"]


def test_a_lake_in_a_folder_needs_no_glue(tmp_path: Path) -> None:
    with pytest.raises(LakeNotFound):
        open_lake(str(tmp_path))
