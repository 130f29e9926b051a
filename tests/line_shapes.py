"""Log lines for the tests: honest ones as S3 writes them, mutated ones, and hostile ones built piece by piece."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TAIL_FIELDS = (
    *("version_id", "host_id", "signature_version", "cipher_suite", "authentication_type"),
    *("host_header", "tls_version", "access_point_arn", "acl_required", "source_region"),
)


# --- Honest records ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """What happened, before S3 wrote it down; None is what S3 writes as a dash."""

    time: datetime
    operation: str | None
    object_name: str | None
    request_uri: bytes | None
    referer: bytes | None = None
    user_agent: bytes | None = None
    quoted: bool = True
    """S3 writes URI, referer and user agent all quoted, or all as bare dashes."""
    http_status: int | None = 200
    error_code: str | None = None
    bytes_sent_size: int | None = 1024
    object_size: int | None = 1024
    total_duration: int | None = 12
    turn_around_duration: int | None = 11
    tail: tuple[str | None, ...] = ()
    """Version id to source region: as many of the ten as the layout of the time had."""
    extra: str | None = None
    """Fields after the 27th, as written."""
    offset_minutes: int = 0
    owner: str | None = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"
    bucket: str | None = "amzn-s3-demo-bucket1"
    remote_ip: str | None = "192.0.2.3"
    requester: str | None = "arn:aws:iam::123456789012:user/alice"
    request_id: str | None = "5F1A2B3C4D5E6F70"


def render(record: Record) -> bytes:
    """The record as the line that S3 writes, without its line end."""
    local = record.time + timedelta(minutes=record.offset_minutes)
    sign, (hours, minutes) = ("-" if record.offset_minutes < 0 else "+", divmod(abs(record.offset_minutes), 60))
    zone = f"{sign}{hours:02}{minutes:02}"
    day = f"{local.day:02}/{MONTHS[local.month - 1]}/{local.year:04}"
    head = [
        *(_dash(record.owner), _dash(record.bucket), f"[{day}:{local:%H:%M:%S} {zone}]", _dash(record.remote_ip)),
        *(_dash(record.requester), _dash(record.request_id), _dash(record.operation), _dash(_key_name(record))),
    ]
    block = [
        *(_dash(record.http_status), _dash(record.error_code), _dash(record.bytes_sent_size)),
        *(_dash(record.object_size), _dash(record.total_duration), _dash(record.turn_around_duration)),
    ]
    tail = [_dash(value) for value in record.tail] + ([] if record.extra is None else [record.extra])
    parts = [
        *(" ".join(head).encode(), _client(record, record.request_uri), " ".join(block).encode()),
        *(_client(record, record.referer), _client(record, record.user_agent)),
    ]
    return b" ".join(parts + ([" ".join(tail).encode()] if tail else []))


def truth(record: Record) -> dict[str, object]:
    """What a reader must find in the rendered line (parse_status and raw_line aside)."""
    columns = zip(TAIL_FIELDS, (*record.tail, *(None,) * (10 - len(record.tail))), strict=True)
    named_dash = _key_name(record) == "-"
    return {
        "bucket_owner_id": record.owner,
        "bucket_name": record.bucket,
        "request_time": record.time,
        "remote_ip": record.remote_ip,
        "requester": record.requester,
        "request_id": record.request_id,
        "operation": record.operation,
        "key_name": None if named_dash else _key_name(record),
        "request_uri": _text(record.request_uri),
        "http_status": record.http_status,
        "error_code": record.error_code,
        "bytes_sent_size": record.bytes_sent_size,
        "object_size": record.object_size,
        "total_duration": record.total_duration,
        "turn_around_duration": record.turn_around_duration,
        "referer": _text(record.referer),
        "user_agent": _text(record.user_agent),
        **dict(columns),
        "object_key": None if named_dash else record.object_name,
        "extra_fields": record.extra,
        "event_date": f"{record.time:%Y-%m-%d}",
    }


def _key_name(record: Record) -> str | None:
    if record.object_name is None:
        return None
    if (record.operation or "").startswith(("S3.", "BATCH.")):
        return quote_plus(record.object_name, safe="/")
    return quote(quote(record.object_name, safe="/"), safe="/")


def _dash(value: str | int | None) -> str:
    return "-" if value is None else str(value)


def _client(record: Record, text: bytes | None) -> bytes:
    if not record.quoted:
        return b"-"
    return b'"' + (b"-" if text is None else text) + b'"'


def _text(text: bytes | None) -> str | None:
    return None if text is None or text == b"-" else text.decode("utf-8", "replace")


MODERN = Record(
    time=datetime(2026, 7, 1, 10, 20, 30),
    operation="REST.GET.OBJECT",
    object_name="x",
    request_uri=b"GET /x HTTP/1.1",
    tail=(None, "HOST=", "SigV4", "TLS_AES", "AuthHeader", "b.example", "TLSv1.3", None, None, "us-west-2"),
)
"""A record of today's layout, 27 fields."""


