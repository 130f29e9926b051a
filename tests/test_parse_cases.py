"""Single lines whose reading was once wrong, or that a reader of docs/parsing.md would ask about."""

import itertools
import sys

import pyarrow as pa
import pytest

import etl
from etl.arrays import are_utf8
from etl.errors import NotALog
from etl.parse import Reading, Rejected, decode_key, parse_exact, parse_fields, parse_stream, read_line
from etl.parse._exact import is_utf8

HEAD = b"owner bucket [01/Jul/2026:10:20:30 +0000] 192.0.2.3 - 5F1A2B3C4D5E6F70 REST.GET.OBJECT key "
TAIL = b" - HOSTID SigV4 CIPHER AuthHeader HOST TLSv1.3 - - us-west-2"
PLAIN = HEAD + b'"GET /key HTTP/1.1" 200 - 1 2 3 4 "-" "agent"' + TAIL


def only_row(line: bytes) -> dict[str, object]:
    parsed = etl.parse(line, source_key="s")
    assert parsed.quarantine.num_rows == 0
    assert parsed.table.equals(parse_exact(line, source_key="s").table)
    (row,) = parsed.table.to_pylist()
    assert isinstance(row, dict)
    return row


def reason(line: bytes) -> str:
    parsed = etl.parse(line, source_key="s")
    assert parsed.table.num_rows == 0
    (found,) = parsed.quarantine.to_pylist()
    assert found["raw_line"] == line
    return str(found["reason"]).partition(":")[0]


def test_a_cut_forged_line_is_not_clean() -> None:
    line = HEAD + b'"GET /k HTTP/1.1" 200 - 1 2 3 4 "-" "x" - H SigV2 C A h T - - us "y" - HOST SigV4'
    assert only_row(line)["parse_status"] == "ambiguous"


def test_one_quoted_field_more_does_not_make_every_line_ambiguous() -> None:
    row = only_row(PLAIN + b' "a field of the future"')
    assert (row["parse_status"], row["extra_fields"]) == ("clean", '"a field of the future"')


@pytest.mark.parametrize(
    "time", [b"31/Dec/9999:23:59:59 -0100", b"31/Dec/9999:23:59:60 +0000", b"31/Jun/2026:00:00:00 +0000"]
)
def test_times_that_are_none(time: bytes) -> None:
    assert reason(PLAIN.replace(b"01/Jul/2026:10:20:30 +0000", time)) == "bad_time"


@pytest.mark.parametrize(
    ("time", "event_date"),
    [
        (b"31/Dec/9999:23:59:59 +0000", "9999-12-31"),
        (b"14/Mar/2006:00:00:00 +0000", "2006-03-14"),
        (b"30/Jun/2026:23:30:00 -0100", "2026-07-01"),
        (b"30/Jun/2015:23:59:60 +0000", "2015-07-01"),
        (b"30/Jun/2015:15:59:60 -0800", "2015-07-01"),
    ],
)
def test_days_are_utc(time: bytes, event_date: str) -> None:
    assert only_row(PLAIN.replace(b"01/Jul/2026:10:20:30 +0000", time))["event_date"] == event_date


def test_a_time_before_s3() -> None:
    assert reason(PLAIN.replace(b"01/Jul/2026", b"13/Mar/2006")) == "time_before_s3"


def test_a_key_that_is_no_utf8_has_no_name() -> None:
    row = only_row(PLAIN.replace(b" key ", b" \xff "))
    assert (row["key_name"], row["object_key"]) == ("\N{REPLACEMENT CHARACTER}", None)
    other = only_row(PLAIN.replace(b"agent", b"\xff"))
    assert (other["object_key"], other["user_agent"]) == ("key", "\N{REPLACEMENT CHARACTER}")
    assert "\\xff" in str(other["raw_line"])


def test_an_unknown_operation_with_a_bare_uri() -> None:
    line = HEAD.replace(b"REST.GET.OBJECT", b"-") + b"- 204 - - 5 - - - -" + TAIL.replace(b"- - us-west-2", b"- - -")
    assert only_row(line)["operation"] is None


def test_spaces_where_s3_writes_one() -> None:
    row = only_row(PLAIN.replace(b"192.0.2.3 -", b"192.0.2.3  -").replace(b" 200 ", b"   200 ") + b"  \r")
    assert (row["http_status"], row["source_region"], row["parse_status"]) == (200, "us-west-2", "clean")


@pytest.mark.parametrize(
    "requester",
    [
        b"arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E2EXAMPLE1",
        b"arn:aws:iam::cloudfront:user/CloudFront Origin Access Identify E2EXAMPLE1",
        b"some one else entirely",
    ],
)
def test_requesters_with_spaces(requester: bytes) -> None:
    row = only_row(PLAIN.replace(b"192.0.2.3 - ", b"192.0.2.3 " + requester + b" "))
    assert row["requester"] == requester.decode()
    assert row["key_name"] == "key"


