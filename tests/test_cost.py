"""The arithmetic of the bill: against worked examples, against what packing really gives, and without surprises."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cli import accesslake, one_line

from benchmarks.methods import recipe
from benchmarks.run_firehose import DATED_NAME
from etl.arrivals import UNITS
from etl.cost import PRICES, Estimate, Workload, cost
from etl.cost import _workload as assumed
from etl.cost._workload import billed_record_bytes, documents_per_record, packed_bytes
from etl.detect import measure
from etl.errors import BadParameter
from etl.generate import generate
from etl.lambdas._compaction_metrics import COMPACTION_UNITS
from etl.parse import parse
from etl.sinks import Packer, _firehose, _pack, to_documents

FRONT = ("log bucket, GETs", "SQS", "Lambda, parser")
RATE = 0.047
ROUNDED = 0.025
"""Two digits are printed in the worked examples."""


def per_million(estimate: Estimate, name: str) -> float:
    (usd,) = [item.usd for item in (*estimate.items, *estimate.alternatives) if item.name == name]
    return usd / estimate.workload.lines * 1e6


# --- Worked examples: 550 bytes a line, 700 a document, USD for a million lines ---------------------------------------


@pytest.mark.parametrize(
    ("lines_per_object", "gets", "sqs", "function"),
    [
        (10, 0.04, 0.048, 0.0698),
        (100, 0.004, 0.0048, 0.0076),
        (1_000, 0.0004, 0.0005, 0.0014),
        (10_000, 0, 0.0001, 0.0007),
    ],
)
def test_the_front_end_by_size_of_log_object(lines_per_object: int, gets: float, sqs: float, function: float) -> None:
    found = cost(Workload(1_000_000, 550, lines_per_object))
    for name, usd in zip(FRONT, (gets, sqs, function), strict=True):
        assert per_million(found, name) == pytest.approx(usd, abs=0.00006)


def test_one_document_a_record() -> None:
    assert 1e6 * billed_record_bytes(700) / 1e9 * RATE == pytest.approx(0.235)
    found = cost(Workload(100_000_000, 550, 1_000))
    front = sum(per_million(found, name) for name in (*FRONT, "Lambda, requests"))
    assert per_million(found, "recipe: one document a record") - front == pytest.approx(0.235)
    assert (per_million(found, "recipe: one document a record") - front) * 3_000 == pytest.approx(705)


@pytest.mark.parametrize(
    ("document_bytes", "usd", "times"),
    [(500, 0.024, 9.8), (700, 0.0335, 7.0), (1_000, 0.048, 4.9), (1_500, 0.071, 3.3)],
)
def test_packed_by_size_of_document(document_bytes: int, usd: float, times: float) -> None:
    found = packed_bytes(1e6, document_bytes, batches=0) / 1e9 * RATE
    assert found == pytest.approx(usd, rel=ROUNDED)
    assert 0.235 / found == pytest.approx(times, rel=ROUNDED)


def test_no_packing_beats_the_floor_and_ours_is_near_it() -> None:
    for document_bytes in range(300, 3_000, 7):
        assert 1 <= packed_bytes(1e6, document_bytes, batches=0) / (1e6 * document_bytes) < 1.035
    assert packed_bytes(1e6, 700, batches=0) / 7e8 < 1.005


@pytest.mark.parametrize(
    ("name", "usd"),
    [
        ("AWS's own delivery, to CloudWatch Logs", 0.35),
        ("AWS's own delivery, to S3", 0.175),
        ("CloudTrail data events", 1.00),
    ],
)
def test_what_aws_itself_charges(name: str, usd: float) -> None:
    assert per_million(cost(Workload(100_000_000, 550)), name) == pytest.approx(usd, rel=ROUNDED)


def test_a_put_for_each_object_of_twenty_thousand_rows() -> None:
    found = cost(Workload(100_000_000, 550, 20_000), sink="parquet")
    assert per_million(found, "S3, PUTs") == pytest.approx(0.00025)
    assert per_million(found, "compaction") == pytest.approx(0.0008, abs=0.0002)


def test_raw_text_is_scanned_whole_at_each_query() -> None:
    found = cost(Workload(1_000_000, 550, queries_per_day=1, days_kept=1))
    assert per_million(found, "raw text in Athena") == pytest.approx(0.00275)


def test_totals_at_a_thousand_lines_an_object() -> None:
    """0.24, 0.036 and, with a file for each log object where the example counted one for twenty thousand rows, 0.008."""
    found = cost(Workload(100_000_000, 550))
    assert per_million(found, "recipe: one document a record") == pytest.approx(0.24, abs=0.005)
    assert per_million(found, "accesslake, firehose") == pytest.approx(0.036, abs=0.002)
    assert per_million(found, "accesslake, parquet") == pytest.approx(0.0075, abs=0.0005)


# --- What it rests on -------------------------------------------------------------------------------------------------


def test_limits_are_those_of_the_sink() -> None:
    assert (assumed.RECORD_BYTES, assumed.RECORD_DOCUMENTS) == (_pack.RECORD_BYTES, _pack.RECORD_DOCUMENTS)
    assert assumed.CALL_BYTES == _firehose.CALL_BYTES
    assert len(UNITS) == assumed.METRICS
    assert len(COMPACTION_UNITS) == assumed.COMPACTION_METRICS
    assert len(measure([])) == assumed.DETECTION_METRICS


def test_counts_and_days_are_those_of_the_template() -> None:
    template = (Path(__file__).parents[1] / "infra" / "template.yaml").read_text()
    assert template.count("Type: AWS::CloudWatch::Alarm") == assumed.ALARMS
    memory = re.search(r"  Compactor:\n(?:    .*\n)*?      MemorySize: ([0-9]+)", template)
    assert memory is not None
    assert int(memory[1]) / 1024 == assumed.COMPACT_GB
    memory = re.search(r"  Detector:\n(?:    .*\n)*?      MemorySize: ([0-9]+)", template)
    assert memory is not None
    assert int(memory[1]) / 1024 == assumed.DETECT_GB
    days = re.search(r"  RawLogExpiryDays:\n(?:    .*\n)*?    Default: ([0-9]+)", template)
    assert days is not None
    assert int(days[1]) == assumed.LOG_DAYS
    buffer = re.search(r"  BufferIntervalSeconds:\n(?:    .*\n)*?    Default: ([0-9]+)", template)
    assert buffer is not None
    assert int(buffer[1]) == assumed.BUFFER_SECONDS


def test_shares_are_those_of_generated_lines() -> None:
    data = b"".join(log.body for log in generate(lines=4_000, seed=1, end=dt.date(2026, 3, 31)))
    lines = data.count(b"\n")
    table = parse(data, source_key=f"{DATED_NAME}{0:016X}").table
    documents = to_documents(table)
    size = pc.sum(pc.binary_length(documents)).as_py()
    share = size / table.num_rows / (len(data) / lines)
    assert len(data) / lines == pytest.approx(assumed.BYTES_PER_LINE, rel=0.05)
    assert share == pytest.approx(assumed.DOCUMENT_SHARE, rel=0.03)
    packer = Packer()
    records = [*packer.add(documents, "owner"), *packer.flush()]
    billed = sum(billed_record_bytes(len(record.data)) for record in records)
    assert packed_bytes(table.num_rows, size / table.num_rows, batches=1) == pytest.approx(billed, rel=0.01)
    theirs = recipe.to_json_lines(data)
    assert len(theirs) / theirs.count(b"\n") / (len(data) / lines) == pytest.approx(assumed.RECIPE_SHARE, rel=0.05)


def test_every_price_says_where_it_is_from_and_when_it_was_read() -> None:
    for price in PRICES:
        assert price.source.startswith("https://aws.amazon.com/")
        assert dt.date.fromisoformat(price.as_of) <= dt.date(2026, 12, 31)
        assert price.usd > 0
        assert price.unit
        assert price.note
    assert len({price.name for price in PRICES}) == len(PRICES) >= 14


def test_every_price_moves_the_bill(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not is named and not used."""
    from etl.cost import _prices

    load = Workload(100_000_000, queries_per_day=3)

    def amounts() -> list[float]:
        return [
            item.usd
            for sink in ("firehose", "parquet")
            for found in [cost(load, sink=sink)]
            for item in (*found.items, *found.alternatives)
        ]

    before = amounts()
    for name, price in vars(_prices).items():
        if isinstance(price, _prices.Price):
            with monkeypatch.context() as patch:
                patch.setattr(_prices, name, replace(price, usd=price.usd * 2))
                after = amounts()
            assert after != before, name
            assert all(new >= old for new, old in zip(after, before, strict=True)), name


