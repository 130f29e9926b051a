"""Rows of every kind that the shipped queries tell apart, and what each query is asked about them."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping

from query_answers_rows import Day, Row
from query_lake import make_row

from etl.parse import decode_key

CASES: Mapping[str, tuple[Mapping[str, str], ...]] = {
    "top_requesters": ({}, {"rows": "2", "since": "-3d"}),
    "bytes_out_by_bucket_and_requester": ({}, {"rows": "3"}),
    "slowest_operations": ({}, {"rows": "2"}),
    "recipe_first_rows": ({}, {"rows": "100000", "since": "-40d"}, {"rows": "7", "since": "-4d"}),
    "recipe_sigv2_by_client": ({}, {"hours": "100"}),
    "recipe_sigv2_by_user_agent": ({}, {"hours": "501", "until": "-1d"}),
    "deletes_under_prefix": ({}, {"prefix": "a/", "bucket": "b2"}, {"prefix": "ü", "since": "-400d"}),
    "object_history": ({"bucket": "b1", "key": "a/b/c.txt"}, {"bucket": "b2", "key": "%zz"}),
    "last_access_per_prefix": ({}, {"depth": "0"}, {"depth": "2", "bucket": "b1"}),
    "ambiguous_lines": ({}, {"rows": "2"}),
    "detections/access_denied_bursts": ({}, {"requests": "2"}),
    "detections/mass_deletion": ({}, {"deletes": "2"}),
    "detections/long_lived_presigned_urls": ({}, {"hours": "1"}, {"hours": "0", "since": "-400d"}),
    "detections/new_source_regions": ({}, {"since": "-2d", "history": "-20d"}),
}
"""By query, the parameters that it is asked with; a query that is not here with none."""

AGENTS = (
    *("aws-cli/2", "", "日本", None, 'a 12" screen', 'u" - H SigV2 AES128-SHA AuthHeader evil TLSv1 - - us-east-1 "'),
    *('y" 200 - 9 9 9 9 "-" "z', 'say "SigV2" twice', 'x" 200  - 9 9 9 9 "', 'x" 20 - 9 9 9 9 "', 'x" a b SigV9'),
)
URIS = (
    *("GET /k HTTP/1.1", None, "GET /k?password=x HTTP/1.1", "GET /k?a=b&API_KEY=x HTTP/1.1", "GET /k?pwd= HTTP/1.1"),
    *("GET /k?token=x&secret=y HTTP/1.1", "GET /k?X-Amz-Security-Token=x HTTP/1.1", "GET /password=x HTTP/1.1"),
    *(f"GET /k?X-Amz-Expires={seconds} HTTP/1.1" for seconds in ("3600", "3601", "86400", "86401", "99999999999")),
    *("GET /k?X-Amz-Expires=604800x HTTP/1.1", "GET /k?response-Expires=1914730412 HTTP/1.1"),
    *(f"GET /k?AWSAccessKeyId=A&Expires={moment}&x=y HTTP/1.1" for moment in ("1709900000", "1809900000", "1" * 21)),
    *(f"GET /k?AWSAccessKeyId=A&Expires=IN_{hours}_HOURS HTTP/1.1" for hours in (0, 1, 24)),
    *(f"GET /k?{name}=x HTTP/1.1" for name in ("passwd", "Secret", "client_secret", "apikey", "access_token", "JWT")),
    *(f"GET /k?{name}=x HTTP/1.1" for name in ("id_token", "refresh_token", "auth_token", "private_key", "tokens")),
    "GET /k?aws_secret_access_key=x HTTP/1.1",
    *(f"GET /k?X-Amz-Expires=604800&{name}=x HTTP/1.1" for name in ("X-Amz-Security-Token", "x-amz-security-token")),
    *(
        f"GET /k?a=b&{name}=x HTTP/1.1"
        for name in ("db_password", "user%5Bpassword%5D", "x-api-key", "token[0]", "user[token]")
    ),
    *(
        "GET /k?next=%2Fp%3Fpassword%3Dx HTTP/1.1",
        "GET /k?a%253D1%2526Pass%253Dx HTTP/1.1",
        "GET /k?code=0123456789 HTTP/1.1",
    ),
    *("GET /k?code=012345678 HTTP/1.1", "GET /k?continuation-token=x&csrf_token=y&myToken=z HTTP/1.1"),
    *("GET /k?u=https%3A%2F%2Fa%3Ab%40h HTTP/1.1", "GET /k?X-Amz-Signature=x&Signature=y&AWSAccessKeyId=z HTTP/1.1"),
)
REFERERS = (
    *(
        "https://app.example/?access_token=x",
        "https://app.example/?a=b",
        "https://a:b@app.example/",
        "https://h/;token=x",
    ),
    *("https://h:80/a@b", 'y HTTP/1.1" 200 - 9 9 9 9 "-" "z', None),
)
KEYS = (
    *(("a/b/c.txt", "a/b/c.txt"), ("a/d.txt", "a/d.txt"), ("e.txt", "e.txt"), ("/x", "/x"), ("a//b", "a//b")),
    *(("ü/ß", "%25C3%25BC/%25C3%259F"), (None, "%zz"), (None, None), ("a b/c", "a%2520b/c"), (None, "a/%252")),
)
OPERATIONS = (
    *("REST.GET.OBJECT", "REST.GET.OBJECT", "REST.HEAD.OBJECT", "REST.PUT.OBJECT", "REST.POST.UPLOADS"),
    *("REST.COPY.OBJECT", "REST.COPY.OBJECT_GET", "REST.COPY.PART", "REST.COPY.PART_GET", "REST.GET.BUCKET"),
    *("REST.DELETE.OBJECT", "REST.DELETE.OBJECT", "BATCH.DELETE.OBJECT", "S3.EXPIRE.OBJECT", "S3.CREATE.DELETEMARKER"),
    *("WEBSITE.GET.OBJECT", "WEBSITE.HEAD.OBJECT", "REST.OPTIONS.PREFLIGHT", "SOAP.PUT.OBJECT", "REST.DELETE.UPLOAD"),
    *("SOAP.GetObject", "SOAP.PutObject", "SOAP.ListBucket", "SOAP.SetObjectAccessControlPolicy", "SOAP.DeleteObject"),
    *("REST.POST.SELECT", "REST.POST.MULTI_OBJECT_DELETE", "REST.POST.UPLOAD", "REST.POST.OBJECT", "REST.PUT.ACL"),
)
VALUES: Mapping[str, tuple[object, ...]] = {
    "bucket_name": ("b1", "b1", "b2"),
    "remote_ip": ("192.0.2.1", "2001:db8::1", None),
    "requester": ("arn:aws:iam::1:user/a", "AmazonS3", None, None),
    "request_id": ("A" * 16, "B" * 16),
    "http_status": (200, 200, 204, 206, 299, 300, 304, 399, 400, 403, 403, 404, None),
    "error_code": ("AccessDenied", "NoSuchKey", None, None, None),
    "bytes_sent_size": (0, 7, 2_662_992, 2**40, None),
    "object_size": (1, None),
    "total_duration": (*range(1, 60), 900, 9000, None, None),
    "referer": REFERERS,
    "user_agent": AGENTS,
    "request_uri": URIS,
    "version_id": ("null", "v1", None),
    "host_id": ("h=", None),
    "operation": OPERATIONS,
    "signature_version": ("SigV2", "SigV2", "SigV4", None),
    "cipher_suite": ("ECDHE-RSA-AES128-GCM-SHA256", None),
    "authentication_type": ("QueryString", "AuthHeader", None),
    "tls_version": ("TLSv1", "TLSv1.1", "TLSV1.1", "SSLv3", "TLSv1.2", "TLSv1.3", "TLSv1.0x", None),
    "acl_required": ("Yes", "Yes", "No", None),
    "source_region": ("us-east-1", "eu-west-1", "sa-east-1", None),
    "parse_status": ("clean", "clean", "clean", "clean", "short", "ambiguous"),
}
DAYS_BACK = (0, 0, 0, 1, 1, 2, 3, 4, 7, 8, 20, 21, 29, 30, 31, 90, 91, 365, 366, -1)
TIMES = (dt.time(0), dt.time(23, 59, 59), dt.time(10, 0, 1), dt.time(10, 59, 59), dt.time(11), dt.time(11, 30))
GUESSES = (
    *('x "a" "b" - H SigV4 C', 'x "a" "b" - H SigV2 C A', 'x "a" "b" - H SigV2', 'x "a" "b" - H', 'x "a" "b" - H Sig'),
    *(
        'x "a" "b" - SigV2 SigV4 C',
        'x "a" - H SigV2 "b" - H SigV4 C',
        'x "a" "b"',
        'x "a" "b" ',
        'x "a" "b"- H SigV2 C',
    ),
    *(
        'x "a" "b"  -  H  SigV2\r',
        'x "a" "b" - H SigV2A',
        'x "a" "b" - H SigV4',
        'x "a" "b" - H S',
        'x "a" "b" - H -',
        None,
    ),
    # Statuses: of one reading or several, and what looks like one where none can stand.
    *(f'x "u" {status} - 1 - 7 - "r" "a" "b" - H SigV4 C' for status in (200, 204, 304, 403, 301, 20, 2000, "-")),
    *(f'x "u" 403 E 1 - 7 - "r" "a HTTP/1.1" {status} - 1 - 7 - "" "b" - H SigV4 C' for status in (200, 304, 403)),
    *(f'x "u" 200 - 1 - 7 - "r" "a HTTP/1.1" 403 - 1 - 7 - "{end}' for end in ('b" - H', '" "b" - H', '" "b', '" ""')),
    *('x "u" 200 - 1 - 7 - "r" "a" "', 'x "u"  200 - 1 - 7 - "r" "a" "b" - H', 'x "u" 200 - 1 x 7 - "r" "a" "b" - H'),
    *('x " 200 - 1 - 7 - "r" "a" "b" - H', 'x "u" 403 - 1 - 7 - " 204 - 1 - 7 - "" "a" - H', 'x "u" 403 - 1 - 7 - " "'),
)
CLIENT = ("bucket_name", "remote_ip", "requester", "operation", "user_agent", "http_status", "authentication_type")
LATER_FIELDS = (
    *("authentication_type", "host_header", "tls_version", "access_point_arn", "acl_required", "source_region"),
    "extra_fields",
)


def varied_rows(count: int, *, newest: Day, seed: int, name: str = "logs") -> list[Row]:
    """Rows that the parser could have given, over the year up to the newest day, and the days before and after it."""
    pick = random.Random(seed)
    rows: list[Row] = []
    for number in range(count):
        back = pick.choice(DAYS_BACK)
        day = dt.date.fromisoformat(newest) - dt.timedelta(days=back)
        values: Row = {column: pick.choice(words) for column, words in VALUES.items()}
        time = dt.datetime.combine(day, pick.choice(TIMES))
        if rows and pick.random() < 0.3:
            # The same client again, some time later, so that groups have several rows.
            before = pick.choice(rows[-9:])
            values |= {column: before[column] for column in CLIENT}
            time = max(time, before["request_time"] + dt.timedelta(minutes=pick.choice((0, 1, 59, 60))))
            time = min(time, dt.datetime.combine(before["request_time"], dt.time.max.replace(microsecond=0)))
        object_key, values["key_name"] = pick.choice(KEYS)
        if object_key is not None:
            values["object_key"] = decode_key(values["key_name"], values["operation"])
        if time.date() > dt.date.fromisoformat(newest) - dt.timedelta(days=2) and number % 5 == 0:
            values |= {"source_region": "ap-east-1", "bucket_name": pick.choice(("b1", "b3"))}
        row = make_row(time.isoformat(), source_key=f"s3://{name}/{number % 7}", line_no=number // 7 + 1, **values)
        row["request_uri"] = _with_moment(row["request_uri"], time)
        if row["parse_status"] == "ambiguous":
            row["raw_line"] = pick.choice(GUESSES)
        rows.append(_cut(row, pick.randrange(19, 23), pick) if row["parse_status"] == "short" else row)
    return rows


def _cut(row: Row, fields: int, pick: random.Random) -> Row:
    """The row of a line that ends after so many fields, perhaps within the last."""
    tail = [row[name] or "-" for name in ("version_id", "host_id", "signature_version", "cipher_suite")]
    tail = [*tail[: fields - 17], "AuthHeader"][: fields - 17]
    if fields == 20 and tail[2] != "-":
        tail[2] = pick.choice((tail[2], tail[2][:1], tail[2][:4]))
        row["signature_version"] = tail[2]
    if fields < 20:
        row["signature_version"] = None
    if fields < 21:
        row["cipher_suite"] = None
    row |= dict.fromkeys(LATER_FIELDS)
    row["authentication_type"] = "AuthHeader" if fields > 21 else None
    row["raw_line"] = f'b1 R "GET /k HTTP/1.1" 200 - "-" "a" {" ".join(tail)}{pick.choice(("", " ", chr(13)))}'
    return row


def _with_moment(uri: str | None, time: dt.datetime) -> str | None:
    """With the moment that an URL says to be hours away from the request, to the second."""
    for hours in (0, 1, 24):
        moment = int((time.replace(tzinfo=dt.UTC) + dt.timedelta(hours=hours)).timestamp())
        uri = uri and uri.replace(f"IN_{hours}_HOURS", str(moment))
    return uri


def as_raw(row: Row) -> Row:
    """What a reader sees of a row in a raw file: the object's name is derived where it was left out."""
    key = row["key_name"]
    # A key that was no UTF-8 has none; its line tells it from one that holds this character.
    if row["object_key"] is None and key is not None and "\ufffd" not in key:
        row = row | {"object_key": decode_key(key, row["operation"])}
    return row | {"batch_id": None}
