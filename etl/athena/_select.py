"""The statements of a rewrite on Athena: pure.

They say what `etl.compact` does on one machine, in the SQL of Athena: which rows are dropped because they stand twice, and what
is put back that Firehose left out. Athena knows no place of a row within its file, so rows are not looked up to be dropped: those
that may have an equal are numbered in windows, all others pass by. A clue, a hash of few columns that is never null, only tells
the ones from the others; rows are compared by all their fields, null being equal to null as in every PARTITION BY.

Equal rows have equal times. So a rewrite can be cut by time into statements that know nothing of each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from etl.compact import FILE_ORDER
from etl.ddl import LEFT_OUT
from etl.schema import BATCH_ID, COMPACTED_FIELDS, COMPACTED_TABLE, EVENT_DATE, RAW_TABLE, WIRE_FIELDS

STATEMENT_BYTES: Final = 262_144
"""The longest statement that Athena takes (https://docs.aws.amazon.com/athena/latest/ug/service-limits.html)."""
PARTITION: Final = EVENT_DATE.name

_COLUMNS: Final = tuple(field.name for field in COMPACTED_FIELDS if field is not BATCH_ID)
_CONTENT: Final = (*(field.name for field in WIRE_FIELDS), "extra_fields", "raw_line")
"""As `etl.compact` has it: what makes two rows the same line. What the parser derives makes no difference."""
_SAME_LINE: Final = ", ".join(_CONTENT)
_CLUE_COLUMNS: Final = ("CAST(request_time AS varchar)", "request_id", "operation", "key_name", "version_id")
_CLUE: Final = "xxhash64(to_utf8(concat(" + ", ".join(f"coalesce({each}, '')" for each in _CLUE_COLUMNS) + ")))"
_ORDER: Final = ", ".join((*FILE_ORDER, "source_key", "line_no"))


@dataclass(frozen=True)
class Source:
    """The rows of a plan: the raw table's, of these arrival days, in exactly these objects."""

    database: str
    days: tuple[str, ...]
    objects: str
    """What `"$path" IN` is given: a list, or a SELECT of a table that holds it."""
    damaged: str = ""
    """A list of further objects that are not even to be opened."""


@dataclass(frozen=True)
class Slice:
    """What one statement writes: rows from one hour until before another, `YYYY-MM-DD HH` both, and how many they are."""

    since: str
    until: str
    rows: int

    @property
    def first_day(self) -> str:
        """The event day that it begins in."""
        return self.since[:10]


def listed(texts: Collection[str]) -> str:
    """SQL literals, one after the other."""
    return ", ".join(text_literal(text) for text in texts)


def listed_within(texts: Iterable[str], room: int) -> str:
    """As `listed`, of as many as fit into so many bytes."""
    fitting: list[str] = []
    for text in texts:
        room -= len(f", {text_literal(text)}".encode())
        if room < 0:
            break
        fitting.append(text)
    return listed(fitting)


def text_literal(text: str) -> str:
    """A text as SQL says it."""
    return "'" + text.replace("'", "''") + "'"


def rows_by_object_sql(source: Source) -> str:
    """Rows with a time, by the address of their object; reads nothing but the time."""
    return f"WITH {_input(source)} SELECT raw_object, count(request_time) AS found FROM input GROUP BY raw_object"


def rows_by_hour_sql(source: Source) -> str:
    """Rows by the hour of their time, `YYYY-MM-DD HH`."""
    hour = "date_format(request_time, '%Y-%m-%d %H')"
    return f"WITH {_input(source)} SELECT {hour} AS event_hour, count(*) AS found FROM input GROUP BY 1"


def committed_rows_sql(source: Source, *, batch: str, days: Collection[str]) -> str:
    """By event day, rows that earlier batches hold, and how many of them are of a log object that comes again."""
    return (
        f"WITH {_input(source)}, again AS (SELECT DISTINCT source_key AS log_object FROM input) "
        f"SELECT event_date, count(*) AS found, count(log_object) AS repeated FROM {_table(source, COMPACTED_TABLE.name)} "
        f"LEFT JOIN again ON source_key = log_object WHERE {_before(batch, min(days), max(days))} GROUP BY event_date"
    )


def folded_rows_sql(source: Source, *, batch: str, again: Collection[str]) -> str:
    """Rows that are dropped, by arrival day. Counted one by one, so that rows which got lost are never taken for such."""
    dropped = (
        "delivered WHERE delivery > 1",
        "delivered WHERE delivery = 1 AND held",
        "marked WHERE held AND clue NOT IN (SELECT clue FROM repeated)",
        "ranked WHERE copy > 1",
    )
    rows = " UNION ALL ".join(f"SELECT ingest_date FROM {each}" for each in dropped)
    return (
        f"WITH {_folding(source, None, batch, again)} SELECT ingest_date, count(*) AS folded FROM ({rows}) GROUP BY 1"
    )


def kept_rows_sql(source: Source, part: Slice | None, *, batch: str, again: Collection[str]) -> str:
    """The rows of compacted files, each once, in their order, with the event day as last column.

    `again` are the event days for which earlier batches hold rows of log objects that come again: only then are those read.
    """
    columns = ", ".join(f"{LEFT_OUT[name]} AS {name}" if name in LEFT_OUT else name for name in _COLUMNS)
    written = f"{columns}, {text_literal(batch)} AS {BATCH_ID.name}, event_date"
    return (
        f"WITH {_folding(source, part, batch, again)}, "
        f"kept AS (SELECT {', '.join(_COLUMNS)}, event_date FROM ranked WHERE copy = 1 UNION ALL "
        f"SELECT {', '.join(_COLUMNS)}, event_date FROM marked "
        "WHERE NOT held AND clue NOT IN (SELECT clue FROM repeated)) "
        f"SELECT {written} FROM kept ORDER BY {_ORDER}"
    )


def _folding(source: Source, part: Slice | None, batch: str, again: Collection[str]) -> str:
    """The rows, marked by whether an earlier batch holds them, and those that may have an equal, numbered."""
    return ", ".join(
        (
            _input(source, part),
            f"clued AS (SELECT *, {_CLUE} AS clue FROM input)",
            "repeated AS (SELECT clue FROM clued GROUP BY clue HAVING count(*) > 1)",
            _marked(source, batch, again),
            f"delivered AS (SELECT *, row_number() OVER (PARTITION BY {_SAME_LINE}, source_key, line_no "
            "ORDER BY raw_object) AS delivery FROM marked WHERE clue IN (SELECT clue FROM repeated))",
            f"numbered AS (SELECT *, row_number() OVER (PARTITION BY {_SAME_LINE}, source_key ORDER BY line_no) AS twin "
            "FROM delivered WHERE delivery = 1 AND NOT held)",
            f"ranked AS (SELECT *, row_number() OVER (PARTITION BY {_SAME_LINE}, twin ORDER BY source_key) AS copy "
            "FROM numbered)",
        )
    )


def _marked(source: Source, batch: str, again: Collection[str]) -> str:
    if not again:
        return "marked AS (SELECT *, false AS held FROM clued)"
    same = " AND ".join(f"new.{name} IS NOT DISTINCT FROM old.{name}" for name in _CONTENT)
    return (
        f"committed AS (SELECT DISTINCT {_SAME_LINE}, source_key, line_no FROM {_table(source, COMPACTED_TABLE.name)} "
        f"WHERE {_before(batch, min(again), max(again))} AND source_key IN (SELECT source_key FROM input)), "
        "marked AS (SELECT new.*, old.source_key IS NOT NULL AS held FROM clued AS new LEFT JOIN committed AS old "
        f"ON new.source_key = old.source_key AND new.line_no = old.line_no AND {same})"
    )


def _input(source: Source, part: Slice | None = None) -> str:
    names = ", ".join(
        "CAST(request_time AS timestamp(3)) AS request_time" if name == "request_time" else name for name in _COLUMNS
    )
    within = "" if part is None else f" AND request_time >= {_hour(part.since)} AND request_time < {_hour(part.until)}"
    # An engine that has yet to look up what is planned opens whatever else lies in these days.
    without = f' AND "$path" NOT IN ({source.damaged})' if source.damaged else ""
    return (
        f"input AS (SELECT {names}, date_format(request_time, '%Y-%m-%d') AS event_date, "
        f'"$path" AS raw_object, ingest_date FROM {_table(source, RAW_TABLE.name)} '
        f'WHERE ingest_date IN ({listed(source.days)}) AND "$path" IN ({source.objects}){without}{within})'
    )


def _before(batch: str, first_day: str, last_day: str) -> str:
    """The committed files of some days: batches are numbers of equal length, and all before this one are committed."""
    days = f"event_date >= {text_literal(first_day)} AND event_date <= {text_literal(last_day)}"
    return f"{days} AND batch_id < {text_literal(batch)}"


def _hour(hour: str) -> str:
    return f"TIMESTAMP {text_literal(f'{hour}:00:00')}"


def _table(source: Source, name: str) -> str:
    database = source.database.replace('"', '""')
    return f'"{database}"."{name}"'
