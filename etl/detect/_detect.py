"""All detections, or some, over days of a lake; what they find is written down once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from etl.detect._book import FindingsBook
from etl.detect._days import files_of_days, join_detected, within_days
from etl.detect._details import mask_secrets
from etl.detect._detections import find_detections, run_detection
from etl.detect._findings import FINDINGS_SCHEMA, build_findings, build_sigv2_findings, fold_findings, no_rows
from etl.detect._inventory import Migration, plan_migration, take_inventory
from etl.detect._metrics import only_ambiguous
from etl.detect._read import NOTHING, detect_file
from etl.detect._sigv2 import OBJECT_DETECTIONS, Detected
from etl.errors import LakeError, QueryError
from etl.lake._layout import day_of, name_of
from etl.parse import AMBIGUOUS

if TYPE_CHECKING:
    from etl.lake import Lake
    from etl.lake._snapshot import Snapshot
    from etl.query import Query


@dataclass(frozen=True)
class LakeFindings:
    """What there is to know of the days that were looked at."""

    detections: dict[str, Query]
    """Those that ran, by name, the gravest first: each with its question, severity and remedy."""
    findings: pa.Table
    """`FINDINGS_SCHEMA`: each finding once, in the order of the detections; credentials masked."""
    unsure: pa.Table
    """All ambiguous lines, and undecidable ones; the column `undecidable` says which may be SigV2. Not masked."""
    migrations: tuple[Migration, ...]
    """Who still signs with SigV2, and what there is to do."""
    last_day: str
    """The newest day that was looked at (`YYYY-MM-DD`): whether a client is gone is counted from there."""
    new: int
    """Findings that nobody had written down before."""
    failed: tuple[str, ...]
    """A line for each file that could not be read, and for each raw object whose rows compaction had to leave out: what these
    hold is not among the findings."""

    @property
    def has_looked_at_files(self) -> bool:
        """Whether SigV2 was looked for; if not, nothing is known of unsure lines and migrations, and none are here."""
        return bool(OBJECT_DETECTIONS.keys() & self.detections.keys())

    @property
    def ambiguous(self) -> pa.Table:
        """The lines with several readings, whether they may be SigV2 or not."""
        return only_ambiguous(self.unsure)

    @property
    def cut(self) -> pa.Table:
        """The lines with one reading that end before they say how they were signed: all are undecidable."""
        return self.unsure.filter(pc.not_equal(self.unsure.column("parse_status"), AMBIGUOUS))


def detect(
    lake: str | Lake,
    *,
    since: str | None = None,
    until: str | None = None,
    detections: Sequence[str] = (),
    now: dt.datetime | None = None,
) -> LakeFindings:
    """Run the named detections, or all, over the lake's rows of these days, or of all days, and write down what is new.

    `since` and `until` (`YYYY-MM-DD`, `today`, `-7d`) are event days, both inclusive. SigV2 is looked for file by file, and
    what a file holds is written down whole, whatever days were asked for, in a file of findings that is named after it and
    created once; what the other detections find is written down unless it is there. Running it again adds nothing, and
    neither does running it before and after compaction. `now` gives the day under which findings are kept. A file that
    cannot be read is named in the result and costs no other; so is a raw object that a batch left out and whose log object did
    not come again, unless it arrived before `since`. Raises `BadParameter`, `QueryError` and `LakeError`.
    """
    # Imported here: they need DuckDB, or know Glue, and whoever looks at single files (`detect_file`) does neither.
    from etl.catalog import open_lake
    from etl.query import find_damaged, without_files

    asked = find_detections(detections)
    opened = open_lake(lake) if isinstance(lake, str) else lake
    snapshot = opened.snapshot()
    book = FindingsBook(opened, snapshot, day=f"{now or dt.datetime.now(dt.UTC):%Y-%m-%d}")
    damaged: dict[str, str] = {}
    try:
        found = _ask(snapshot, asked, since=since, until=until)
    except QueryError:
        damaged = find_damaged(snapshot)
        if not damaged:
            raise
        found = _ask(without_files(snapshot, damaged), asked, since=since, until=until)
    failed = {path: f"{path}: {mask_secrets(reason)}" for path, reason in damaged.items()}
    sigv2 = NOTHING
    if OBJECT_DETECTIONS.keys() & asked.keys():
        sigv2 = join_detected(_detect_files(snapshot, book, found.first, found.last, failed))
    by_file = build_sigv2_findings(sigv2)
    tables = [no_rows(FINDINGS_SCHEMA)]
    for name in asked:
        if name in found.findings:
            book.enter(found.findings[name])
            tables.append(found.findings[name])
        else:
            tables.append(by_file.filter(pc.equal(by_file.column("detection"), name)))
    lines = (*failed.values(), *_left_out(opened, snapshot, since=found.first))
    last_day = min(found.newest, found.last or found.newest)
    migrations = plan_migration(take_inventory(sigv2.hits), last_day=last_day)
    return LakeFindings(asked, pa.concat_tables(tables), sigv2.unsure, migrations, last_day, book.new, lines)


@dataclass(frozen=True)
class _Found:
    """What the detections that are SQL find, by name; and the days: the lake's newest, the first and the last asked for."""

    newest: str
    first: str | None
    last: str | None
    findings: dict[str, pa.Table]


def _ask(snapshot: Snapshot, asked: Mapping[str, Query], *, since: str | None, until: str | None) -> _Found:
    from etl.query import connect, newest_day, resolve_days

    findings = {}
    with connect(snapshot) as connection:
        newest = newest_day(connection)
        first, last = resolve_days(since, until, newest_day=newest)
        for name, query in asked.items():
            if name not in OBJECT_DETECTIONS:
                rows = run_detection(connection, query, since=first, until=last, newest_day=newest)
                findings[name] = fold_findings(build_findings(rows, detection=name, severity=query.severity))
    return _Found(newest, first, last, findings)


def _left_out(lake: Lake, snapshot: Snapshot, *, since: str | None) -> Iterator[str]:
    """A line for each raw object whose rows are in no file of the snapshot. One may hold any day up to that of its arrival."""
    from etl.lake import never_taken_again

    commits = [commit for commit in lake.commits() if commit.batch <= snapshot.batch_id]
    for item, batch in never_taken_again(commits, {name_of(file.path) for file in snapshot.raw}):
        day = day_of(item.key)
        if since is None or not day or day >= since:
            yield f"{item.key}: cannot be read and is left out of batch {batch}"


def _detect_files(
    snapshot: Snapshot, book: FindingsBook, first: str | None, last: str | None, failed: dict[str, str]
) -> Iterator[Detected]:
    """What is found in each file of these days; all of it is written down. Those that cannot be read are added to `failed`."""
    for file in files_of_days(snapshot, since=first, until=last):
        try:
            found = detect_file(file.path, filesystem=snapshot.filesystem)
        except LakeError as error:
            failed.setdefault(file.path, str(error))
            continue
        book.enter_object(file.path, build_sigv2_findings(found))
        yield within_days(found, since=first, until=last)
