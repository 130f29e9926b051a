"""Every line of the corpus gives what its PROVENANCE.md says.

Three layers: the published lines are rows; each synthetic line equals a table written by hand from its description; all
142 lines equal ``golden/corpus.json``. ``python tests/test_corpus.py`` writes that file anew, from the oracle, never
from the package; read the difference before committing it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import pytest
from oracle import WIRE, OracleObject, Row, Value, oracle_line, oracle_object, oracle_readings

import etl

CORPUS = Path(__file__).parent / "corpus"
GOLDEN = Path(__file__).parent / "golden" / "corpus.json"
SYNTHETIC = "synthetic-edge.log"
FILES = sorted(path.name for path in CORPUS.glob("*.log"))
PUBLISHED = [name for name in FILES if name != SYNTHETIC]
COLUMNS = (*WIRE, "object_key", "extra_fields", "parse_status", "raw_line", "event_date")


def _package(name: str) -> OracleObject:
    """The file as the package reads it, in the oracle's shape."""
    parsed = etl.parse((CORPUS / name).read_bytes(), source_key=name)
    rows = [(row["line_no"], {column: row[column] for column in COLUMNS}) for row in parsed.table.to_pylist()]
    # A reason is a code of docs/parsing.md, and may go on after a colon.
    refused = [(row["line_no"], row["reason"].split(":")[0], row["raw_line"]) for row in parsed.quarantine.to_pylist()]
    return OracleObject(rows, refused, parsed.lines)


def _oracle(name: str) -> OracleObject:
    return oracle_object((CORPUS / name).read_bytes())


def _line(number: int) -> bytes:
    return (CORPUS / SYNTHETIC).read_bytes().split(b"\n")[number - 1]


Reader = Callable[[str], OracleObject]
READERS = pytest.mark.parametrize("read", [_package, _oracle], ids=["package", "oracle"])


# --- Published lines --------------------------------------------------------------------------------------------------

PUBLISHED_LINES = {
    "atlantis-2026-27fields.log": 2,
    "aws-docs-2014-18fields.log": 5,
    "aws-docs-2023-26fields.log": 5,
    "aws-docs-2026-27fields.log": 3,
    "dandi-s3-log-parser.log": 11,
    "hive-s3logdeserializer.log": 2,
    "lnav-matomo.log": 2,
    "logstash-patterns-core.log": 3,
    "nekrassov-access-log-parser.log": 5,
    "public-issues.log": 7,
    "s3logaudit.log": 3,
}

