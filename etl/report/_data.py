"""What the report says, as values: the page is made of these and of nothing else. Pure.

Texts that came out of a log stand here as they were logged; `_text` masks them and makes them harmless on their way into the
page.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from etl.detect import Migration


@dataclass(frozen=True)
class Period:
    """Event days (`YYYY-MM-DD`, UTC), both inclusive, `""` for no limit; what the numbers about requests are limited to."""

    since: str
    until: str


@dataclass(frozen=True)
class Day:
    """The requests of one event day."""

    day: str
    requests: int
    bytes_sent: int
    client_errors: int
    server_errors: int
    sigv2: int = 0


@dataclass(frozen=True)
class Totals:
    """All requests of the period."""

    requests: int
    bytes_sent: int
    client_errors: int
    server_errors: int
    ambiguous: int
    short: int
    first_request: dt.datetime | None
    last_request: dt.datetime | None


@dataclass(frozen=True)
class Reader:
    """A requester, an address or a user agent. `name` is None where the log has none."""

    name: str | None
    requests: int
    bytes_sent: int
    failed: int


@dataclass(frozen=True)
class ErrorCode:
    """Requests that S3 refused in one way."""

    code: str | None
    status: int
    requests: int
    last_request: dt.datetime


@dataclass(frozen=True)
class FailingKey:
    """An object, or what was asked for as one, whose requests fail. `key` is decoded if it can be."""

    bucket: str | None
    key: str | None
    code: str | None
    status: int
    requests: int


@dataclass(frozen=True)
class Told:
    """A value of a finding. Unless `is_of_all`, it is that of the first request only, and the others may have another."""

    text: str | None
    is_of_all: bool


@dataclass(frozen=True)
class Example:
    """One finding: where, who, how often, and when last. What its detection does not say is None.

    `requester` is `Told(None, ...)` if nobody was authenticated. If all requests have the same, one of several addresses
    would say nothing beside it, and is left out.
    """

    bucket: Told | None
    requester: Told | None
    address: Told | None
    what: Told | None
    requests: int
    last_request: dt.datetime

    @property
    def names_somebody(self) -> bool:
        """Whether the detection says who it was, be it that nobody was authenticated."""
        return self.requester is not None or self.address is not None

    @property
    def names_first_only(self) -> bool:
        """Whether somebody is named who need not have sent the other requests."""
        return any(each is not None and not each.is_of_all for each in (self.requester, self.address))


@dataclass(frozen=True)
class Detected:
    """What one detection found in the period."""

    name: str
    severity: str
    question: str
    remedy: str
    findings: int
    requests: int
    examples: tuple[Example, ...]
    """The busiest first, and the latest of those with as many requests."""

    @property
    def is_by_line(self) -> bool:
        """Whether each finding is one request, so that none is busier than the others."""
        return self.requests == self.findings


@dataclass(frozen=True)
class StoredTable:
    """The files of one of the lake's tables. `rows` is None if they were not counted."""

    name: str
    files: int
    size: int
    rows: int | None
    first_day: str
    last_day: str


@dataclass(frozen=True)
class QueryCost:
    """What a query with its defaults must read of the lake, at most, and Athena's list price for that in USD."""

    name: str
    question: str
    scanned: int
    usd: float

    @property
    def is_detection(self) -> bool:
        """Whether `accesslake detect` runs it."""
        return self.name.startswith("detections/")


@dataclass(frozen=True)
class QuarantineReason:
    """Lines that could not be read, for one reason. `source_key` and `line_no` are one of them."""

    reason: str
    lines: int
    source_key: str
    line_no: int


@dataclass(frozen=True)
class Arrivals:
    """Log objects by the day they arrived: lines in, and what became of them."""

    day: str
    log_objects: int
    lines: int
    rows: int
    quarantined: int
    folded: int
    is_ok: bool


@dataclass(frozen=True)
class Quality:
    """How good the log itself is: of the whole lake, whatever the period."""

    quarantine: tuple[QuarantineReason, ...]
    folded: int
    """Rows dropped because S3 or a retry delivered them twice."""
    late: int
    """Rows that arrived two days after their request or later, as far as files tell: at least so many."""
    left_out: tuple[str, ...]
    """Raw objects that cannot be read, so that their rows are missing everywhere."""
    stragglers: int
    """Raw objects that queries do not see until the next compaction."""
    days_beyond_today: tuple[str, ...]
    problems: tuple[str, ...]
    """What the audit found wrong."""
    is_ok: bool
    """Every line that came in is accounted for."""
    arrivals: tuple[Arrivals, ...]


@dataclass(frozen=True)
class LakeState:
    """What kind of lake it is, and how far it is compacted. `committed_at` is UTC, ISO 8601, `""` before the first batch."""

    uri: str
    batches: int
    committed_at: str
    tables: tuple[StoredTable, ...]


@dataclass(frozen=True)
class ReportData:
    """One report: a lake at one moment."""

    made_at: dt.datetime
    period: Period
    lake: LakeState
    totals: Totals
    days: tuple[Day, ...]
    """Those with requests, ascending."""
    errors: tuple[ErrorCode, ...]
    failing_keys: tuple[FailingKey, ...]
    requesters: tuple[Reader, ...]
    addresses: tuple[Reader, ...]
    agents: tuple[Reader, ...]
    last_day: str
    """The newest of the period that is not in the future (`YYYY-MM-DD`): clients that stopped are gone so long before it."""
    migrations: tuple[Migration, ...]
    undecidable: int
    """Lines of which nobody can tell whether they are SigV2."""
    detections: tuple[Detected, ...]
    """The gravest first; also those that found nothing."""
    queries: tuple[QueryCost, ...]
    quality: Quality
    is_settled: bool = True
    """Whether the audit saw the same files as all else; if not, the lake changed while it was read."""