# --- Hypothesis strategies --------------------------------------------------------------------------------------------

# S3 writes no LF inside a line; a token holds neither space nor quote, and its last CR would be the line end's.
_token = st.text(st.characters(codec="utf-8", exclude_characters='\n\r "', categories=("L", "N", "P", "S")), min_size=1)
_tail_value = st.none() | _token.filter(lambda text: text != "-")
_client_text = st.one_of(
    st.sampled_from([b"", b"-", b"curl/8.5.0", b"a\\b", "café \U0001f600 日本".encode(), b"GET /x HTTP/1.1"]),
    st.text(st.characters(codec="utf-8", exclude_characters='\n"'), max_size=30).map(str.encode),
    st.binary(max_size=20).map(lambda raw: raw.replace(b"\n", b"").replace(b'"', b"")),
)
_client_or_null = st.none() | _client_text
_number = st.none() | st.integers(0, 2**63 - 1) | st.sampled_from([0, 2**31, 2**63 - 1])
_operations = st.sampled_from(
    [
        *("REST.GET.OBJECT", "REST.PUT.PART", "REST.COPY.OBJECT_GET", "WEBSITE.GET.OBJECT", "SOAP.CreateBucket"),
        *("BATCH.DELETE.OBJECT", "S3.EXPIRE.OBJECT", "S3.TRANSITION_GIR.OBJECT", "S3.COMPUTE.OBJECT.CHECKSUM"),
        *("REST.OPTIONS.PREFLIGHT", None),
    ]
)
_requesters = st.sampled_from(
    [
        *(None, "AmazonS3", "svc:delivery.logs.amazonaws.com", "arn:aws:iam::123456789012:user/path/alice"),
        *("arn:aws:sts::123456789012:assumed-role/Role+Name=x,y.z@w-1/session@example.com", "a" * 64),
    ]
)
_oai = "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E2EXAMPLEID"
_object_names = st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Honest records: every layout from 17 to 30 fields, no quote in what the client sent."""
    fields = draw(st.integers(17, 30))
    quoted = draw(st.booleans() | st.just(True))
    # S3 is not known to write a bare URI without an operation; a name in the tail could then pass for the operation.
    operation = draw(_operations.filter(lambda name: quoted or name is not None))
    width = min(fields, 27) - 17
    return Record(
        time=draw(st.datetimes(datetime(2006, 3, 14), datetime(2200, 1, 1))).replace(microsecond=0),
        offset_minutes=15 * draw(st.just(0) | st.integers(-56, 56)),
        operation=operation,
        # A bare dash as the operation is looked for right after one requester, so the one with spaces needs a name.
        requester=draw(_requesters | st.just(_oai) if operation else _requesters),
        owner=draw(st.none() | st.just("79a5")),
        bucket=draw(st.none() | st.just("www.example.com")),
        remote_ip=draw(st.sampled_from([None, "192.0.2.3", "2001:db8:85a3::8a2e:370:7334"])),
        request_id=draw(st.sampled_from(["5F1A2B3C4D5E6F70", "e5042925-b524-4b3b-a869-f3881e78ff3a", "82303D395D"])),
        object_name=draw(_object_names),
        quoted=quoted,
        request_uri=draw(_client_or_null) if quoted else None,
        referer=draw(_client_or_null) if quoted else None,
        user_agent=draw(_client_or_null) if quoted else None,
        http_status=draw(st.none() | st.integers(0, 2**31 - 1)),
        error_code=draw(st.none() | st.just("AccessDenied")),
        bytes_sent_size=draw(_number),
        object_size=draw(_number),
        total_duration=draw(_number),
        turn_around_duration=draw(_number),
        tail=tuple(draw(st.lists(_tail_value, min_size=width, max_size=width))),
        extra=" ".join(draw(st.lists(_token, min_size=fields - 27, max_size=fields - 27))) if fields > 27 else None,
    )


def hostile_text() -> st.SearchStrategy[bytes]:
    """What a client can send to look like more fields than one."""
    return st.lists(st.sampled_from(PIECES) | _client_text, max_size=6).map(b"".join)


@st.composite
def forged_records(draw: st.DrawFn) -> Record:
    """True records of 2026, 27 fields, whose three client fields are hostile."""
    return replace(
        MODERN,
        request_uri=draw(hostile_text() | st.just(MODERN.request_uri)),
        referer=draw(hostile_text() | st.none()),
        user_agent=draw(hostile_text() | st.just(b"curl/8.5.0")),
        http_status=403,
        tail=(*MODERN.tail[:7], *draw(st.sampled_from([(None, None, None), ("a:b", "Yes", "us-west-2")]))),
    )


@st.composite
def mutated_lines(draw: st.DrawFn) -> bytes:
    """Rendered records, honest or forged, with a few edits: the lines that no client and no S3 would write."""
    line = render(draw(records() | forged_records()))
    for _ in range(draw(st.integers(1, 4))):
        spots = [0, len(line), *(i + d for i, byte in enumerate(line) if byte in b' "[]' for d in (0, 1))]
        at = draw(st.sampled_from(spots))
        to = draw(st.sampled_from(spots))
        edit = draw(st.sampled_from(["insert", "drop", "cut", "double", "move", "byte"]))
        if edit == "insert":
            line = line[:at] + draw(st.sampled_from(PIECES)) + line[at:]
        elif edit == "drop":
            line = line[:at] + line[at + 1 :]
        elif edit == "cut":
            line = line[: draw(st.integers(0, len(line)))]
        elif edit == "double":
            line = line[: max(at, to)] + line[min(at, to) :]
        elif edit == "move":
            line = line[: min(at, to)] + line[max(at, to) :]
        else:
            line = line[:at] + draw(st.binary(min_size=1, max_size=2)) + line[at:]
    return line.replace(b"\n", b" ")


# --- Constructed lines ------------------------------------------------------------------------------------------------

_BLOCK = b'" 200 - 9 9 9 9 "'
_TAIL = b'" - H SigV2 C AuthHeader h.example TLSv1 - - us-east-1'


def _each(text: bytes) -> tuple[bytes, ...]:
    """The shapes of a table below: `|` stands between them, `BLOCK` and `TAIL` for the forged ones above."""
    return tuple(text.replace(b"BLOCK", _BLOCK).replace(b"TAIL", _TAIL).split(b"|"))


PIECES: tuple[bytes, ...] = (
    *_each(b'|"| "|" |" "|""|"""| |  |-|"-"|\\"|\\|x|a b| HTTP/1.1|GET /y HTTP/1.1|GET /y HTTP/1.1" '),
    *_each(b'BLOCK| 200 - 9 9 9 9 "|" 200 - 9 9 9 9 |BLOCK-" "|" 403 AccessDenied 1 - - - "-" "|" - - - - - - "'),
    *_each(b'" 2147483648 - 9 9 9 9 "|" 200 - 9223372036854775808 9 9 9 "|" 200 - 9 9 9 "|" 200  - 9 9 9 9 "'),
    *_each(b'" 20O - 9 9 9 9 "|" 200 "-" 9 9 9 9 "|" -|" - "|" - H SigV2 C|" - H SigV2 C A|" - H SigV2 C A h "'),
    *_each(b'" - H SigV2 C A h|" - H SigV2 C A h T - "|TAIL|TAIL "|TAIL "q" "|TAIL z "|TAIL z"|TAIL "q"r" z'),
    *_each(b'BLOCK-" "spoofTAIL "|BLOCK-" "spoof" -|BLOCK-" "spoofTAIL z'),
    *(b"", b"\xff", b"\xe3\x81", "é\u2028\x85".encode(), b"\t", b"\r", b"\0", b"\x0b\x0c"),
)
"""What hostile text is made of: quotes and spaces, forged status blocks, tails and whole records, raw bytes."""