def test_each_part_says_how_it_comes_about() -> None:
    for sink in ("firehose", "parquet"):
        found = cost(Workload(5_000_000, queries_per_day=2), sink=sink)
        for item in (*found.items, *found.alternatives):
            assert re.search("[0-9]", item.how) or item.name.startswith("accesslake"), item
        assert found.total == pytest.approx(sum(item.usd for item in found.items))


# --- No surprises -----------------------------------------------------------------------------------------------------

LOADS = st.builds(
    Workload,
    lines_per_day=st.integers(1, 10**10),
    bytes_per_line=st.integers(1, 20_000),
    lines_per_object=st.integers(1, 10**6),
    days_kept=st.integers(0, 4_000),
    queries_per_day=st.integers(0, 1_000),
)
MORE = st.integers(1, 10**5)


@settings(max_examples=200)
@given(LOADS, MORE, st.sampled_from(["firehose", "parquet"]))
def test_more_of_anything_never_costs_less_and_larger_objects_never_more(load: Workload, more: int, sink: str) -> None:
    def parts(load: Workload) -> list[float]:
        found = cost(load, sink=sink)
        return [item.usd for item in (*found.items, *found.alternatives)]

    base = parts(load)
    assert all(usd >= 0 for usd in base)
    for name, most in (
        ("lines_per_day", 10**13),
        ("bytes_per_line", 700_000),
        ("days_kept", 36_500),
        ("queries_per_day", 10**9),
    ):
        larger = replace(load, **{name: min(getattr(load, name) + more, most)})
        assert all(new >= old * (1 - 1e-12) for new, old in zip(parts(larger), base, strict=True)), name
    larger = replace(load, lines_per_object=load.lines_per_object + more)
    assert all(new <= old * (1 + 1e-12) for new, old in zip(parts(larger), base, strict=True))


