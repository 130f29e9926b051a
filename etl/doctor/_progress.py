"""Looks how far compaction is: the state in the view, the newest commit, the plan that waits, and what lies in raw/.

It reads what a run of compaction reads first, and nothing more: no footer, no row.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from etl.catalog import open_lake
from etl.compact import choose_objects
from etl.doctor._compaction import SEAL_HOURS
from etl.doctor._deployed import Progress, Stack
from etl.errors import ObjectNotFound
from etl.lake import Lake, read_commit
from etl.lake._layout import day_of, next_batch, plan_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def read_progress(s3: S3Client, stack: Stack, *, now: datetime) -> Progress:
    """How far compaction of the stack's lake is. Raises as `open_lake` and `Lake.uncompacted` do, and `ClientError`.

    The state is read before anything is listed: a run that commits meanwhile then leaves fewer files to wait, and no file that
    it took seems to have come late.
    """
    lake = open_lake(stack.lake_uri)
    state = lake.keeper.read()
    chosen = choose_objects(
        lake.uncompacted(),
        raw_since=state.raw_since,
        now=now,
        seal_delay=timedelta(hours=int(stack.parameters.get("CompactionSealHours", SEAL_HOURS))),
    )
    late = frozenset(chosen.stragglers)
    return Progress(
        seen_at=now,
        committed_at=_committed_at(lake, state.batch),
        planned_at=_planned_at(s3, stack, next_batch(state.batch)),
        waiting=Counter(day_of(stored.key) for stored in chosen.objects if stored.key not in late),
        stragglers=len(late),
    )


def _committed_at(lake: Lake, batch: str) -> str:
    try:
        return read_commit(lake.store, batch).committed_at if batch else ""
    except ObjectNotFound:  # the run ended between the view and its record; the next one writes it
        return ""


def _planned_at(s3: S3Client, stack: Stack, batch: str) -> datetime | None:
    """A plan does not say when it was made; the object does."""
    try:
        return s3.head_object(Bucket=stack.lake_bucket, Key=stack.lake_prefix + plan_key(batch))["LastModified"]
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return None
        raise
