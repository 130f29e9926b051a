"""The package against the oracle, its fast path against its exact one, and both against what the client sent."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_shapes import (
    MODERN,
    PIECES,
    Record,
    constructed_lines,
    forged_records,
    log_object,
    mutated_lines,
    plain_lines,
    records,
    render,
    single_edits,
    truth,
)
from oracle import OracleObject, Row, oracle_line, oracle_object, oracle_readings

import etl
from etl.parse import Parsed, Reading, parse_exact, read_line
from etl.parse._tokenize import tokenize

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.log"))
ORACLE_LINES = 24_000
FAST_LINES = 300_000
SEEDS = (1, 2, 3)


# --- Comparing --------------------------------------------------------------------------------------------------------


def assert_fast_equals_exact(data: bytes) -> Parsed:
    """The fast path's result, once it is known to be the exact path's, and to have lost no line."""
    fast, exact = etl.parse(data, source_key="k"), parse_exact(data, source_key="k")
    assert fast.lines == exact.lines
    assert fast.quarantine.equals(exact.quarantine)
    if not fast.table.equals(exact.table):
        for ours, theirs in zip(fast.table.to_pylist(), exact.table.to_pylist(), strict=True):
            assert ours == theirs, data.split(b"\n")[theirs["line_no"] - 1]
    assert fast.table.equals(exact.table)
    assert fast.table.schema.equals(etl.SCHEMA)
    fast.table.validate(full=True)
    assert_no_line_is_lost(data, fast)
    return fast


def assert_no_line_is_lost(data: bytes, parsed: Parsed) -> None:
    """Each line is a row, quarantined byte for byte, or blank."""
    left = dict(enumerate(data.split(b"\n"), start=1))
    for number in parsed.table["line_no"].to_pylist():
        del left[number or 0]
    for row in parsed.quarantine.to_pylist():
        assert left.pop(row["line_no"]) == row["raw_line"]
    assert all(line.removeprefix(b"\xef\xbb\xbf").strip() == b"" for line in left.values())
    assert parsed.lines == parsed.table.num_rows + parsed.quarantine.num_rows


def in_oracle_shape(parsed: Parsed) -> OracleObject:
    """The package's tables as the oracle gives them; a reason may go on after its code and a colon."""
    rows: list[tuple[int, Row]] = []
    for row in parsed.table.to_pylist():
        assert row.pop("source_key") == "k"
        rows.append((row.pop("line_no"), row))
    refused = []
    for row in parsed.quarantine.to_pylist():
        assert row["source_key"] == "k"
        refused.append((row["line_no"], row["reason"].split(":")[0], row["raw_line"]))
    return OracleObject(rows, refused, parsed.lines)


def assert_all_agree(data: bytes) -> None:
    """Fast path, exact path and oracle give the same; if not, the first line on which they differ is shown."""
    found, wanted = in_oracle_shape(assert_fast_equals_exact(data)), oracle_object(data)
    if found != wanted:
        ours: dict[int, object] = dict(found.rows) | {number: reason for number, reason, _ in found.quarantined}
        theirs: dict[int, object] = dict(wanted.rows) | {number: reason for number, reason, _ in wanted.quarantined}
        for number in sorted(ours.keys() | theirs.keys()):
            assert ours.get(number) == theirs.get(number), data.split(b"\n")[number - 1]
    assert found == wanted


def batches(lines: Iterator[bytes], size: int) -> Iterator[list[bytes]]:
    """The lines, so many at a time."""
    while batch := list(islice(lines, size)):
        yield batch


# --- All three agree --------------------------------------------------------------------------------------------------

PLAIN = next(plain_lines(1, seed=0))
ANY_LINE = st.one_of(
    records().map(render),
    forged_records().map(render),
    mutated_lines(),
    st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"")),
    st.sampled_from([b"", b"   ", b"\t", b"\r", b"{}", b"{", b"\xef\xbb\xbf", b'"', b"a b [c] d", PLAIN]),
)
ENDS = st.lists(st.sampled_from([b"\n", b"\n", b"\r\n", b"\n\n", b"\n \n", b""]), min_size=8, max_size=8)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_corpus(path: Path) -> None:
    assert_all_agree(path.read_bytes())