_TIMES = _each(
    b"06/Feb/2014:00:00:38 +0000|31/Dec/2019:23:59:59 +0000|01/Jan/2020:00:30:00 +0100|"
    b"01/Jan/2020:00:00:00 +0000|01/Jul/2026:10:20:30 +0000|01/Jul/2026:10:20:30 -0530"
)
_ODD_TIMES = _each(
    b"29/Feb/2024:23:59:60 +0000|29/Feb/2024:18:59:60 -0500|29/Feb/2024:22:59:60 +0000|31/Foo/2026:10:20:30 +0000|"
    b"30/Feb/2026:10:20:30 +0000|13/Mar/2006:23:59:59 +0000|14/Mar/2006:00:00:00 +0000|01/Jul/2026:24:00:00 +0000|"
    b"1/Jul/2026:1:2:3||01/Jul/2026:10:20:30|01/Jul/2026:10:20:30 +0060|01/Jul/2026:10:20:30 +2400"
)
_FULL = b" - HOST= SigV4 TLS_AES AuthHeader s3.example TLSv1.3 - - us-west-2"
_LAYOUTS = (
    *(b"".join(b" " + token for token in _FULL.split()[:width]) for width in (0, 1, 2, 5, 6, 7, 8, 9, 10, 10)),
    *(_FULL + b" fieldX", _FULL + b' fieldX "quoted future field" -'),
)
_ODD_TAILS = (
    *_each(b' "-"| - "HOST="| - HO"ST| -"|"| "|- HOST|" - HOST|  -  HOST | \t| - HOST\xff'),
    *(_FULL + extra for extra in _each(b' "a"b" c| "a" b"c| "| ""|  x  y | "x| x"| -|"')),
)
_HEADS = _each(b" REST.GET.OBJECT x | REST.PUT.OBJECT a%2520b | S3.EXPIRE.OBJECT a+b | REST.GET.OBJECT - ")
_ODD_HEADS = _each(
    b' - x | - - | - a.b | GET x | REST.GET.OBJECT | REST.GET.OBJECT x| a.b c.d e.f |  REST.X x  | REST.GET.OBJECT "x" |'
    b" REST.GET.OBJECT x - | A.B - - | REST..GET x | BATCH.DELETE.OBJECT x y | Z REST.GET.OBJECT %25ZZ |"
    b" a b REST.GET.OBJECT %25FF | REST.GET.OBJECT \xc3\xa9 | REST.GET.OBJECT 100% | a  b REST.GET.OBJECT x "
)
_BLOCKS = _each(b" 200 - 1 2 3 4 | 403 AccessDenied 243 - 8 - | - - - 9 - - ")
_ODD_BLOCKS = _each(
    b" 20O - 1 2 3 4 | 200 - 1 2 3 | 200 - 1 2 3 4 5 |  200 - 1 2 3 4 | 200 -  1 2 3 4 | 200 - 1 2 3 4  |"
    b" 2147483648 - 1 2 3 4 | 2147483647 - 9223372036854775807 0 007 4 | 200 - 9223372036854775808 2 3 4 |"
    b" 200 - 00000000000000000001 2 3 4 | 0000000000000000200 - 1 2 3 4 |"
    b' +20 - 1 2 3 4 | 200 - -1 2 3 4 | 200 - 1.5 2 3 4 | 200 "-" 1 2 3 4 | 200 a"b 1 2 3 4 |200 - 1 2 3 4 |'
    b" 200 - 1 2 3 4| || 200| \xd9\xa3 - 1 2 3 4 | 200 - 1 2\t 3 4 "
)
_SEPARATORS = _each(b" | | | | | ||  |\t")
_STARTS = _each(b"|||||||\xef\xbb\xbf|  ")
_ENDS = _each(b"||||||\r| | \r\r ")