@settings(max_examples=200)
@given(st.integers(1, 2_000_000))
def test_a_record_is_billed_in_whole_steps_and_holds_what_it_may(document_bytes: int) -> None:
    billed = billed_record_bytes(document_bytes)
    assert billed % 5_000 == 0
    assert document_bytes <= billed < document_bytes + 5_000
    documents = documents_per_record(document_bytes)
    assert documents == 1 or documents * document_bytes <= 255_000
    assert 1 <= documents <= 500


@pytest.mark.parametrize(
    "arguments",
    [
        {"lines_per_day": 0},
        {"lines_per_day": -5},
        {"lines_per_day": 10**14},
        {"lines_per_day": 1, "bytes_per_line": 0},
        {"lines_per_day": 1, "bytes_per_line": 700_001},
        {"lines_per_day": 1, "lines_per_object": 0},
        {"lines_per_day": 1, "days_kept": -1},
        {"lines_per_day": 1, "queries_per_day": -1},
    ],
)
def test_nonsense_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(BadParameter):
        Workload(**arguments)


def test_a_sink_that_there_is_none_of() -> None:
    with pytest.raises(BadParameter):
        cost(Workload(1), sink="kafka")


# --- The command line -------------------------------------------------------------------------------------------------


def test_the_verb_shows_every_part_and_its_arithmetic() -> None:
    code, out, err = accesslake("cost", "--lines-per-day", "1000000", "--queries-per-day", "5")
    assert (code, err) == (0, "")
    found = cost(Workload(1_000_000, queries_per_day=5))
    for item in (*found.items, *found.alternatives):
        assert re.search(rf"^{re.escape(item.name)} +{item.usd:,.2f}  {re.escape(item.how)}$", out, re.MULTILINE), item
    assert f"{found.total:,.2f}" in out


def test_the_verb_as_json() -> None:
    code, out, _ = accesslake("cost", "--lines-per-day", "1000000", "--sink", "parquet", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["total"] == pytest.approx(sum(item["usd"] for item in found["items"]))
    assert {"how", "name", "usd"} == set(found["alternatives"][0])
    assert found["prices"][0]["source"].startswith("https://")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--lines-per-day", "many"],
        ["--lines-per-day", "-1"],
        ["--lines-per-day", "1e9"],
        ["--lines-per-day", "1", "--sink", "kafka"],
        ["--lines-per-day", "1", "--lines-per-object", "0"],
    ],
)
def test_bad_arguments_are_one_clear_line(arguments: list[str]) -> None:
    code, out, err = accesslake("cost", *arguments)
    assert (code, out) == (2, "")
    one_line(err)
