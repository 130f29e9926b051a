"""The tables of `docs/scale.md`, so that page and arithmetic cannot differ. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from etl.cost import _limits as limit
from etl.cost import _prices as price
from etl.cost import _scale as scale
from etl.cost import _workload as given
from etl.cost._prices import Price
from etl.cost._scale import VOLUMES, Arrivals, SparkRun

_BLOCK: Final = re.compile(r"<!-- begin: (?P<name>[a-z ]+) -->\n.*?<!-- end: (?P=name) -->", re.DOTALL)
_WINDOW: Final = 6 * 3600
"""Seconds that compaction of a day may take before one machine is too few: a judgement."""


def docs_scale(page: str) -> str:
    """The page with every table anew; raises `ValueError` for a block that is unknown, or that it lacks."""
    found: list[str] = []

    def replace(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in _BLOCKS:
            raise ValueError(f"nothing makes the block {name!r}")
        found.append(name)
        return f"<!-- begin: {name} -->\n{_BLOCKS[name]()}\n<!-- end: {name} -->"

    made = _BLOCK.sub(replace, page)
    if sorted(found) != sorted(_BLOCKS):
        raise ValueError(f"the page has the blocks {sorted(found)}, not {sorted(_BLOCKS)}")
    return made


def _engines() -> str:
    firehose, direct = scale.compactor_lines("firehose"), scale.compactor_lines("parquet")
    machine, tiny = _machine_lines("firehose"), _machine_lines("parquet")
    rows = [
        (
            "no AWS account, or an archive on a disk",
            "one machine: `ingest`, then `compact`",
            f"{scale.INGEST_LINES_PER_SECOND:,} lines/s in, {scale.LOCAL_ROWS_PER_SECOND:,} rows/s compacted, on two processors",
        ),
        (
            f"up to {_count(firehose)} lines a day (`Sink=parquet`: {_count(direct)})",
            "the stack as it is: Lambda, Firehose, the compaction function",
            "what the function takes without being refused",
        ),
        (
            f"up to {_count(machine)} lines a day (`Sink=parquet`: {_count(tiny)})",
            "`Compaction=elsewhere`, `compact` on one machine from cron",
            "the cheapest, and done in six hours; extrapolated from 5 million rows",
        ),
        (
            f"up to {_count(scale.STATEMENT_ROWS)} lines a day, and no machine",
            "`compact --engine athena`",
            "one UNLOAD; each further one reads the whole day again",
        ),
        (
            "more, or a back-fill of over 100,000 objects",
            "`--engine spark` on Glue 5.1 or EMR Serverless",
            "the only one that grows by adding workers",
        ),
    ]
    return _table(("what there is", "what to take", "because"), rows, right=False)


def _arrivals() -> str:
    heads = ("lines a day", "lines/s", "text", "documents", "`raw/`", "`compacted/`", "log objects of 1,000 lines")
    return _table(
        heads,
        (
            (
                _count(day.lines),
                f"{day.per_second:,.0f}",
                _bytes(day.text_bytes),
                _bytes(day.document_bytes),
                _bytes(day.raw_bytes),
                _bytes(day.lines * scale.COMPACTED_BYTES),
                _count(day.log_objects),
            )
            for day in map(Arrivals, VOLUMES)
        ),
    )


def _way_in() -> str:
    heads = (
        *("lines a day", "parsers at once", "at ten lines an object", "messages in flight"),
        *("Firehose, MiB/s", "of 5 MiB/s", "of 1 MiB/s"),
    )
    return _table(
        heads,
        (
            (
                _count(day.lines),
                _at_once(day.functions()),
                _at_once(Arrivals(day.lines, 10).functions()),
                _count(_ceil(day.functions()) * scale.PARSER_MESSAGES),
                f"{day.firehose_mib_per_second:,.2f}",
                f"{day.firehose_mib_per_second / limit.FIREHOSE_LARGE.value:,.0%}",
                f"{day.firehose_mib_per_second / limit.FIREHOSE_SMALL.value:,.0%}",
            )
            for day in map(Arrivals, VOLUMES)
        ),
    )


def _objects() -> str:
    heads = (
        *("lines a day", "raw objects, Firehose", "raw objects, direct", "direct PUTs/s"),
        *("a year's records, Firehose", "a year's records, direct"),
    )
    return _table(
        heads,
        (
            (
                _count(day.lines),
                _count(day.firehose_objects),
                _count(day.log_objects),
                f"{day.log_objects / scale.DAY_SECONDS * scale.PEAK:,.1f}",
                _bytes(day.record_bytes(raw_objects=day.firehose_objects)),
                _bytes(day.record_bytes(raw_objects=day.log_objects)),
            )
            for day in map(Arrivals, VOLUMES)
        ),
    )


def _compaction() -> str:
    heads = (
        *("lines a day", "one machine", "the same, direct", "its disk", "the function"),
        *("Athena, UNLOADs", "rows/s each needs", "Spark workers"),
    )
    return _table(heads, (_compaction_row(lines) for lines in VOLUMES))


def _compaction_row(lines: int) -> tuple[str, ...]:
    statements = scale.athena_statements(lines)
    day = Arrivals(lines)
    fits = lines <= scale.compactor_lines("firehose")
    return (
        _count(lines),
        _time(scale.machine_seconds(lines, raw_objects=day.firehose_objects)),
        _time(scale.machine_seconds(lines, raw_objects=day.log_objects)),
        _bytes(lines * scale.RAW_BYTES * scale.SCRATCH_SHARE),
        _time(lines / given.COMPACT_ROWS_PER_SECOND) if fits else "refused",
        str(statements),
        f"{lines / statements / (limit.ATHENA_MINUTES.value * 60):,.0f}",
        f"{_spark(lines).executors + 1:,}",
    )


def _cost() -> str:
    heads = (
        *("lines a day", "way in, Firehose", "way in, direct", "one machine", "the function", "Athena"),
        *("Spark on Glue", "Spark on EMR"),
    )
    return _table(heads, (_cost_row(lines) for lines in VOLUMES))


def _cost_row(lines: int) -> tuple[str, ...]:
    fits = lines <= scale.compactor_lines("firehose")
    return (
        _count(lines),
        _usd(scale.way_in_usd(lines, "firehose")),
        _usd(scale.way_in_usd(lines, "parquet")),
        _usd(scale.machine_usd(lines, raw_objects=Arrivals(lines).firehose_objects)),
        _usd(scale.compactor_usd(lines)) if fits else "refused",
        _usd(scale.athena_usd(lines)),
        _usd(_spark(lines).glue_usd),
        _usd(_spark(lines).emr_usd),
    )


def _crossings() -> str:
    large, small = (scale.firehose_lines(each.value) for each in (limit.FIREHOSE_LARGE, limit.FIREHOSE_SMALL))
    rate, local, spark = scale.glue_beats_athena(), scale.local_rows_per_cpu(), scale.spark_rows_per_cpu()
    in_flight = limit.SQS_IN_FLIGHT.value / scale.PARSER_MESSAGES
    needed = scale.STATEMENT_ROWS / (limit.ATHENA_MINUTES.value * 60)
    rows = [
        ("a Firehose stream of 5 MiB/s is full", f"{_count(large)} lines a day"),
        ("one of 1 MiB/s is full", f"{_count(small)} lines a day"),
        ("the compaction function refuses a day, Firehose", f"{_count(scale.compactor_lines('firehose'))} lines"),
        ("the same, `Sink=parquet`, 1,000 lines an object", f"{_count(scale.compactor_lines('parquet'))} lines"),
        ("a day takes one machine more than six hours, Firehose", f"{_count(_machine_lines('firehose'))} lines"),
        ("the same, `Sink=parquet`, 1,000 lines an object", f"{_count(_machine_lines('parquet'))} lines"),
        (
            "direct PUTs reach what a prefix takes, ten lines an object",
            f"{_count(limit.S3_PUTS.value * scale.DAY_SECONDS / scale.PEAK * 10)} lines a day",
        ),
        ("a day takes Athena more than one UNLOAD", f"{_count(scale.STATEMENT_ROWS)} lines"),
        (
            "an UNLOAD reads more than the workgroup's 100 GB (`ScanCutoffBytes`)",
            f"{_count(scale.SCAN_CUTOFF_BYTES / scale.STATEMENT_READS / scale.RAW_BYTES)} lines in the batch",
        ),
        ("an UNLOAD of 100 million rows ends within 30 minutes", f"from {needed:,.0f} rows/s on"),
        (
            "Athena is cheaper than the least that Glue bills",
            f"below {_count(scale.athena_beats_least_glue())} lines a day",
        ),
        (
            "Glue is cheaper than Athena, from some workers on",
            f"above {rate:,.0f} rows/s a processor: the local engine makes {local:,.0f}, Spark {spark:,.0f}",
        ),
        ("G.1X workers whose disks hold ten billion rows, if Spark spills as we do", f"{scale.spark_disks(1e10):,}"),
        (
            "publishing in S3 takes an hour, whatever the workers (200 MB/s assumed)",
            f"{_count(scale.published_lines(3600))} lines in the batch",
        ),
        ("AWS's own way to count a packed record, beside ours", f"{scale.billed_as_amazon_counts():.1%}"),
        ("the queue has as many messages in flight as it may", f"{in_flight:,.0f} parsers at once"),
    ]
    return _table(("what", "where"), rows, right=False)


def _back_fill() -> str:
    heads = (
        "lines",
        "`ingest`, two workers",
        "waiting for 1,000-line objects",
        "for ten-line objects",
        "then `compact`",
    )
    return _table(
        heads,
        (
            (
                _count(day.lines),
                _time(day.lines / scale.INGEST_LINES_PER_SECOND),
                _time(day.log_objects * given.GET_SECONDS),
                _time(Arrivals(day.lines, 10).log_objects * given.GET_SECONDS),
                _time(scale.machine_seconds(day.lines, raw_objects=0)),
            )
            for day in map(Arrivals, VOLUMES)
        ),
    )


def _limits() -> str:
    rows: list[tuple[str, ...]] = [
        (each.name, f"{each.value:,.0f} {each.unit}", f"<{each.source}>", each.note) for each in limit.LIMITS
    ]
    prices: tuple[Price, ...] = (price.LAMBDA_ARM, price.ATHENA, *limit.ENGINE_PRICES)
    rows += [(each.name, f"${each.usd:.10g}/{each.unit}", f"<{each.source}>", each.note) for each in prices]
    return _table(("what", "how much", "source", "note"), rows, right=False)


_BLOCKS: Final[Mapping[str, Callable[[], str]]] = {
    "engines": _engines,
    "arrivals": _arrivals,
    "way in": _way_in,
    "objects": _objects,
    "compaction": _compaction,
    "cost": _cost,
    "crossings": _crossings,
    "back fill": _back_fill,
    "limits": _limits,
}


def _machine_lines(sink: str) -> float:
    each = scale.lines_per_firehose_object() if sink == "firehose" else 1_000
    return scale.machine_lines(_WINDOW, lines_per_raw_object=each)


def _spark(lines: float) -> SparkRun:
    return SparkRun(lines, scale.spark_rows_per_cpu())


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, right: bool = True) -> str:
    rule = " | ".join("---:" if right else "---" for _ in heads)
    return "\n".join((f"| {' | '.join(heads)} |", f"| {rule} |", *(f"| {' | '.join(row)} |" for row in rows)))


def _count(number: float) -> str:
    """Whole up to a million, then with the word and three digits."""
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:.3g} {word}"
    return f"{number:,.0f}"


def _bytes(size: float) -> str:
    for unit, word in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:.3g} {word}"
    return f"{size / 1e3:.3g} kB"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * scale.DAY_SECONDS else f"{seconds / scale.DAY_SECONDS:.0f} days"


def _usd(amount: float) -> str:
    return f"{amount:,.4f}" if amount < 0.1 else f"{amount:,.2f}"


def _ceil(number: float) -> int:
    return -int(-number // 1)


def _at_once(functions: float) -> str:
    if functions < 0.01:
        return "under 0.01"
    return f"{functions:.2f}" if functions < 1 else f"{_ceil(functions):,}"