_OWNER = b"79a59df900b949e5 bucket "
_WHO = b"192.0.2.3 arn:aws:iam::123456789012:user/alice "


def constructed_lines(count: int, *, seed: int) -> Iterator[bytes]:
    """`count` distinct lines, the same for the same seed.

    A third takes every pair of pieces in turn, at times with one more, into one field of a line that S3 wrote; a third
    puts two into each of the three; a third bends the frame too: bare beside quoted fields, odd tails, heads and blocks.
    """
    rng = random.Random(seed)
    pairs = [(field, one, other) for field in range(3) for one in PIECES for other in PIECES]
    rng.shuffle(pairs)
    seen: set[bytes] = set()
    for turn in itertools.count():
        if len(seen) == count:
            return
        if turn % 3 == 0:
            line = _one_field(rng, *pairs[turn // 3 % len(pairs)])
        else:
            line = _three_fields(rng) if turn % 3 == 1 else _bent_frame(rng)
        digest = blake2b(line, digest_size=8).digest()
        if digest not in seen:
            seen.add(digest)
            yield line


def plain_lines(count: int, *, seed: int) -> Iterator[bytes]:
    """`count` honest lines of today's layout, for hostile ones to hide among."""
    rng = random.Random(seed)
    for number in range(count):
        who = b"192.0.2.%d %s %016X" % (number % 250, rng.choice((b"-", b"arn:aws:iam::1:user/a")), number)
        referer = rng.choice((b"-", b"https://e.example/"))
        yield _frame(rng, who, b"GET /x HTTP/1.1", referer, b"curl/8.%d" % (number % 9))


def _frame(rng: random.Random, who: bytes, uri: bytes, referer: bytes, agent: bytes) -> bytes:
    parts = (_OWNER, b"[", rng.choice(_TIMES), b"] ", who, rng.choice(_HEADS), b'"', uri, b'"', rng.choice(_BLOCKS))
    return b"".join((*parts, b'"', referer, b'" "', agent, b'"', rng.choice(_LAYOUTS)))


def _one_field(rng: random.Random, field: int, one: bytes, other: bytes) -> bytes:
    fields = [b"GET /x HTTP/1.1", b"-", b"curl/8.5.0"]
    fields[field] = one + other + rng.choice((b"", rng.choice(PIECES)))
    return _frame(rng, _WHO + b"R1", *fields)


def _three_fields(rng: random.Random) -> bytes:
    pieces = rng.choices(PIECES, k=6)
    uri = b"".join((rng.choice((b"GET /x", b"GET /x HTTP/1.1", b"")), *pieces[:2], rng.choice((b"", b" HTTP/1.1"))))
    return _frame(rng, _WHO + b"R1", uri, b"".join(pieces[2:4]), b"".join(pieces[4:]))


def _bent_frame(rng: random.Random) -> bytes:
    def pick(usual: tuple[bytes, ...], odd: tuple[bytes, ...]) -> bytes:
        return rng.choice(usual if rng.random() < 0.8 else odd)

    def client() -> bytes:
        text = rng.choice(PIECES if rng.random() < 0.4 else (b"GET /x HTTP/1.1", b"-", b"curl"))
        form = rng.randrange(10)
        if form < 5:
            return b'"' + text + b'"'
        return (b"-", b"-", b"bare", b'"' + text, text + b'"')[form - 5]

    head = (rng.choice(_STARTS), _OWNER, b"[", pick(_TIMES, _ODD_TIMES), b"] ", _WHO, b"R1", pick(_HEADS, _ODD_HEADS))
    body = (client(), pick(_BLOCKS, _ODD_BLOCKS), client(), rng.choice(_SEPARATORS), client())
    return b"".join((*head, *body, pick(_LAYOUTS, _ODD_TAILS), rng.choice(_ENDS)))


EDITS = tuple(bytes([byte]) for byte in b' "\t\r\0\xff-[].:+%069Z')


def single_edits(line: bytes) -> Iterator[bytes]:
    """The line with one byte left out, put in or replaced, at every place."""
    for place in range(len(line)):
        yield line[:place] + line[place + 1 :]
        yield from (line[:place] + byte + line[place:] for byte in EDITS)
        yield from (line[:place] + byte + line[place + 1 :] for byte in EDITS)


def log_object(lines: list[bytes], *, seed: int) -> bytes:
    """The lines as one object: LF and CRLF, blank lines between, a byte order mark in front, no last LF at times."""
    rng = random.Random(seed)
    parts: list[bytes] = [rng.choice((b"", b"\xef\xbb\xbf"))]
    for line in lines:
        parts += (line, rng.choice((b"\n", b"\n", b"\n", b"\r\n", b"\n\n", b"\n  \r\n")))
    return b"".join(parts).removesuffix(b"\n") if rng.random() < 0.5 else b"".join(parts)