def test_an_operation_like_request_id_before_a_dash_key_is_read_as_defined() -> None:
    requester = b"arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E2EXAMPLE1"
    line = PLAIN.replace(b"192.0.2.3 - 5F1A2B3C4D5E6F70", b"192.0.2.3 " + requester + b" A.B").replace(b" key ", b" - ")
    assert etl.parse(line, source_key="s").table.equals(parse_exact(line, source_key="s").table)


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        (b" 200 ", b" 2147483647 ", ("http_status", 2147483647)),
        (b" 1 2 3 4 ", b" 9223372036854775807 2 3 4 ", ("bytes_sent_size", 9223372036854775807)),
        (b" 1 2 3 4 ", b" 1 12345678901234567 3 4 ", ("object_size", 12345678901234567)),
        (b" 1 2 3 4 ", b" 1 2 123456789 4 ", ("total_duration", 123456789)),
        (b" 1 2 3 4 ", b" 1 2 0012 - ", ("total_duration", 12)),
    ],
)
def test_numbers(field: bytes, value: bytes, read: tuple[str, int]) -> None:
    row = only_row(PLAIN.replace(field, value))
    assert row[read[0]] == read[1]


@pytest.mark.parametrize("number", [b"2147483648", b"20O", b"+5", b"-5", b"1.5", b"9" * 5000, b"0x10", b"\xd9\xa3"])
def test_numbers_that_are_none(number: bytes) -> None:
    assert reason(PLAIN.replace(b" 200 ", b" " + number + b" ")) == "bad_number"


@pytest.mark.parametrize(
    ("key", "operation", "name"),
    [
        ("a%252Bb%2520c", "REST.GET.OBJECT", "a+b c"),
        ("a+b", "REST.GET.OBJECT", "a+b"),
        ("a+b%2B", "BATCH.DELETE.OBJECT", "a b+"),
        ("foo-%2525Y", "S3.EXPIRE.OBJECT", "foo-%25Y"),
        ("foo-%2525Y", None, "foo-%Y"),
        ("%2525", "REST.GET.OBJECT", "%"),
        ("%25", "REST.GET.OBJECT", None),
        ("%252525", "REST.GET.OBJECT", "%25"),
        ("%41%42", "REST.GET.OBJECT", "AB"),
        ("100%", "REST.GET.OBJECT", None),
        ("%25FF", "REST.GET.OBJECT", None),
    ],
)
def test_keys(key: str, operation: str | None, name: str | None) -> None:
    assert decode_key(key, operation) == name


def test_streams_are_cut_at_lines_only() -> None:
    data = b"\n".join([PLAIN] * 50 + [b"no log", b"", PLAIN])
    whole = etl.parse(data, source_key="s")
    for size in (1, 7, 300, 5000):
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        found = list(parse_stream(parts, source_key="s"))
        assert pa.concat_tables([part.table for part in found]).combine_chunks().equals(whole.table.combine_chunks())
        assert sum(part.lines for part in found) == whole.lines == 52


def test_long_objects_are_read_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"\n".join([PLAIN, b"junk", b"\xff"] * 100)
    whole = etl.parse(data, source_key="s")
    monkeypatch.setattr(sys.modules["etl.parse._parse"], "CHUNK_BYTES", 1000)
    in_chunks = etl.parse(data, source_key="s")
    assert in_chunks.table.num_rows == 100
    assert in_chunks.table.combine_chunks().equals(whole.table.combine_chunks())
    assert in_chunks.quarantine.combine_chunks().equals(whole.quarantine.combine_chunks())


def test_no_line_feed_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["etl.parse._parse"]
    monkeypatch.setattr(module, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 5000)
    with pytest.raises(NotALog, match="no line feed"):
        list(parse_stream([b"x" * 20_000], source_key="s"))


def test_an_unused_object_key_is_not_worked_out() -> None:
    line = PLAIN.replace(b" key ", b" a%2520b ")
    (whole,), (part,) = (list(parse_stream([line], source_key="s", unused=u)) for u in ((), ("object_key",)))
    assert whole.table["object_key"].to_pylist() == ["a b"]
    assert part.table["object_key"].to_pylist() == [None]
    assert part.table.schema.equals(whole.table.schema)
    assert part.table.drop_columns("object_key").equals(whole.table.drop_columns("object_key"))


def test_only_the_27_fields() -> None:
    fields = parse_fields(PLAIN + b"\n\n" + PLAIN)
    assert fields.equals(etl.parse(PLAIN + b"\n" + PLAIN, source_key="s").table.select(range(27)))
    assert parse_fields(b"").num_rows == 0


def test_nothing_is_a_table_without_rows() -> None:
    parsed = etl.parse(b"", source_key="s")
    assert (parsed.lines, parsed.table.schema) == (0, etl.SCHEMA)


def test_the_exact_reader_alone() -> None:
    assert isinstance(read_line(PLAIN), Reading)
    assert isinstance(read_line(b"x"), Rejected)
    assert read_line(b" \t\r") is None


def test_arrow_and_python_have_one_mind_on_what_is_utf8() -> None:
    """Every sequence of up to four bytes from both sides of each boundary: overlong forms, surrogates, past the last plane."""
    edges = bytes.fromhex("00 41 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ed ee ef f0 f1 f4 f5 ff")
    for length in range(1, 5):
        for sequence in itertools.product(edges, repeat=length):
            assert are_utf8(bytes(sequence)) == is_utf8(bytes(sequence)), sequence
