"""An archive into a lake: each batch of log objects is a batch of compaction, so that readers see all of it or nothing.

Nothing has to be remembered of a run that ended. The batches that it committed tell which log objects are in the lake, and the
plan that it left, if there is one, is carried out first, as any plan is that somebody left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from etl.backfill._batches import cut_batches
from etl.catalog import open_lake
from etl.compact import (
    DEFAULT_TARGET_BYTES,
    OnRows,
    Rewrite,
    carry_out,
    create_plan,
    plan_logs,
    read_pending_plan,
    rewrite,
)
from etl.errors import LakeNotFound, SourceError, SourceUnreadable
from etl.lake import Lake, Plan, PlannedLog, Winner, create_lake, raw_name, sweep_scratch
from etl.lake._layout import name_of, next_batch
from etl.sources import LogSource, find_logs, read_stored_parts, version_of

BATCH_OBJECTS: Final = 20_000
BATCH_BYTES: Final = 8 << 30
"""A batch holds at most these, as stored: what a few machines rewrite in minutes, which is what a run that is killed loses, and a
single one within hours. Its plan has some 7 MB, and its commit, which every reader reads, 4."""
_PROBES: Final = 200
"""So many log objects of a batch are tried before it is given up, as many spread over all of it."""


@dataclass(frozen=True)
class Backfilled:
    """What a back-fill did: as `Ingested`, and what became of it in compacted/."""

    objects: int
    skipped: int
    """Log objects that were in the lake already."""
    failed: tuple[SourceError, ...]
    """Log objects that could not be read. They are not in the lake, and the next run tries them again. Also raw objects that a
    compaction left out which was carried out first."""
    lines: int
    rows: int
    """Rows that were read; `duplicates` of them stood twice."""
    quarantined: int
    duplicates: int
    files: int
    bytes: int
    batches: tuple[str, ...]
    """Batches that were carried out, those that others had planned among them."""
    stragglers: tuple[str, ...] = ()
    """As `Compacted.stragglers`, of a compaction that was carried out first."""


def backfill(
    sources: Iterable[str],
    *,
    lake: str,
    inventories: Iterable[str] = (),
    rewrite: Rewrite = rewrite,
    target_bytes: int = DEFAULT_TARGET_BYTES,
    batch_objects: int = BATCH_OBJECTS,
    batch_bytes: int = BATCH_BYTES,
    now: datetime | None = None,
    on_rows: OnRows = lambda done, planned: None,
    on_batch: Callable[[Backfilled], None] = lambda so_far: None,
) -> Backfilled:
    """Put log objects (paths, folders, globs, `s3://bucket/prefix`, S3 Inventories) into the lake, which is made if need be.

    What is in the lake already, by identity and content, is skipped. Works on a lake of either keeper; one that is made keeps its
    state in files. A batch of which nothing can be read from here is not planned. `rewrite` is the engine; `on_batch` is told
    what is done after each batch. Raises `LakeUnusable` if the lake takes no more, `RowsNotConserved` as `compact` does; the
    batches until then stay.
    """
    opened = _open_or_make(lake)
    sweep_scratch(opened.store)
    run = _Run(opened, rewrite, target_bytes, now, on_rows, on_batch)
    run.adopt()
    found = run.unknown(find_logs(sources, inventories=inventories, exclude=opened.uri))
    for batch in cut_batches(found, objects=batch_objects, size=batch_bytes):
        run.take(batch)
    return replace(run.done, failed=tuple(run.failed.values()))


def _open_or_make(uri: str) -> Lake:
    try:
        return open_lake(uri)
    except LakeNotFound:
        return create_lake(uri)


@dataclass
class _Run:
    """A back-fill under way: what it knows of the lake, and its counts."""

    lake: Lake
    rewrite: Rewrite
    target_bytes: int
    now: datetime | None
    on_rows: OnRows
    on_batch: Callable[[Backfilled], None]
    known: set[str] = field(default_factory=set)
    """Names of log objects in the lake, as of the commit of `seen`."""
    seen: str | None = None
    taken: set[str] = field(default_factory=set)
    """Names of those that this run put there."""
    failed: dict[str, SourceError] = field(default_factory=dict)
    done: Backfilled = Backfilled(0, 0, (), 0, 0, 0, 0, 0, 0, ())

    def adopt(self) -> None:
        """Carry out what is planned already, of raw objects or of log objects, until there is no such plan."""
        while (pending := read_pending_plan(self.lake, self.lake.keeper.read())) is not None:
            self._carry_out(pending)

    def unknown(self, found: Iterable[LogSource | SourceError]) -> Iterator[PlannedLog]:
        """Of the log objects those that are not in the lake, with their versions."""
        self._look()
        for log in found:
            if isinstance(log, SourceError):
                self.failed.setdefault(log.subject, log)
                continue
            try:
                planned = PlannedLog(log.source_key, log.location, log.size, version_of(log))
            except SourceError as error:
                self.failed[log.source_key] = error
                continue
            if not self._is_known(planned):
                yield planned

    def take(self, batch: tuple[PlannedLog, ...]) -> None:
        """Plan the batch and carry it out; whatever others planned before comes first."""
        wanted: list[PlannedLog] = list(batch)
        while True:
            self.adopt()
            state = self.lake.keeper.read()
            if state.batch != self.seen:
                self._look()
            # Others may have taken some. Who then creates the plan of the batch after `state` knows all batches before it.
            wanted = self._with_one_that_can_be_read([log for log in wanted if not self._is_known(log)])
            if not wanted:
                return
            day = (self.now or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%d")
            ours = plan_logs(last=state, logs=wanted, ingest_date=day)
            plan = create_plan(self.lake, ours)
            self._carry_out(plan)
            if plan == ours:
                return

    def _carry_out(self, plan: Plan) -> None:
        winner = carry_out(
            self.lake,
            plan,
            rewrite=self.rewrite,
            target_bytes=self.target_bytes,
            now=self.now,
            on_rows=self.on_rows,
        )
        names = {name_of(item.key) for item in winner.inputs}
        self.taken |= names
        # Of raw objects, those that were left out are not known any more: then the next look tells.
        if plan.logs and self.seen is not None and plan.batch == next_batch(self.seen):
            self.known |= names
            self.seen = plan.batch
        for log in plan.logs:
            self.failed.pop(log.source_key, None)
        for key in (*(item.key for item in plan.left_out), *winner.left_out):
            reason = winner.reasons.get(key, "cannot be read")
            self.failed[key] = SourceUnreadable(key, f"{reason}; left out of batch {plan.batch}")
        self.done = _with_batch(self.done, plan, winner)
        self.on_batch(replace(self.done, failed=tuple(self.failed.values())))

    def _with_one_that_can_be_read(self, logs: list[PlannedLog]) -> list[PlannedLog]:
        """The logs but for those that cannot be opened, up to the first that can; none of them if none is found.

        A plan of nothing that can be read would be an empty batch, with each run.
        """
        refused: dict[str, SourceError] = {}
        for log in logs[:: -(-len(logs) // _PROBES) or 1]:
            error = _open(log)
            if error is None:
                self.failed.update(refused)
                return [log for log in logs if log.source_key not in refused]
            refused[log.source_key] = error
        reason = f"was not tried: of {len(logs):,} log objects {len(refused):,} were, and none can be read"
        for log in logs:
            self.failed[log.source_key] = refused.get(log.source_key) or SourceUnreadable(log.source_key, reason)
        return []

    def _look(self) -> None:
        """The state first: names of batches that come in between are then known too early, and never too late."""
        self.seen = self.lake.keeper.read().batch
        self.known = self.lake.ingested_names()

    def _is_known(self, log: PlannedLog) -> bool:
        name = raw_name(log.source_key, log.version)
        if name not in self.known:
            return False
        if name not in self.taken:
            self.done = replace(self.done, skipped=self.done.skipped + 1)
        return True


def _open(log: PlannedLog) -> SourceError | None:
    """Why the first bytes of a log object cannot be read from here."""
    try:
        next(read_stored_parts(LogSource(log.source_key, log.location, log.size, log.version)), b"")
    except SourceError as error:
        return error
    return None


def _with_batch(done: Backfilled, plan: Plan, winner: Winner) -> Backfilled:
    return replace(
        done,
        objects=done.objects + len(winner.inputs),
        lines=done.lines + sum(item.lines for item in winner.inputs),
        rows=done.rows + sum(item.rows for item in winner.inputs),
        quarantined=done.quarantined + sum(item.quarantined for item in winner.inputs),
        duplicates=done.duplicates + winner.duplicates,
        files=done.files + len(winner.outputs),
        bytes=done.bytes + sum(output.size for output in winner.outputs),
        batches=(*done.batches, winner.batch),
        stragglers=(*done.stragglers, *plan.stragglers),
    )