# (file, line): what the provenance table singles out. Every other published line is clean.
_WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
_IPAD = "Mozilla/5.0 (iPad; CPU OS 13_1 like Mac OS X)"
_PHP = (
    r"//?s=index/\think\template\driver\file/write&cacheFile=robots.php&content=xbshell1<?php$password%20=%20"
    r""""xinba";$ch%20=%20explode(".","hello.ass.world.er.t");"""
    "array_intersect_ukey(array($_REQUEST[$password]%20=>%201),%20array(1),%20$ch[1].$ch[3].$ch[4]);?>"
)
PUBLISHED_VALUES: dict[tuple[str, int], Mapping[str, Value]] = {
    ("atlantis-2026-27fields.log", 1): {"source_region": None, "remote_ip": "xx.xx.41.39"}
    | {"cipher_suite": "TLS_CHACHA20_POLY1305_SHA256", "operation": "REST.OPTIONS.PREFLIGHT"}
    | {"host_id": "z6uFa0AzIZyZEnXwUERc/uZizyBwFwzP36L7dyKP4Wf84zTwlvwCJrzT+dhyY9GbBW/h+eIVLIgtYF2448YcoVsf6kdzPUv5"},
    ("atlantis-2026-27fields.log", 2): {"source_region": "us-east-2", "host_id": "0e...B4lA="},
    ("aws-docs-2014-18fields.log", 5): {"version_id": None, "host_id": None, "object_key": "s3-dg.pdf"},
    ("aws-docs-2023-26fields.log", 3): {"acl_required": "Yes", "extra_fields": None, "source_region": None},
    ("aws-docs-2026-27fields.log", 1): {"acl_required": "Yes", "source_region": "us-east-1"},
    ("aws-docs-2026-27fields.log", 3): {
        "access_point_arn": "arn:aws-cn:s3:us-west-1:123456789012:accesspoint/example-AP"
    },
    ("dandi-s3-log-parser.log", 1): {"requester": None, "user_agent": None, "access_point_arn": None},
    ("dandi-s3-log-parser.log", 7): {"object_size": 422868123111}
    | {"user_agent": f'"{_WINDOWS} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/67.0.3396.99 Safari/537.36'},
    ("dandi-s3-log-parser.log", 9): {"key_name": "/", "object_key": "/", "error_code": "NoSuchKey"}
    | {"request_uri": f"GET {_PHP} HTTP/1.1", "referer": f"https://dandiarchive.s3.amazonaws.com{_PHP}"}
    | {"user_agent": "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)"},
    ("dandi-s3-log-parser.log", 11): {"cipher_suite": "TLS_AES_128_GCM_SHA256", "tls_version": "TLSv1.3"},
    ("nekrassov-access-log-parser.log", 3): {"host_header": "awsrandombucket59.s3.us-west-1.amazonaws.com"},
    ("nekrassov-access-log-parser.log", 4): {"parse_status": "short", "signature_version": "SigV2"}
    | {"authentication_type": "AuthHeader", "host_header": None},
    ("lnav-matomo.log", 1): {"request_time": datetime(2012, 2, 10, 21, 42, 7), "version_id": None}
    | {"operation": "WEBSITE.GET.OBJECT"},
    ("lnav-matomo.log", 2): {"signature_version": "SigV2", "tls_version": "TLSV1.1"},
    ("logstash-patterns-core.log", 2): {"bucket_owner_id": "79a5", "http_status": 304, "bytes_sent_size": None},
    ("logstash-patterns-core.log", 3): {"requester": "arn:aws:iam::123456:user/test@elastic.co"}
    | {"signature_version": "SigV2"},
    ("s3logaudit.log", 2): {"operation": "S3.TRANSITION.OBJECT", "request_uri": None, "http_status": None},
    ("s3logaudit.log", 3): {"operation": "REST.COPY.OBJECT_GET", "request_uri": None, "object_size": 150260968},
    ("hive-s3logdeserializer.log", 1): {"operation": "REST.COPY.OBJECT_GET", "user_agent": None, "http_status": 200},
    ("hive-s3logdeserializer.log", 2): {"request_uri": "GET /?prefix=&max-keys=1000&delimiter=%2f HTTP/1.1"},
    ("public-issues.log", 1): {"request_uri": 'GET /" HTTP/1.1', "object_key": '"', "referer": "referer test"},
    ("public-issues.log", 2): {"host_id": "someIDstring"}
    | {"user_agent": f'{_IPAD} AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0.1 Mobile/15E148 Safari/604.1"'},
    ("public-issues.log", 3): {"parse_status": "short", "operation": "S3.EXPIRE.OBJECT", "object_size": 440561},
}


@READERS
def test_published_lines_are_rows(read: Reader) -> None:
    assert sorted(PUBLISHED_LINES) == PUBLISHED
    assert sum(PUBLISHED_LINES.values()) == 48
    for name, lines in PUBLISHED_LINES.items():
        found = read(name)
        assert (found.lines, [number for number, _ in found.rows]) == (lines, list(range(1, lines + 1))), name
        for number, row in found.rows:
            wanted: Row = {"parse_status": "clean", **PUBLISHED_VALUES.get((name, number), {})}
            assert {column: row[column] for column in wanted} == wanted, (name, number)


# --- Synthetic lines --------------------------------------------------------------------------------------------------

_HOST = "s9lzHYrFp76ZVxRcpX9+5cjAnEH2ROuNkd2BHfIa6UkFVdtjf5mKR3/eTPFvsiP/XV/VLi31234="
_ENDPOINT = "amzn-s3-demo-bucket1.s3.us-west-2.amazonaws.com"

