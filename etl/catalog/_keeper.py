"""The state that the view `access_logs` holds: what queries see and where the next batch starts, moved in one write.

A commit is one UpdateTable of the view with the version that was read. Glue refuses a stale one with
ConcurrentModificationException and changes nothing (https://github.com/apache/iceberg/pull/4166 relies on it).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from etl.catalog._glue import get_table, open_glue, update_table
from etl.catalog._tables import Json, merged_table, table_input
from etl.catalog._views import VIEW, access_logs_input, merged_view, owned_state
from etl.errors import LakeMismatch, LakeNotFound, LakeUnusable, ObjectNotFound
from etl.lake import (
    FILE_STATE,
    GLUE_STATE,
    Commit,
    Journal,
    Lake,
    ObjectStore,
    State,
    commit_of,
    list_journal,
    read_plan,
    read_winner,
)
from etl.lake import open_lake as open_lake_kept_by
from etl.lake._layout import batches_up_to, day_of, next_batch
from etl.schema import COMPACTED_TABLE

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

_RACE_TRIES: Final = 5


def open_lake(uri: str) -> Lake:
    """Open the lake at a folder or `s3://bucket/prefix`, whoever keeps its state, so that it can be read and compacted.

    Glue is asked with the credentials and in the region that boto3 finds. Raises `LakeNotFound` if there is no lake,
    `LakeUnusable` if it cannot be reached, `LakeMismatch` if it is none of this version.
    """
    lake = open_lake_kept_by(uri, states=(FILE_STATE, GLUE_STATE))
    if lake.state == FILE_STATE:
        return lake
    return replace(lake, glue=GlueKeeper(lake.store, open_glue(lake.database), lake.database))


@dataclass(frozen=True)
class GlueKeeper:
    """The view of a lake's database; what a batch holds is read from the lake's own records."""

    store: ObjectStore
    client: GlueClient
    database: str

    def read(self) -> State:
        """The state in the view. Raises `LakeMismatch` for a view of another lake, and for one that holds no state."""
        return owned_state(self._live(VIEW), lake_uri=self.store.uri)

    def commits(self) -> Iterator[Commit]:
        """All batches up to the one in the view.

        The commit record is written after the view was changed, and a run may end between the two: a batch without one is put
        together from its plan and its winner. The records are listed before the view is read, so one of a batch that the view
        does not show can only mean that somebody has moved the view back. Raises `LakeMismatch` for that: raw objects
        of such a batch may be gone, and what the view shows is then not all there is.
        """
        journal = list_journal(self.store)
        state = self.read()
        if journal.last > state.batch:
            raise LakeMismatch(
                f"{self.database}.{VIEW}",
                f"shows batch {state.batch or 'none'}, but batch {journal.last} was committed: the view was moved back",
                hint="each run of accesslake compact moves it on by one batch",
            )
        yield from self._up_to(state.batch, journal)

    def advance(self, to: State, *, event_days: Collection[str]) -> None:
        """One compare-and-swap of the view, after the table it reads reaches back to all days that it will show.

        Who finds the batch there already has been overtaken by an equal run, or has done it itself and lost the answer. Raises
        `LakeMismatch` if the view is not at the batch before: a batch is never left out.
        """
        self._reach_back(event_days)
        for _ in range(_RACE_TRIES):
            live = self._live(VIEW)
            now = owned_state(live, lake_uri=self.store.uri)
            if now.batch >= to.batch:
                return
            if next_batch(now.batch) != to.batch:
                raise LakeMismatch(
                    f"{self.database}.{VIEW}", f"shows batch {now.batch or 'none'}, not that before {to.batch}"
                )
            wanted = State(to.batch, max(now.raw_since, to.raw_since))
            view = merged_view(live, access_logs_input(wanted, database=self.database, lake_uri=self.store.uri))
            try:
                if view is not None and update_table(self.client, self.database, view, version=live["VersionId"]):
                    return
            except LakeUnusable:
                # The answer may be lost and the update not. A request that arrives even later meets the version check.
                if self.read().batch < to.batch:
                    raise
        raise LakeUnusable(
            f"{self.database}.{VIEW}", f"was changed by others {_RACE_TRIES} times in a row", hint="try again"
        )

    def _reach_back(self, event_days: Collection[str]) -> None:
        """Lower the first day of the compacted table's projection: Athena looks for no files of an earlier one."""
        committed = self._up_to(self.read().batch, list_journal(self.store))
        days = {day_of(output.key) for commit in committed for output in commit.outputs} | set(event_days)
        if not days:
            return
        wanted = table_input(COMPACTED_TABLE, lake_uri=self.store.uri, first_day=min(days))
        for _ in range(_RACE_TRIES):
            live = self._live(COMPACTED_TABLE.name)
            merged = merged_table(live, wanted)
            if merged is None or update_table(self.client, self.database, merged, version=live["VersionId"]):
                return
        raise LakeUnusable(
            f"{self.database}.{COMPACTED_TABLE.name}",
            f"was changed by others {_RACE_TRIES} times in a row",
            hint="try again",
        )

    def _up_to(self, last: str, journal: Journal) -> Iterator[Commit]:
        return journal.read(batches_up_to(last), without_record=self._commit_without_record)

    def _commit_without_record(self, batch: str) -> Commit:
        try:
            return commit_of(read_plan(self.store, batch), read_winner(self.store, batch), committed_at="")
        except ObjectNotFound as error:
            raise LakeMismatch(
                f"{self.store.uri}/meta", f"has no plan or winner of batch {batch}, which {VIEW} shows"
            ) from error

    def _live(self, name: str) -> Json:
        found = get_table(self.client, self.database, name)
        if found is None:
            raise LakeNotFound(
                f"{self.database}.{name}", "is not in Glue", hint="the stack makes it; accesslake doctor looks for more"
            )
        return found
