"""The event days that are asked for, both inclusive: which files may hold their rows, and which rows are theirs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from etl.detect._findings import fold_rows
from etl.detect._read import NOTHING
from etl.detect._sigv2 import Detected

if TYPE_CHECKING:
    from etl.lake._snapshot import DataFile, Snapshot


def files_of_days(snapshot: Snapshot, *, since: str | None, until: str | None) -> tuple[DataFile, ...]:
    """Files that may hold rows of these days (`YYYY-MM-DD`): a raw one is named after the day it arrived, and may hold any."""
    compacted = (
        file
        for file in snapshot.compacted
        if (since is None or file.day >= since) and (until is None or file.day <= until)
    )
    return (*compacted, *snapshot.raw)


def within_days(found: Detected, *, since: str | None, until: str | None) -> Detected:
    """What was found of these days (`YYYY-MM-DD`), in a file that may hold others too."""
    return Detected(_within(found.hits, since, until), _within(found.unsure, since, until), found.rows)


def join_detected(found: Iterable[Detected]) -> Detected:
    """All that was found in some files, each row once: Firehose may have written it twice."""
    every = list(found) or [NOTHING]
    return Detected(
        fold_rows(pa.concat_tables([each.hits for each in every])),
        fold_rows(pa.concat_tables([each.unsure for each in every])),
        sum(each.rows for each in every),
    )


def _within(rows: pa.Table, since: str | None, until: str | None) -> pa.Table:
    days = pc.strftime(rows.column("request_time"), format="%Y-%m-%d")
    if since is not None:
        rows, days = (each.filter(pc.greater_equal(days, since)) for each in (rows, days))
    return rows if until is None else rows.filter(pc.less_equal(days, until))