# Line 2, and what most lines change a little of.
USUAL: Row = {
    "bucket_owner_id": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be",
    "bucket_name": "amzn-s3-demo-bucket1",
    "request_time": datetime(2026, 7, 1, 10, 20, 30),
    "remote_ip": "192.0.2.3",
    "requester": "arn:aws:iam::123456789012:user/alice",
    "request_id": "5F1A2B3C4D5E6F70",
    "operation": "REST.GET.OBJECT",
    "key_name": "photos/a.jpg",
    "request_uri": "GET /photos/a.jpg HTTP/1.1",
    "http_status": 200,
    "error_code": None,
    "bytes_sent_size": 1024,
    "object_size": 1024,
    "total_duration": 12,
    "turn_around_duration": 11,
    "referer": None,
    "user_agent": "curl/8.5.0",
    "version_id": None,
    "host_id": _HOST,
    "signature_version": "SigV4",
    "cipher_suite": "TLS_AES_128_GCM_SHA256",
    "authentication_type": "AuthHeader",
    "host_header": _ENDPOINT,
    "tls_version": "TLSv1.3",
    "access_point_arn": None,
    "acl_required": None,
    "source_region": None,
    "object_key": "photos/a.jpg",
    "extra_fields": None,
    "parse_status": "clean",
    "raw_line": None,
    "event_date": "2026-07-01",
}


def _op(operation: str, key: str | None, decoded: str | None) -> Row:
    return {"operation": operation, "key_name": key, "object_key": decoded}


def _get(key: str, decoded: str | None, target: str) -> Row:
    return _op("REST.GET.OBJECT", key, decoded) | {"request_uri": f"GET {target} HTTP/1.1"}


def _numbers(status: int | None, error: str | None, sent: int | None, size: int | None) -> Row:
    return {"http_status": status, "error_code": error, "bytes_sent_size": sent, "object_size": size}


def _times(total: int | None, turn_around: int | None) -> Row:
    return {"total_duration": total, "turn_around_duration": turn_around}


def _signed(version: str | None, how: str | None) -> Row:
    return {"signature_version": version, "authentication_type": how}


def _tls(version: str | None, cipher: str | None) -> Row:
    return {"tls_version": version, "cipher_suite": cipher}


def _agent(text: str) -> Row:
    return {"user_agent": text}


def _kept(number: int, status: str) -> Row:
    """The status of a row that is not clean, with the line itself."""
    return {"parse_status": status, "raw_line": _line(number).decode()}


_NO_CLIENT: Row = {"request_uri": None, "referer": None, "user_agent": None}
_NO_TAIL = _signed(None, None) | _tls(None, None) | {"host_header": None}
_INTERNAL = _NO_CLIENT | _NO_TAIL | {"remote_ip": None, "requester": None}
_LIFECYCLE = _INTERNAL | _numbers(None, None, None, None) | _times(None, None) | {"requester": "AmazonS3"}
_BARE = _NO_CLIENT | _times(None, None) | {"bytes_sent_size": None}
_ANONYMOUS = _signed(None, None) | {"requester": None}
_DENIED = _ANONYMOUS | _numbers(403, "AccessDenied", 243, None) | _times(8, None)
_WEST_2: Row = {"source_region": "us-west-2"}
_PRESIGNED = "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=75eBWlMvIpO357%2FqKLdn0sZRP08%3D&Expires=1364127776"
_SPOOF = '" 200 - 9 9 9 9 "-" "spoof" - '

