"""The page on scale: its tables are those of the arithmetic, and its arithmetic is that of benchmarks, template and engines."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from etl.athena import Source, kept_rows_sql
from etl.athena._select import STATEMENT_BYTES
from etl.athena._slices import DAYS_PER_STATEMENT, ROWS_PER_STATEMENT
from etl.cost import LIMITS, PRICES, docs_scale
from etl.cost import _limits as limit
from etl.cost import _scale as scale
from etl.cost import _workload as assumed
from etl.cost._scale import Arrivals, SparkRun
from etl.cost._scale_page import _BLOCKS
from etl.lake import Input, raw_key
from etl.lambdas import compact

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
TEMPLATE = (ROOT / "infra" / "template.yaml").read_text(encoding="utf-8")
DEPLOY = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")

lines_a_day = st.integers(min_value=1, max_value=10**11)


# --- The page ---------------------------------------------------------------------------------------------------------


def test_the_tables_are_current() -> None:
    assert docs_scale(PAGE) == PAGE, "write docs_scale(page) to docs/scale.md"


def test_a_table_that_is_changed_by_hand_is_made_anew() -> None:
    assert docs_scale(PAGE.replace("| 1 million |", "| 2 million |")) == PAGE


def test_every_table_is_on_the_page_and_no_other() -> None:
    with pytest.raises(ValueError, match="the page has the blocks"):
        docs_scale(PAGE.replace("<!-- begin: cost -->", ""))
    with pytest.raises(ValueError, match="nothing makes the block 'moon'"):
        docs_scale(PAGE + "<!-- begin: moon -->\n<!-- end: moon -->\n")


@pytest.mark.parametrize("name", _BLOCKS)
def test_every_row_of_a_table_has_its_columns(name: str) -> None:
    widths = {row.count(" |") for row in _BLOCKS[name]().splitlines()}
    assert len(widths) == 1


def test_every_limit_and_price_names_its_page() -> None:
    for each in (*LIMITS, *limit.ENGINE_PRICES):
        assert each.source.startswith(("https://docs.aws.amazon.com/", "https://aws.amazon.com/"))
    assert not set(limit.ENGINE_PRICES) & set(PRICES)


# --- Where the figures are from ---------------------------------------------------------------------------------------


def measured(pattern: str) -> float:
    """A figure of the benchmarks; `k` is thousands."""
    (found,) = set(re.findall(pattern, BENCHMARKS))
    return float(found.rstrip("k")) * (1_000 if found.endswith("k") else 1)


def test_what_is_measured_is_what_the_benchmarks_say() -> None:
    assert measured(r"raw: Parquet as Firehose writes it, SNAPPY \| ([0-9.]+) \|") == scale.RAW_BYTES
    assert measured(r"\| compacted \| ([0-9.]+) \|") == scale.COMPACTED_BYTES
    assert measured(r"accesslake, to packed records \| ([0-9]+k) \|") == scale.PACKED_LINES_PER_SECOND
    assert measured(r"\| 2 \| 1,502 \| [0-9.]+ \| ([0-9]+k) \|") == scale.INGEST_LINES_PER_SECOND
    assert measured(r"\| accesslake \| 33\.5 \| ([0-9]+k) \| 54 \| ") == scale.LOCAL_ROWS_PER_SECOND
    assert "with 2 cores" in BENCHMARKS
    assert measured(r"\| Spark, 2 executors \| 281\.4 \| ([0-9.]+k) \|") == scale.SPARK_ROWS_PER_SECOND
    assert scale.MEASURED_CPUS == 2
    assert "804 MB" in PAGE
    assert "| 33.5 | 149k | 54 | 0.9 [0.9..0.9] | 804 |" in BENCHMARKS
    assert f"{54 / 33.5:.1f} of its two processors" in PAGE


def test_what_the_page_on_deploying_assumes_is_the_same() -> None:
    assert f"{scale.SCRATCH_SHARE} bytes for a byte of raw file" in DEPLOY
    assert f"some {scale.OBJECT_SECONDS} seconds" in DEPLOY


def default(parameter: str) -> int:
    return int(re.findall(rf"^  {parameter}:\n(?:    .*\n)*?    Default: ([0-9]+)$", TEMPLATE, re.MULTILINE)[0])


def test_what_the_template_sets_is_the_same() -> None:
    assert f'ACCESSLAKE_MAX_RAW_BYTES: "{scale.COMPACTOR_BYTES}"' in TEMPLATE
    assert f'ACCESSLAKE_MAX_RAW_OBJECTS: "{scale.COMPACTOR_OBJECTS}"' in TEMPLATE
    assert (compact._MAX_RAW_BYTES, compact._MAX_RAW_OBJECTS) == (scale.COMPACTOR_BYTES, scale.COMPACTOR_OBJECTS)
    assert f"BatchSize: {scale.PARSER_MESSAGES}" in TEMPLATE
    assert f"MemorySize: {limit.LAMBDA_MEMORY.value:.0f}" in TEMPLATE
    assert f"MaximumConcurrency is {default('MaximumConcurrency')}" in limit.SQS_BATCHES.note
    assert default("ScanCutoffBytes") == scale.SCAN_CUTOFF_BYTES


def test_what_the_engine_on_athena_keeps_to_is_the_same() -> None:
    assert ROWS_PER_STATEMENT == scale.STATEMENT_ROWS
    assert limit.ATHENA_PARTITIONS.value == DAYS_PER_STATEMENT
    assert limit.ATHENA_QUERY_BYTES.value == STATEMENT_BYTES


def test_a_statement_of_the_engine_on_athena_reads_all_columns_as_often_as_is_counted() -> None:
    """Athena runs a WITH again wherever it is named: what is grouped to clues alone needs a few columns of it."""
    statement = sqlglot.parse_one(
        kept_rows_sql(Source("db", ("2024-05-01",), "'a'"), None, batch="0000000001", again=()), dialect="athena"
    )
    named = {each.alias: each.this for each in statement.find_all(exp.CTE)}

    def reads(part: exp.Expr) -> int:
        tables = [table.name for table in part.find_all(exp.Table)]
        return sum(reads(named[name]) if name in named else 1 for name in tables if name != "repeated")

    statement.args["with_"].pop()
    assert reads(statement) == scale.STATEMENT_READS


def test_a_raw_object_takes_as_many_bytes_of_a_record() -> None:
    delivered = "accesslake-1-2024-05-01-03-30-00-0a1b2c3d-1234-5678-9abc-0123456789ab"
    item = Input(raw_key(delivered, "2024-05-01"), "0" * 32, 33_554_432, 150_000, 150_000, 0)
    assert len(json.dumps([asdict(item)] * 100, indent=1)) / 100 == pytest.approx(scale.RECORD_BYTES, rel=0.2)


# --- The arithmetic ---------------------------------------------------------------------------------------------------


def test_worked_example_of_a_hundred_million_lines() -> None:
    """By hand: 68 GB of text, 89.76 GB of documents, 669 buffers of 128 MiB."""
    day = Arrivals(100_000_000)
    assert day.text_bytes == 68e9
    assert day.document_bytes == pytest.approx(89.76e9)
    assert day.firehose_objects == pytest.approx(668.8, abs=0.1)
    assert day.firehose_mib_per_second == pytest.approx(89.76e9 / 1048576 / 86400 * 3)
    parsing, objects, calls = 1e8 / 35_000, 1e5 * 0.03, 89.76e9 / 3145728 * 0.06
    assert day.functions(peak=1) == pytest.approx((parsing + objects + calls) / 86_400)


def test_a_small_day_is_delivered_by_time_and_not_before_there_is_anything() -> None:
    assert Arrivals(1_000_000).firehose_objects == 96
    assert Arrivals(5_000).firehose_objects == 5


def test_of_a_full_stream_the_bytes_are_full_first() -> None:
    for volume, requests, records in (
        (limit.FIREHOSE_LARGE, limit.FIREHOSE_LARGE_REQUESTS, limit.FIREHOSE_LARGE_RECORDS),
        (limit.FIREHOSE_SMALL, limit.FIREHOSE_SMALL_REQUESTS, limit.FIREHOSE_SMALL_RECORDS),
    ):
        sent = volume.value * (1 << 20)
        assert sent / assumed.CALL_BYTES < 0.01 * requests.value
        assert sent / assumed.RECORD_BYTES < 0.01 * records.value
    full = Arrivals(int(scale.firehose_lines(limit.FIREHOSE_LARGE.value)))
    assert full.firehose_mib_per_second == pytest.approx(limit.FIREHOSE_LARGE.value)


def test_the_compaction_function_is_full_by_size_first_or_by_number() -> None:
    assert scale.compactor_lines("firehose") * scale.RAW_BYTES == pytest.approx(scale.COMPACTOR_BYTES)
    assert scale.compactor_lines("parquet") == 5_000_000
    assert scale.compactor_lines("parquet", lines_per_object=10) == 50_000
    assert scale.compactor_usd(1e6) == pytest.approx(20 * 3008 / 1024 * 0.0000133334)


@pytest.mark.parametrize(
    ("lines", "statements"),
    [(1, 1), (100_000_000, 1), (100_000_001, 2), (1_000_000_000, 12), (2_400_000_000, 24), (10**11, 24)],
)
def test_an_hour_is_never_divided_between_statements(lines: int, statements: int) -> None:
    assert scale.athena_statements(lines) == statements


def test_athena_bills_each_read_of_the_batch_and_ten_megabytes_at_least() -> None:
    assert scale.athena_usd(100_000_000) == pytest.approx(2 * 2 * 16.76e9 / 1e12 * 5)
    assert scale.athena_usd(1_000_000_000) == pytest.approx(13 * 2 * 167.6e9 / 1e12 * 5)
    assert scale.athena_usd(1) == pytest.approx(2 * 1e7 / 1e12 * 5)


def test_glue_and_athena_cross_where_they_are_said_to() -> None:
    athena = scale.athena_usd(scale.STATEMENT_ROWS) / scale.STATEMENT_ROWS
    many = 1e13
    rate = scale.glue_beats_athena()
    assert SparkRun(many, rate * 1.01).glue_usd / many < athena < SparkRun(many, rate * 0.99).glue_usd / many
    few = scale.athena_beats_least_glue()
    assert scale.athena_usd(few) == pytest.approx(SparkRun(1, rate).glue_usd)


def test_a_machine_takes_as_long_as_the_window_says() -> None:
    each = scale.lines_per_firehose_object()
    lines = scale.machine_lines(3600, lines_per_raw_object=each)
    assert scale.machine_seconds(lines, raw_objects=lines / each) == pytest.approx(3600)


def test_what_amazon_counts_is_less_than_what_is_counted_here() -> None:
    assert scale.billed_as_amazon_counts() == pytest.approx(256_000 / 2**30 / (255_000 / 1e9))


@settings(max_examples=60)
@given(lines_a_day, st.floats(min_value=10, max_value=1e6))
def test_a_spark_run_ends_within_the_hour_with_no_worker_too_many(lines: int, rate: float) -> None:
    run = SparkRun(lines, rate)
    assert 0 < run.seconds <= 3600.001
    assert run.executors == 1 or run.seconds * run.executors / (run.executors - 1) > 3599.999
    assert run.glue_usd >= 2 * 60 / 3600 * limit.GLUE.usd
    assert run.emr_usd < run.glue_usd


@settings(max_examples=60)
@given(lines_a_day, lines_a_day)
def test_more_lines_never_ask_for_less(one: int, other: int) -> None:
    less, more = sorted((one, other))
    for asked in (
        scale.athena_usd,
        scale.compactor_usd,
        scale.spark_disks,
        lambda lines: Arrivals(lines).functions(),
        lambda lines: Arrivals(lines).firehose_objects,
        lambda lines: SparkRun(lines, 10_000).executors,
    ):
        assert asked(less) <= asked(more)