@given(st.lists(ANY_LINE, max_size=8), ENDS, st.sampled_from([b"", b"", b"\xef\xbb\xbf"]))
@settings(max_examples=150, deadline=None)
def test_objects_of_any_lines(lines: list[bytes], ends: list[bytes], bom: bytes) -> None:
    assert_all_agree(bom + b"".join(line + end for line, end in zip(lines, ends, strict=False)))


@given(st.lists(mutated_lines(), min_size=1, max_size=3), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_mutated_lines_among_plain_ones(lines: list[bytes], rng: random.Random) -> None:
    lines = [*lines, PLAIN, PLAIN]
    rng.shuffle(lines)
    assert_all_agree(b"\n".join(lines))


@pytest.mark.parametrize("seed", SEEDS)
def test_constructed_lines(seed: int) -> None:
    for batch in batches(constructed_lines(ORACLE_LINES // len(SEEDS), seed=seed), 2_000):
        assert_all_agree(log_object(batch, seed=seed))


HEAD = b"o b [01/Jul/2026:10:20:30 +0000] "
BASES = {
    "27 fields": HEAD + b'192.0.2.3 a:b R1 REST.GET.OBJECT a%2520 "GET /x HTTP/1.1" 200 - 10 2 3 4 "-" "curl"'
    b" - H= SigV4 C Auth h.x TLSv1.3 - - us-1",
    "stray quotes": HEAD + b'192.0.2.3 a:b R1 REST.GET.OBJECT k "GET /x"y" HTTP/1.1" 200 - 10 2 3 4 "http://a" b"'
    b' "Mozilla/5.0" (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/1 Safari/5" a "b" c'
    b'" - H= SigV4 C Auth h.x TLSv1.3 - - us-1',
    "lifecycle": b'o b [29/Feb/2024:23:59:59 -0530] - - R1 S3.EXPIRE.OBJECT a+b "-" - - - 5 - - "-" "-" v',
    "bare, extra": HEAD + b'1 c d R1 BATCH.DELETE.OBJECT k - 204 - - 5 - - - - - H= V C A h T - - us-1 x "y"',
    "17 fields": HEAD + b'1 c R1 SOAP.X - "P" 200 E 1 2 3 4 "r" "u"',
    "ambiguous": b'o b [31/Dec/2019:23:59:60 +0000] 1 - R - - "G" 9223372036854775807 - 9223372036854775807 - - '
    b'2147483647 "a" "b" "c" - H=',
    "largest numbers": b'\xef\xbb\xbf o b [28/Feb/2023:23:59:59 +1400] 1 - R A.B %41 "G" 2147483647 - '
    b'9223372036854775807 - - 2 "a" "b" 1 2 3 4 5 6 7 8 9 10 11\r',
    "forged tail": HEAD + b'1 c R1 A.B k "G" 2 - 1 2 3 4 "r" "u" 1 2 3 4 5 6 7 8 9 10 "x" - H= V C A h T - - u',
}


@pytest.mark.parametrize("base", BASES)
def test_every_edit_of_one_byte(base: str) -> None:
    assert_all_agree(b"\n".join(single_edits(BASES[base])))


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\n", b"\n\n\n", b" ", b"\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n", b"\0", b'"', b"\xff\n\xfe"),
        *(PLAIN, PLAIN + b"\n", PLAIN + b"\r\n", b"\xef\xbb\xbf" + PLAIN, b"\n" + PLAIN, PLAIN * 2, b"\t\n"),
        *(PLAIN + b"\n" + PLAIN, PLAIN + b"\n\xff", b"x\n" + PLAIN, PLAIN + b"\n\n" + PLAIN + b"\n \n"),
        *(b"  \xef\xbb\xbf" + PLAIN, b"\xef\xbb\xbf" * 2 + PLAIN, b"\xef\xbb\xbf  " + PLAIN, b"\x85" + PLAIN),
        *(b"{" * 100_000, b'{"a":' * 100_000, b'{"a": 1}', b"[" * 100_000, b'"' * 1_000, b'" ' * 1_000),
        b"\n".join([PLAIN] * 100 + [PLAIN + b"\r"] * 100),
        PLAIN.replace(b"curl", b"c\xffrl") + b"\n" + PLAIN,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_objects_at_the_edge(data: bytes) -> None:
    assert_all_agree(data)


TIMES = (
    *("06/Feb/2014:23:00:38 +0000", "06/Feb/2015:00:00:38 +0000", "07/Feb/2014:00:00:38 +0000"),
    *("01/Jan/0000:00:00:00 +0000", "01/Jan/0001:00:00:00 +0100", "31/Dec/9999:23:59:59 +0000"),
    *("31/Dec/9999:23:59:59 -0100", "31/Dec/9999:23:59:60 +0000", "13/Mar/2006:23:59:60 +0000"),
    *("13/Mar/2006:23:59:59 +0000", "14/Mar/2006:00:00:00 +0000", "13/Mar/2006:23:30:00 -0100"),
    *("29/Feb/2100:00:00:00 +0000", "29/Feb/2000:00:00:00 +0000", "30/Jun/2015:23:59:60 +0000"),
    *("01/Jul/2015:00:59:60 +0100", "01/Jul/2015:05:29:60 +0530", "30/Jun/2015:22:59:60 +0000"),
    *("01/Jul/2026:10:20:30 +2359", "01/Jul/2026:10:20:30 -2359", "01/Jul/2026:10:20:30 +2400"),
    *("01/Jul/2026:10:20:30 +0060", "01/JUL/2026:10:20:30 +0000", "00/Jul/2026:10:20:30 +0000"),
)


@pytest.mark.parametrize("time", TIMES)
def test_times(time: str) -> None:
    """Also with a plain line beside it: one line's time must not cost another."""
    assert_all_agree(PLAIN.replace(b"06/Feb/2014:00:00:38 +0000", time.encode()) + b"\n" + PLAIN + b"\n")


STRAY = (
    *(b'Mozilla/5.0" (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/1 Safari/537.36', b'a "b" c'),
    *(b'"', b'a"', b'"a"', b'a" b c d e f g', b'a""b', b'" a" b', b'a b c d e f g h i j k"l'),
)


def test_stray_quotes_with_one_reading_take_the_fast_path() -> None:
    """One line in a hundred has such quotes; read one by one they would cost a fifth of the time."""
    texts = [*STRAY, b"plain"]
    lines = [
        render(replace(MODERN, request_uri=b"GET /" + uri + b" HTTP/1.1", referer=referer, user_agent=agent))
        for uri in texts
        for referer in texts
        for agent in texts
    ]
    data = b"\n".join(lines) + b"\n"
    assert_all_agree(data)
    readings = [read_line(line) for line in lines]
    clean = [isinstance(reading, Reading) and reading.status == "clean" for reading in readings]
    fast = tokenize(np.frombuffer(data, np.uint8)).exact
    assert sum(clean) > 900
    assert sum(fast) > 0.9 * sum(clean)


def test_constructed_lines_reach_every_outcome() -> None:
    """The generator is worth something only if it makes every status and reason, each often enough."""
    outcomes: dict[str, int] = {}
    for line in constructed_lines(6_000, seed=9):
        result = oracle_line(line)
        outcome = result if isinstance(result, str) else str(result["parse_status"])
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert min(outcomes[status] for status in ("clean", "short", "ambiguous")) >= 300
    reasons = ("not_a_log_line", "bad_time", "time_before_s3", "bad_number", "cut_line", "no_reading")
    assert min(outcomes[reason] for reason in reasons) >= 10
    assert len(set(constructed_lines(2_000, seed=9))) == 2_000
    assert list(constructed_lines(50, seed=9)) == list(constructed_lines(50, seed=9))
    assert list(constructed_lines(50, seed=9)) != list(constructed_lines(50, seed=8))


# --- Fast against exact, at length ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_fast_equals_exact_on_constructed_lines(seed: int) -> None:
    """Hostile lines alone and scattered among plain ones; the last seed's are one object of 27 MB."""
    lines = constructed_lines(FAST_LINES // len(SEEDS), seed=seed + 100)
    seen = 0
    for turn, batch in enumerate(batches(lines, FAST_LINES if seed == SEEDS[-1] else 10_000)):
        seen += len(batch)
        if turn % 2:
            for place, line in enumerate(plain_lines(4_000, seed=turn)):
                batch.insert(place * 3 % len(batch), line)
        assert assert_fast_equals_exact(log_object(batch, seed=seed + turn)).lines == len(batch)
    assert seen == FAST_LINES // len(SEEDS)


@given(st.binary(max_size=400) | st.lists(st.sampled_from([*PIECES, b"\n", b"[", PLAIN]), max_size=20).map(b"".join))
@settings(max_examples=300, deadline=None)
def test_no_bytes_raise_or_lose_a_line(data: bytes) -> None:
    assert_fast_equals_exact(data)


# --- What the client sent ---------------------------------------------------------------------------------------------


def read_one(line: bytes) -> Row:
    """The line's row, which it must have."""
    (row,) = etl.parse(line, source_key="k").table.to_pylist()
    return {name: value for name, value in row.items() if name not in ("source_key", "line_no")}


@given(records())
@settings(max_examples=250, deadline=None)
def test_honest_records_come_back(record: Record) -> None:
    line = render(record)
    fields = 17 + len(record.tail)
    wanted = truth(record) | {"parse_status": "short" if 19 <= fields <= 22 else "clean"}
    row = read_one(line)
    kept = row.pop("raw_line")
    assert row == wanted
    is_utf8 = line.decode("utf-8", "replace").encode() == line
    assert (kept is None) == (is_utf8 and wanted["parse_status"] == "clean")


def assert_clean_means_true(record: Record, row: Row) -> None:
    """The security property: a line that S3 wrote in 2026 gives a clean row only if that is what happened."""
    assert row["parse_status"] in ("clean", "ambiguous"), render(record)
    if row["parse_status"] == "clean":
        wanted = truth(record)
        assert {name: row[name] for name in wanted} == wanted, render(record)


@given(forged_records())
@settings(max_examples=600, deadline=None)
def test_no_forged_record_gives_a_clean_row_that_is_wrong(record: Record) -> None:
    assert_clean_means_true(record, read_one(render(record)))
    assert truth(record) in oracle_readings(render(record))


def forged_by_pairs() -> Iterator[Record]:
    """Records of 2026 with every pair of pieces in the URI, the referer and the user agent."""
    for one in PIECES:
        for other in PIECES:
            yield replace(MODERN, request_uri=b"GET /x" + one + other + b" HTTP/1.1", user_agent=b"curl")
            yield replace(MODERN, referer=one + other, user_agent=other)
            yield replace(MODERN, referer=b"r", user_agent=one + other)
            yield replace(MODERN, request_uri=one, referer=other, user_agent=one + other)


def test_no_pair_of_pieces_gives_a_clean_row_that_is_wrong() -> None:
    forged = list(forged_by_pairs())
    parsed = etl.parse(b"\n".join(map(render, forged)), source_key="k")
    assert parsed.table.num_rows == len(forged)
    rows = parsed.table.to_pylist()
    for record, row in zip(forged, rows, strict=True):
        assert_clean_means_true(record, row)
    assert {row["parse_status"] for row in rows} == {"clean", "ambiguous"}


def test_a_line_cut_before_its_user_agent_ends_is_never_a_row() -> None:
    line = render(replace(MODERN, user_agent=b"curl/8.5.0"))
    uri, agent = line.index(b'"'), line.rindex(b'"')
    reasons = {oracle_line(line[:end]) for end in range(uri + 1, agent)}
    assert reasons == {"cut_line"}
    assert_all_agree(b"\n".join(line[:end] for end in range(len(line) + 1)))