# line: what differs from USUAL, or the reason of its quarantine. In the order and the words of PROVENANCE.md.
EXPECTED: dict[int, Mapping[str, Value] | str] = {
    1: _WEST_2,
    2: {},
    3: {},
    4: {},
    5: {},
    6: {"tls_version": None},
    7: _NO_TAIL | {"host_id": None},
    8: _NO_TAIL | {"host_id": None},
    9: _WEST_2 | {"extra_fields": "fieldX"},
    10: _WEST_2 | {"extra_fields": 'fieldX "quoted future field" -'},
    11: _WEST_2,
    12: _WEST_2,
    13: {},
    14: _LIFECYCLE
    | _op("S3.EXPIRE.OBJECT", "logs/2020-01-11", "logs/2020-01-11")
    | {"object_size": 3922, "version_id": "DkKg9NTmHopKgqKMcgjFyf4oujClO4J1"}
    | {"host_id": "JFLmDHDLlTpiqmG5NECMOIsZfzN2Mki0OqHGVbsP20tAVq3176HcY0/F8Y9ONTth"},
    15: _LIFECYCLE | _op("S3.CREATE.DELETEMARKER", "logs/old", "logs/old"),
    16: _LIFECYCLE | _op("S3.TRANSITION_GIR.OBJECT", "a", "a") | {"object_size": 737028378},
    17: _LIFECYCLE | _op("S3.DELETE.UPLOAD", "big.bin", "big.bin"),
    18: _INTERNAL
    | _op("S3.COMPUTE.OBJECT.CHECKSUM", "data/part-0", "data/part-0")
    | {"requester": USUAL["requester"], "request_id": "e5042925-b524-4b3b-a869-f3881e78ff3a", "bytes_sent_size": None},
    19: _BARE
    | _op("BATCH.DELETE.OBJECT", "Screen+Shot+2026.png", "Screen Shot 2026.png")
    | _numbers(204, None, None, 57138)
    | _WEST_2,
    20: _BARE | _op("REST.COPY.OBJECT_GET", "src/a.csv", "src/a.csv") | {"object_size": 150260968},
    21: _BARE | _op("REST.COPY.PART_GET", "src/a.csv", "src/a.csv"),
    22: _op("REST.COPY.OBJECT_GET", "photos/2019/08/puppy.jpg", "photos/2019/08/puppy.jpg")
    | {"request_uri": "GET /amzn-s3-demo-bucket1/photos/2019/08/puppy.jpg?x-foo=bar"},
    23: _op("SOAP.CreateBucket", None, None) | {"request_uri": "POST /soap/ HTTP/1.1", "user_agent": "Axis/1.3"},
    24: _ANONYMOUS
    | _get("index.html", "index.html", "/index.html")
    | _numbers(301, "MovedPermanently", 1024, 1024)
    | _tls(None, None)
    | {"operation": "WEBSITE.GET.OBJECT", "host_header": "www.example.com.s3-website-us-west-2.amazonaws.com"},
    25: _ANONYMOUS
    | _op("REST.OPTIONS.PREFLIGHT", None, None)
    | _numbers(200, None, None, None)
    | _tls("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256")
    | {"request_uri": "OPTIONS /amzn-s3-demo-bucket1 HTTP/1.1"},
    26: {"requester": "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E2EXAMPLEID"}
    | {"request_id": "7A8B9C0D1E2F3A4B"},
    27: _op("REST.PUT.OBJECT", *["AWSLogs/123456789012/vpcflowlogs/x.log.gz"] * 2)
    | {"request_uri": "PUT /AWSLogs/123456789012/vpcflowlogs/x.log.gz HTTP/1.1", "user_agent": None}
    | {"remote_ip": None, "requester": "svc:delivery.logs.amazonaws.com"},
    28: {"requester": "arn:aws:sts::123456789012:assumed-role/Role+Name=x,y.z@w-1/session@example.com"},
    29: {"requester": "arn:aws-us-gov:iam::123456789012:user/path/to/alice", "source_region": "us-gov-west-1"}
    | {"host_header": "amzn-s3-demo-bucket1.s3.us-gov-west-1.amazonaws.com"},
    30: {"remote_ip": "2001:db8:85a3::8a2e:370:7334"},
    31: _get("%2522", '"', '/"') | _numbers(403, "AccessDenied", 243, None),
    32: _BARE | _op("BATCH.DELETE.OBJECT", "foo-%2525Y", "foo-%25Y") | {"http_status": 204},
    33: _LIFECYCLE | _op("S3.EXPIRE.OBJECT", "foo-%2525Y", "foo-%25Y") | {"object_size": 1024},
    34: _get("foo-%2525Y", "foo-%Y", "/foo-%25Y"),
    35: _get(
        "caf%25C3%25A9/%25E6%2597%25A5%25E6%259C%25AC.txt",
        "caf\u00e9/\u65e5\u672c.txt",
        "/caf%C3%A9/%E6%97%A5%E6%9C%AC.txt",
    ),
    36: _get("a%252Bb%2520c", "a+b c", "/a%2Bb%20c"),
    37: _get("bad%25FFbyte", None, "/bad%FFbyte"),
    38: _get("100%", None, "/100%") | _numbers(400, "InvalidURI", 280, None),
    39: {"key_name": None, "object_key": None, "request_uri": "GET /- HTTP/1.1"},
    40: _get("/", "/", "//") | _numbers(404, "NoSuchKey", 272, None),
    41: _agent('"Mozilla/5.0 (Windows NT 10.0)'),
    42: _agent('Mozilla/5.0 (iPad)"'),
    43: _agent('Dalvik/2.1.0 (Alba 10" Build/LMY47I)'),
    44: _agent('a\\"b\\\\'),
    45: {"referer": 'http://e.example/?id=452"'},
    46: {"referer": 'foo "bar" baz', "user_agent": 'x "y" z'},
    47: _kept(47, "ambiguous") | {"referer": "a", "user_agent": 'b" "c'},
    48: {"referer": "", "user_agent": ""},
    49: _get("a", "a", '/a?f="x.json"&y=1'),
    50: _get("a%2520b%2520%2520c", "a b  c", "/a b  c"),
    51: _DENIED | _get("x", "x", "/x" + _SPOOF.rstrip()) | _kept(51, "ambiguous"),
    52: _DENIED | _get("x", "x", "/x") | _agent('y HTTP/1.1" 200 - 9 9 9 9 "-" "z') | _kept(52, "ambiguous"),
    53: _get("x", "x", "/x")
    | _agent('u" - FORGEDHOSTID SigV2 AES128-SHA AuthHeader evil.example TLSv1 - - us-east-1 '),
    54: _DENIED
    | _get("x", "x", f'/x HTTP/1.1{_SPOOF}H SigV4 C AuthHeader h.example TLSv1.2 - - us-east-1 "')
    | _kept(54, "ambiguous"),
    55: _agent("caf\u00e9 \U0001f600"),
    56: _agent("caf\ufffd") | {"raw_line": _line(56).decode("utf-8", "backslashreplace")},
    57: _op("REST.HEAD.OBJECT", "%25EF%25BF%25BD%25C2%25BD.rar", "\ufffd\u00bd.rar")
    | _numbers(403, "SignatureDoesNotMatch", None, None)
    | {"request_uri": "HEAD /\ufffd\u00bd.rar HTTP/1.1"},
    58: _agent("tab\there\x01\x7f"),
    59: _agent("v\x0b\x0cff\x85nel\u2028ls"),
    60: _agent("cr\rinside"),
    61: _agent("nul\0byte"),
    62: _agent("A" * 8000),
    63: _get("%25E3%2581%2582" * 113, "\u3042" * 113, "/" + "%E3%81%82" * 113),
    64: _numbers(200, None, 54975581388800, 54975581388800) | _times(86400000, 4294967296),
    65: _numbers(200, None, 0, 0) | _times(0, 0),
    66: {"http_status": None},
    67: _numbers(206, None, 10, 100),
    68: _signed("SigV2", "QueryString")
    | _tls("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256")
    | {"request_uri": f"GET /photos/a.jpg?{_PRESIGNED} HTTP/1.1"},
    69: _signed("SigV2", "AuthHeader") | _tls("TLSv1", "AES128-SHA") | {"host_header": "s3.amazonaws.com"},
    70: _ANONYMOUS | _agent("SigV2"),
    71: _signed("SigV4A", "AuthHeader")
    | {"host_header": "mfzwi23gnjvgw.mrap.accesspoint.s3-global.amazonaws.com"}
    | {"access_point_arn": "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"},
    72: {"access_point_arn": "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/olap-1"},
    73: _tls("INVALID_RELAY_TLS_VERSION", None),
    74: _tls("TLSV1.2", "ECDHE-RSA-AES128-GCM-SHA256"),
    75: {"acl_required": "Yes"},
    76: {"acl_required": "Maybe"},
    77: {"http_status": 503, "error_code": "XMinioServerNotInitialized"},
    78: _signed("SigV4", "POST"),
    79: {"version_id": "null"},
    80: {"request_id": "0A49CE4060975EAC4"},
    81: {"request_id": "82303D395D"},
    82: {"bucket_owner_id": None, "bucket_name": None},
    83: {"request_uri": "GET /photos/a.jpg?x-user=johndoe&x-note=a%20b HTTP/1.1"},
    84: _op("REST.UNKNOWN.UNKNOWN", None, None)
    | _numbers(405, "MethodNotAllowed", 1024, 1024)
    | {"request_uri": "PRI * HTTP/2.0"},
    85: {"request_time": datetime(2012, 2, 10, 21, 42, 7), "event_date": "2012-02-10"},
    86: {"request_time": datetime(2024, 3, 1), "event_date": "2024-03-01"},
    87: "bad_time",
    90: "not_a_log_line",
    91: _NO_TAIL | {"host_id": "s9lzHYrFp76ZVxRcpX9+5c"} | _kept(91, "short"),
    92: "cut_line",
    93: {},
    94: "json_record",
    95: "bad_number",
    96: "bad_number",
}


