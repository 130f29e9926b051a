"""Every SQL detection: what must hit, and the nearest cases that must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from detect_rows import SECRET, make_rows
from query_lake import as_remote, connect_rows, random_rows, snapshot_of, write_compacted, write_raw

from etl.detect import SEVERITIES, detect_sigv2
from etl.parse import parse
from etl.query import Query, bind, connect, find_query, list_queries, run_query, to_duckdb
from etl.schema import SCHEMA

DETECTIONS = [query for query in list_queries() if query.name.startswith("detections/")]
NAMES = [query.name.removeprefix("detections/") for query in DETECTIONS]
NEWEST = "2024-05-02"
CONTRACT = ["source_key", "line_no", "requests", "first_request", "last_request"]
Row = dict[str, Any]

ANONYMOUS: Row = {"requester": None, "signature_version": None, "authentication_type": None}
AMBIGUOUS: Row = {"parse_status": "ambiguous", "raw_line": 'x "a" "b" - H SigV4 C'}


def guess(*statuses: int) -> Row:
    """An ambiguous row with a reading of each status: the first is said after the URI, the others in what the client sent."""
    said = "".join(f' {status} - 1 - 7 - "-" "a HTTP/1.1"' for status in statuses[1:])
    line = f'o b [t] ip - r OP k "PUT /k HTTP/1.1" {statuses[0]} - 1 - 7 - "-" "a HTTP/1.1"{said} "b" - H SigV4 C'
    return {"parse_status": "ambiguous", "raw_line": line, "http_status": None}


OTHER: Row = {"requester": "arn:aws:iam::123456789012:user/bob"}
DENIED: Row = {"http_status": 403, "error_code": "AccessDenied"}
DELETE: Row = {"operation": "REST.DELETE.OBJECT", "http_status": 204}
PRESIGNED: Row = {"authentication_type": "QueryString"}
FORGED_TAIL = 'u" - H SigV2 AES128-SHA AuthHeader evil.example TLSv1 - - us-east-1 "'


def presigned(query: str, **values: Any) -> Row:
    return PRESIGNED | {"request_uri": f"GET /k?{query} HTTP/1.1"} | values


def find(connection: Any, name: str, **values: str) -> list[tuple[int, int]]:
    """(line_no, requests) of each finding, in their order."""
    sql = to_duckdb(bind(find_query(f"detections/{name}"), values, newest_day=NEWEST))
    table = run_query(connection, sql).read_all()
    assert table.column_names[: len(CONTRACT)] == CONTRACT
    assert [str(kind) for kind in table.schema.types[:5]] == [
        "string",
        "int64",
        "int64",
        "timestamp[ms]",
        "timestamp[ms]",
    ]
    assert set(table.schema.types) <= {pa.string(), pa.int32(), pa.int64(), pa.timestamp("ms"), pa.bool_()}
    assert all(row["first_request"] <= row["last_request"] for row in table.to_pylist())
    return list(zip(table.column("line_no").to_pylist(), table.column("requests").to_pylist(), strict=True))


CASES: list[tuple[str, dict[str, str], list[Row], list[tuple[int, int]]]] = [
    (
        "sigv2",
        {},
        [
            {"signature_version": "SigV2"},
            {"signature_version": "SigV4"},
            {"signature_version": None, "user_agent": "SigV2"},
            {"signature_version": "SigV2", "parse_status": "short", "raw_line": '"-" "a" - h SigV2 - '},
            {"signature_version": "SigV2", "parse_status": "short", "raw_line": '"-" "a" - h SigV2 '},
            AMBIGUOUS | {"signature_version": "SigV2"},
            {"signature_version": "SigV2A"},
        ],
        [(1, 1), (4, 1)],
    ),
    (
        "sigv2_undecidable",
        {},
        [
            {"signature_version": "SigV2"},
            AMBIGUOUS,
            AMBIGUOUS | {"raw_line": 'x "a" "b" - H SigV2 C A'},
            AMBIGUOUS | {"raw_line": 'x "a" "b" - H SigV2'},
            AMBIGUOUS | {"raw_line": 'x "a" "b" - H'},
            AMBIGUOUS | {"raw_line": 'x "a" "b" - H Sig'},
            AMBIGUOUS | {"raw_line": 'x "a" "b" - SigV2 SigV4 C'},
            {"signature_version": None, "parse_status": "short", "raw_line": '"-" "a" - h'},
            {"signature_version": None, "parse_status": "short", "raw_line": '"-" "a" - h - '},
            {"signature_version": "SigV2", "parse_status": "short", "raw_line": '"-" "a" - h SigV2 - '},
            {"signature_version": "SigV", "parse_status": "short", "raw_line": '"-" "a" - h SigV'},
        ],
        [(3, 1), (4, 1), (5, 1), (6, 1), (8, 1), (11, 1)],
    ),
    (
        "ambiguous_or_forged_lines",
        {},
        [
            AMBIGUOUS,
            {"user_agent": FORGED_TAIL},
            {"referer": 'y HTTP/1.1" 200 - 9 9 9 9 "-" "z'},
            {"request_uri": f"GET /k {FORGED_TAIL} HTTP/1.1"},
            {"user_agent": 'a 12" screen', "referer": 'say "SigV2" twice', "request_uri": 'GET /"x" 200 HTTP/1.1'},
            {"parse_status": "short", "raw_line": "x"},
        ],
        [(1, 1), (2, 1), (3, 1), (4, 1)],
    ),
    (
        "tls_below_1_2",
        {},
        [
            {"tls_version": "TLSv1"},
            {"tls_version": "TLSv1.1"},
            {"tls_version": "TLSV1"},
            {"tls_version": "TLSv1.2"},
            {"tls_version": "TLSV1.2"},
            {"tls_version": "TLSv1.3"},
            {"tls_version": None, "cipher_suite": None},
            {"tls_version": "INVALID_RELAY_TLS_VERSION"},
            AMBIGUOUS | {"tls_version": "TLSv1"},
            {"tls_version": "TLSv1", "time": "2024-05-01T09:00:00"},
            {"tls_version": "TLSv1", "user_agent": "other"},
        ],
        [(10, 1), (1, 2), (2, 1), (11, 1)],
    ),
    (
        "unauthenticated_reads",
        {},
        [
            ANONYMOUS,
            ANONYMOUS | {"http_status": 206},
            ANONYMOUS | DENIED,
            {},
            ANONYMOUS | {"operation": "REST.PUT.OBJECT"},
            ANONYMOUS | {"operation": "REST.GET.BUCKET"},
            ANONYMOUS | {"operation": "WEBSITE.HEAD.OBJECT", "http_status": 304},
            ANONYMOUS | {"operation": "REST.COPY.OBJECT_GET", "bucket_name": "b2"},
            ANONYMOUS | {"operation": "REST.COPY.OBJECT", "bucket_name": "b2"},
            ANONYMOUS | AMBIGUOUS,
            ANONYMOUS | {"operation": "REST.OPTIONS.PREFLIGHT"},
            ANONYMOUS | {"http_status": None},
            # A redirect shows nothing, and is logged without a requester whoever asked.
            *[ANONYMOUS | {"http_status": status, "bucket_name": "b3"} for status in (301, 302, 307)],
            *[ANONYMOUS | guess(*some) | {"bucket_name": "b4"} for some in ((403,), (307,), (200,), (403, 304))],
            *[ANONYMOUS | {"operation": name} for name in ("SOAP.GetObject", "SOAP.ListBucket", "REST.POST.SELECT")],
            *[ANONYMOUS | {"operation": name} for name in ("SOAP.PutObject", "SOAP.DeleteObject", "REST.POST.OBJECT")],
        ],
        [(1, 2), (6, 1), (7, 1), (8, 1), (18, 2), (20, 1), (21, 1), (22, 1)],
    ),
    (
        "unauthenticated_writes",
        {},
        [
            ANONYMOUS | {"operation": "REST.PUT.OBJECT"},
            ANONYMOUS | {"operation": "REST.PUT.OBJECT"} | DENIED,
            {"operation": "REST.PUT.OBJECT"},
            ANONYMOUS,
            ANONYMOUS | DELETE,
            ANONYMOUS | {"operation": "REST.POST.OBJECT"},
            ANONYMOUS | {"operation": "REST.COPY.OBJECT"},
            ANONYMOUS | {"operation": "REST.COPY.OBJECT_GET"},
            ANONYMOUS | {"operation": "REST.PUT.ACL", "remote_ip": "192.0.2.9"},
            ANONYMOUS | AMBIGUOUS | {"operation": "REST.PUT.OBJECT"},
            ANONYMOUS | {"operation": "S3.EXPIRE.OBJECT"},
            ANONYMOUS | {"operation": "BATCH.DELETE.OBJECT", "http_status": 204},
            # A redirect writes nothing; nor does S3 Select, nor a batch of deletes beyond those that are logged one by one.
            *[ANONYMOUS | DELETE | {"http_status": status, "bucket_name": "b3"} for status in (301, 307, 304)],
            *[ANONYMOUS | {"operation": name} for name in ("REST.POST.SELECT", "REST.POST.MULTI_OBJECT_DELETE")],
            *[ANONYMOUS | {"operation": name} for name in ("SOAP.GetObject", "SOAP.PutObject", "SOAP.DeleteObject")],
            *[
                ANONYMOUS | DELETE | guess(*some) | {"bucket_name": "b4"}
                for some in ((403,), (307,), (200,), (403, 204))
            ],
        ],
        [(1, 1), (5, 1), (6, 1), (7, 1), (9, 1), (12, 1), (19, 1), (20, 1), (23, 2)],
    ),
    (
        "acl_dependent_access",
        {},
        [
            {"acl_required": "Yes"},
            {"acl_required": "Yes", "key_name": "other"},
            {"acl_required": None},
            {"acl_required": "No"},
            AMBIGUOUS | {"acl_required": "Yes"},
            OTHER | {"acl_required": "Yes"},
            {"acl_required": "Yes", "time": "2024-05-01T00:00:00"},
        ],
        [(7, 1), (1, 2), (6, 1)],
    ),
    (
        "access_denied_bursts",
        {"requests": "3"},
        [
            *[DENIED | {"time": f"2024-05-02T10:{minute}:00"} for minute in (10, 20, 59)],
            *[DENIED | OTHER | {"time": f"2024-05-02T{time}:00"} for time in ("10:58", "10:59", "11:00", "11:01")],
            *[OTHER | {"remote_ip": "192.0.2.8", "http_status": 404}] * 5,
            *[DENIED | AMBIGUOUS | {"remote_ip": "192.0.2.7"}] * 5,
            *[DENIED | {"remote_ip": f"192.0.2.{number}"} for number in range(20, 25)],
            *[DENIED | ANONYMOUS | {"remote_ip": "192.0.2.30"}] * 4,
            *[guess(*some) | {"remote_ip": "192.0.2.31"} for some in ((403,), (200, 403), (403, 200), (200,))],
            *[guess(200) | {"remote_ip": "192.0.2.32"}] * 5,
        ],
        [(23, 4), (27, 3), (1, 3)],
    ),
    (
        "mass_deletion",
        {"deletes": "3"},
        [
            *[DELETE | {"time": "2024-05-02T09:00:00"}] * 2,
            DELETE | guess(204) | {"time": "2024-05-02T09:30:00"},
            *[DELETE | DENIED] * 5,
            *[DELETE | {"bucket_name": "b2"}] * 2,
            *[{"operation": "BATCH.DELETE.OBJECT", "http_status": 204, "bucket_name": "b3"}] * 3,
            *[{"operation": "S3.EXPIRE.OBJECT", "requester": "AmazonS3", "http_status": None}] * 5,
            *[{"operation": "REST.DELETE.UPLOAD", "http_status": 204, "bucket_name": "b4"}] * 5,
            # Refused, whatever the quotes say.
            *[DELETE | guess(403) | {"bucket_name": "b5"}] * 5,
            *[DELETE | guess(*some) | {"bucket_name": "b6"} for some in ((403, 204), (204, 403), (204,), (403, 307))],
        ],
        [(1, 3), (11, 3), (29, 3)],
    ),
    (
        "long_lived_presigned_urls",
        {},
        [
            presigned("X-Amz-Expires=604800&X-Amz-Signature=x"),
            presigned("a=b&X-Amz-Expires=86401"),
            presigned("X-Amz-Expires=86400", remote_ip="192.0.2.8"),
            presigned("X-Amz-Expires=604800x", remote_ip="192.0.2.8"),
            presigned("X-Amz-Expires=604800", remote_ip="192.0.2.8", http_status=403),
            presigned("X-Amz-Expires=604800", remote_ip="192.0.2.8", authentication_type="AuthHeader"),
            AMBIGUOUS | presigned("X-Amz-Expires=604800", remote_ip="192.0.2.8"),
            # 2024-05-02T10:00:08 is 1714644008.
            presigned("AWSAccessKeyId=AKIA&Expires=1714730408", remote_ip="192.0.2.8"),
            presigned("AWSAccessKeyId=AKIA&Expires=1714730412", remote_ip="192.0.2.9"),
            presigned("Expires=99999999999999999999", remote_ip="192.0.2.10"),
            presigned("response-Expires=1914730412", remote_ip="192.0.2.11"),
            presigned("X-Amz-Expires=604800", remote_ip="192.0.2.12", http_status=307),
        ],
        [(1, 2), (9, 1), (10, 1)],
    ),
    (
        "secrets_in_uris",
        {},
        [
            {"request_uri": f"GET /k?password={SECRET} HTTP/1.1"},
            {"request_uri": f"GET /k?a=b&API_KEY={SECRET} HTTP/1.1"},
            {"referer": f"https://app.example/?access_token={SECRET}"},
            {"request_uri": "GET /k?password= HTTP/1.1"},
            {"request_uri": "GET /password=x HTTP/1.1"},
            {"request_uri": "GET /k?list-type=2&continuation-token=abc HTTP/1.1"},
            {"request_uri": "GET /k?X-Amz-Security-Token=abc&X-Amz-Signature=def HTTP/1.1"},
            {"request_uri": "GET /k?passwords=1&mytoken=2 HTTP/1.1"},
            {"request_uri": f"GET /other?password={SECRET} HTTP/1.1"},
            {"user_agent": "?password=x"},
            {"referer": f"https://app.example/a;token={SECRET}"},
            {"referer": f"https://alice:{SECRET}@app.example/"},
            {"referer": "https://app.example:8080/a@b?c=d@e,https://app.example/a:b@c"},
            {"referer": "https://b.s3.amazonaws.com/k?X-Amz-Security-Token=abc&X-Amz-Credential=d&X-Amz-Signature=e"},
            {"request_uri": f"GET /k?next=https%3A%2F%2Fapp%3FPassword%3D{SECRET} HTTP/1.1"},
            {"request_uri": f"GET /k?url=https%3A%2F%2Fbob%3A{SECRET}%40app HTTP/1.1"},
        ],
        [(1, 2), (2, 1), (3, 1), (11, 1), (12, 2), (15, 1)],
    ),
    (
        "new_source_regions",
        {"since": "2024-05-01"},
        [
            {"source_region": "us-east-1", "time": "2024-03-01T00:00:00"},
            {"source_region": "us-east-1"},
            {"source_region": "eu-west-1", "time": "2024-04-30T23:59:59"},
            {"source_region": "eu-west-1"},
            {"source_region": "sa-east-1", "time": "2024-05-01T00:00:00"},
            {"source_region": "sa-east-1"},
            {"source_region": None},
            AMBIGUOUS | {"source_region": "me-south-1"},
            # A bucket that the lake has not known for longer.
            {"source_region": "us-east-1", "bucket_name": "b2"},
            {"source_region": "ap-east-1", "bucket_name": "b2"},
            # Known since the first day that is asked for.
            {"source_region": "us-east-1", "bucket_name": "b3", "time": "2024-05-01T00:00:00"},
            {"source_region": "ap-east-1", "bucket_name": "b3"},
        ],
        [(5, 2), (12, 1)],
    ),
]


@pytest.mark.parametrize(("name", "values", "rows", "expected"), CASES, ids=[case[0] for case in CASES])
def test_what_must_hit_hits_and_nothing_else(
    name: str, values: dict[str, str], rows: list[Row], expected: list[tuple[int, int]], tmp_path: Path
) -> None:
    assert find(connect_rows(tmp_path, make_rows(*rows)), name, **values) == expected


@pytest.mark.parametrize(("name", "values", "rows", "expected"), CASES, ids=[case[0] for case in CASES])
def test_compacted_twice_delivered_or_remote_it_is_the_same(
    name: str, values: dict[str, str], rows: list[Row], expected: list[tuple[int, int]], tmp_path: Path
) -> None:
    made = make_rows(*rows)
    compacted = snapshot_of(compacted=write_compacted(tmp_path / "c", made))
    assert find(connect(compacted), name, **values) == expected
    doubled = [write_raw(tmp_path, made, day="2024-05-02", name=each, firehose=True) for each in ("a", "b")]
    assert find(connect(as_remote(snapshot_of(raw=doubled), tmp_path)), name, **values) == expected


SECRET_NAMES = (
    *("password", "secretAccessKey", "secret_key", "aws_secret_key", "access_key", "db_password", "user%5Bpassword%5D"),
    *(
        "x-api-key",
        "api-key",
        "apiKey",
        "pass",
        "passphrase",
        "session_token",
        "authorization",
        "auth",
        "sig",
        "sessionid",
    ),
    *(
        "code",
        "user[token]",
        "token[]",
        "token%255B0%255D",
        "JSESSIONID",
        "PHPSESSID",
        "SAMLResponse",
        "dbPass",
        "id-token",
    ),
    *("a.b.jwt", "users[0][pwd]", "x_private_key", "client-secret", "passcode", "passwd", "api_token", "refresh_token"),
    *("access_token", "bearer-token", "auth_token", "user_pass"),
)
NO_SECRET_NAMES = (
    *(
        "X-Amz-Signature",
        "X-Amz-Security-Token",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
    ),
    *(
        "AWSAccessKeyId",
        "Signature",
        "Expires",
        "continuation-token",
        "NextToken",
        "page_token",
        "csrf_token",
        "key",
        "otp",
    ),
    *(
        "sid",
        "p%61ssword",
        "myPassword",
        "passwords",
        "boarding-pass",
        "error_code",
        "oauth_sig",
        "inside",
        "list-type",
    ),
    *("versionId", "uploadId", "token/x", "author", "design", "xpass", "token.x", "api__key", "x-auth"),
)


def test_secrets_are_known_by_the_names_of_their_parameters(tmp_path: Path) -> None:
    rows = [
        {"request_uri": f"GET /k?a=b{opener}{name}{sign}{SECRET} HTTP/1.1", "remote_ip": f"{name} {number}"}
        for name in (*SECRET_NAMES, *NO_SECRET_NAMES)
        for number, (opener, sign) in enumerate(
            (("&", "="), ("%26", "%3D"), (";", "="), ("%253F", "%253D"), ("%3b", "%3d"))
        )
    ]
    sql = to_duckdb(bind(find_query("detections/secrets_in_uris"), {}, newest_day=NEWEST))
    found = run_query(connect_rows(tmp_path, make_rows(*rows)), sql).read_all().to_pylist()
    listed = [(row["remote_ip"], row["parameter"]) for row in found]
    assert listed == [(f"{name} {number}", name) for name in SECRET_NAMES for number in range(5)]
    assert SECRET not in str(found)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_lake_has_no_findings(name: str) -> None:
    assert find(connect(snapshot_of()), name) == []


def test_every_detection_has_its_cases() -> None:
    assert sorted(case[0] for case in CASES) == sorted(NAMES)


@pytest.mark.parametrize("query", DETECTIONS, ids=NAMES)
def test_a_detection_says_how_grave_it_is_and_what_to_do(query: Query) -> None:
    assert query.severity in SEVERITIES
    assert query.remedy.endswith(".")
    assert query.notes
    assert {"since", "until"} <= {parameter.name for parameter in query.parameters}
    assert all(parameter.default is not None for parameter in query.parameters)


def test_days_are_inclusive(tmp_path: Path) -> None:
    rows = make_rows(*({"signature_version": "SigV2", "time": f"2024-05-0{day}T12:00:00"} for day in (1, 2, 3, 4)))
    connection = connect_rows(tmp_path, rows)
    assert find(connection, "sigv2", since="2024-05-02", until="2024-05-03") == [(2, 1), (3, 1)]


@pytest.mark.parametrize("seed", range(5))
def test_sigv2_says_the_same_in_sql_and_over_arrow(seed: int, tmp_path: Path) -> None:
    """On rows of any kind, and on all lines of the corpus."""
    rows = random_rows(600, days=40, last="2024-05-02", seed=seed)
    corpus = [path.read_bytes() for path in sorted((Path(__file__).parent / "corpus").glob("*.log"))]
    tables = [parse(data, source_key=f"s3://corpus/{number}").table for number, data in enumerate(corpus)]
    rows += [row for table in tables for row in table.to_pylist()]
    connection = connect_rows(tmp_path, rows)
    found = detect_sigv2(pa.Table.from_pylist(rows, SCHEMA))
    days = {"since": "0001-01-01", "until": "9999-12-31"}
    for name, table in (("sigv2", found.hits), ("sigv2_undecidable", found.undecidable)):
        expected = sorted(table.column("line_no").to_pylist())
        assert sorted(line for line, _ in find(connection, name, **days)) == expected
        assert expected


def test_the_page_lists_them_all() -> None:
    page = (Path(__file__).parents[1] / "docs" / "detections.md").read_text(encoding="utf-8")
    for name, query in zip(NAMES, DETECTIONS, strict=True):
        assert f"| `{name}` | {query.severity} | {query.question} |" in page