@READERS
def test_synthetic_lines_give_what_their_description_says(read: Reader) -> None:
    found = read(SYNTHETIC)
    seen: dict[int, Row | str] = dict(found.rows) | {number: reason for number, reason, _ in found.quarantined}
    assert found.lines == len(EXPECTED) == 94
    assert seen.keys() == EXPECTED.keys()
    assert not {88, 89} & seen.keys()  # the blank lines
    for number, wanted in EXPECTED.items():
        assert seen[number] == (wanted if isinstance(wanted, str) else {**USUAL, **wanted}), number
    assert all(line == _line(number) for number, _, line in found.quarantined)


@pytest.mark.parametrize(
    ("number", "readings"), [(47, 2), (51, 3), (52, 3), (54, 4), (53, 1), (41, 1), (46, 1), (10, 2)]
)
def test_hostile_lines_have_so_many_readings(number: int, readings: int) -> None:
    assert len(oracle_readings(_line(number))) == readings


# --- Golden file ------------------------------------------------------------------------------------------------------


def _as_golden(result: Row | str) -> dict[str, object]:
    if isinstance(result, str):
        return {"quarantined": result}
    present = {name: value for name, value in result.items() if value is not None}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in present.items()}


def _entries(name: str, found: OracleObject) -> dict[str, dict[str, object]]:
    results: dict[int, Row | str] = dict(found.rows) | {number: reason for number, reason, _ in found.quarantined}
    return {f"{name}:{number}": _as_golden(results[number]) for number in sorted(results)}


@READERS
def test_every_line_equals_the_golden_file(read: Reader) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert len(golden) == 142
    found = {key: entry for name in FILES for key, entry in _entries(name, read(name)).items()}
    assert found.keys() == golden.keys()
    for key, entry in golden.items():
        assert found[key] == entry, key


def test_a_line_alone_reads_as_it_does_in_its_object() -> None:
    for name in FILES:
        for number, row in _oracle(name).rows:
            assert oracle_line((CORPUS / name).read_bytes().split(b"\n")[number - 1]) == row


if __name__ == "__main__":
    every = {key: entry for name in FILES for key, entry in _entries(name, _oracle(name)).items()}
    GOLDEN.write_text(json.dumps(every, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
