"""Secrets out of what is printed, wherever they stand; and what is none stays readable, a log line's later fields above all."""

from __future__ import annotations

import time

import pytest
from detect_rows import SECRET
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.detect import mask_secrets
from etl.masking import mask

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
JWT = f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{SECRET}"
TAIL = '200 - 113 - 7 - "-" "S3Console/0.4" - s9lzHYr= SigV2 ECDHE-RSA-AES128-GCM-SHA256 QueryString h TLSv1.2 - - -'
NAMES = (
    *("password", "PassWord", "passwd", "pwd", "pass", "db_pass", "passphrase", "passcode", "otp", "sid", "sessionid"),
    *("PHPSESSID", "connect.sid", "session_token", "csrf_token", "token", "token[]", "token%5B0%5D", "token/x", "jwt"),
    *("api_key", "apiKey", "x-api-key", "api_key/", "secret_key", "secretAccessKey", "aws_secret_key", "access_key"),
    *("sig", "X-Amz-Signature", "x-amz-security-token", "Signature", "SAMLResponse", "authorization", "auth", "code"),
    *(
        "user[password]",
        "user%5Bpassword%5D",
        "p%61ssword",
        "%252570assword",
        "cookie",
        "aws:token",
        "client_secret",
        "bearer",
        "code[]",
        "continuation-token",
    ),
)
OPENERS = (
    *(
        "?",
        "&",
        ";",
        "#",
        "?a=",
        "?a%3D",
        "?a%253D",
        "?a=1,",
        "?a|",
        "?a={",
        "?a(",
        "?a+",
        "?a%20",
        "?a=1%0A",
        "?a=1%09",
    ),
    *(
        '?"',
        "?'",
        "?`",
        "?%22",
        "?%27",
        "%3F",
        "%26",
        "%252526",
        "?a=b=",
        "?a=1\\u0026",
        "?a=1\\x26",
        "?a&amp;",
        "?x%3D1%3B",
    ),
)
VALUES = (
    *(
        '="{}"',
        "='{}'",
        "=`{}`",
        '=a"{}',
        "=a'{}",
        '="a"{}',
        "=''{}",
        "=%22{}%22",
        "=%22{}",
        "=a%26{}",
        "=a%22{}",
        "={}",
    ),
    *('={}"', "={};{}", "=={}", "%3D{}", "%253D{}", "%3D%22{}%22%2C", '="{}', "='{}", "\\u003d{}", "=a%2C{}"),
)
QUOTED = (
    *('"password":"{}"', '"password": "{}"', "'password' : '{}'", '\\"password\\":\\"{}\\"', '"token":"a\\"{}"'),
    *("%22password%22%3A%22{}%22", "%22X-Amz-Signature%22%3A%22{}%22", "%22password%22%3A%20%22{}%22"),
    *("%2522password%2522%253A%2522{}%2522", "%5C%22password%5C%22%3A%5C%22{}%5C%22", "%22otp%22:{}", '"sig"="{}"'),
    *("\\u0022password\\u0022:\\u0022{}\\u0022", '"Authorization":"Bearer {}"'),
)
BARE = (
    *(
        "https://alice:{}@intra.example/x",
        "https%3A%2F%2Falice%3A{}%40intra.example",
        "//alice:a@{}@h",
        "redis://:{}@h",
    ),
    *("ftp://a:b&{}@h", "curl (Authorization: Bearer {})", "app Authorization: Basic {}", "authorization:{}"),
    *("?authorization=Bearer {}", "?authorization=Bearer+{}", "?h=Authorization%3A%20Bearer%20{}", "X-Api-Key: {}"),
    *("bearer {}1", f"Authorization: AWS {KEY_ID}:{{}}=", f"AWS {KEY_ID}:{{}}=", f"x%20{KEY_ID}%3A{{}}", "AWS key:{}"),
    f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20130524/us-east-1/s3/aws4_request, SignedHeaders=host, Signature={{}}",
    *("?x=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{}", "?x%3DeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{}"),
    *("/ghp_{}", "?x=github_pat_{}_x", "?x%3Dxoxb-1-{}", "?x=xoxp-{}", "?x=IQoJb3JpZ2lu{}", "gho_{}", "glpat-{}"),
)
ALL = (
    *(f"/k?{name}={{}}" for name in NAMES),
    *(f"/k{opener}{name}={{}}" for opener in OPENERS for name in ("password", "X-Amz-Signature")),
    *(f"/k?password{value}" for value in VALUES),
    *(f"/k?q={{{{{quoted}}}}}" for quoted in QUOTED),
    *(f"/k?q=%7B{quoted}%7D" for quoted in QUOTED),
    *(("" if bare.startswith(("/", "?")) else "/") + bare for bare in BARE),
    *(
        "/k?u=%2Fp%3Fcode%3D{}",
        "/k?u=%2Fp%3Fa%26code%3D{}",
        "/k?auth=Token {}",
        "/k?auth=Negotiate {}",
        "/k?x%3DeyJhbGciOiJk.{}.c",
        "/k X-Auth-Token: {}",
        "/k x-amz-security-token: {}",
        "/k?state=security_token%3D{}%26url%3Dhttps",
        "/k?body=password%3D{}",
        "/k?cookie=session%3D{}",
        "/k;jsessionid={}",
    ),
)


@pytest.mark.parametrize("shape", ALL)
def test_a_secret_is_masked_and_the_fields_after_it_are_not(shape: str) -> None:
    secret = shape.replace("{}", SECRET).replace("{{", "{").replace("}}", "}")
    assert SECRET in secret
    for text in (f"GET {secret}", f"GET {secret} HTTP/1.1", secret.removeprefix("/k")):
        masked = mask(text)
        assert "***" in masked
        assert SECRET not in masked
        assert masked.endswith("HTTP/1.1") == text.endswith("HTTP/1.1")
        assert mask_secrets(text) == masked
        # What a message quotes may be masked already.
        assert mask(masked) == masked
    for line in (f'"GET {secret} HTTP/1.1" {TAIL}', f'"GET {secret}" {TAIL}'):
        assert SECRET not in mask(line)
        assert mask(line).endswith(f" {TAIL}")
    later = f'"GET /k HTTP/1.1" 200 - 113 - 7 - "{secret}" "it\'s" - s9lzHYr= SigV2 ECDHE'
    assert SECRET not in mask(later)
    assert mask(later).endswith('"it\'s" - s9lzHYr= SigV2 ECDHE')


@pytest.mark.parametrize(
    "text",
    [
        "GET /k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20240502T000000Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host",
        "GET /k?list-type=2&prefix=tokens/day=1&versionId=abc&uploadId=def&partNumber=1&max-keys=9&key-marker=a HTTP/1.1",
        "GET /k?prefix=auth%2Fsecrets%2Fday%3D2024&delimiter=%2F HTTP/1.1",
        "GET /tokens/session/a=b?x=1&url=https%3A%2F%2Fhost%2Fsecret%2Fx%3Fy%3D1 HTTP/1.1",
        "https://example.com:8080/a@b?mail=alice@example.com https://alice@example.com/ https://h:80&mail=a@b",
        "s3://amzn-s3-demo-bucket/secrets/event_date=2024-05-02/a.parquet: no such key",
        "arn:aws:sts::123456789012:assumed-role/token/session VisualBasic 6 (basic knowledge; bearer of bad news)",
        '{"error_code": 404, "code": "NoSuchKey", "Key": "a/b", "Sid": "AllowLogs", "prefix": "a"}',
        "GET /k?/tokens/a=b&https://h/tokens/a=b&error_code=404&status-code=5&inside=1&besid=1&passenger=2 HTTP/1.1",
        "password: it has to be given; token = a word; exit code=5",
        "eyJ.a ghp_short xoxb-1 AWS a:b AKIASHORT",
        '"GET /k HTTP/1.1" ' + TAIL,
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('?password="x y"&a=b', '?password="***"&a=b'),
        ('{"password":"x","a":"b"}', '{"password":"***","a":"b"}'),
        ("%7B%22password%22%3A%22x%22%2C%22a%22%3A1%7D", "%7B%22password%22%3A%22***%22%2C%22a%22%3A1%7D"),
        ('{\\"password\\":\\"x\\",\\"a\\"', '{\\"password\\":\\"***",\\"a\\"'),
        ("%22password%22%3A+%22x%22%2Cy", "%22password%22%3A+%22***%22%2Cy"),
        ("%22password%22%3A%0A%20%22x%22%2Cy", "%22password%22%3A%0A%20%22***%22%2Cy"),
        ("?password=%22x&a=b%22", "?password=***&a=b%22"),
        ("?auth=basic HTTP/1.1", "?auth=*** HTTP/1.1"),
        ("?password='x HTTP/1.1' y", "?password=*** HTTP/1.1' y"),
        ("\"/?password='x\" 'y' z", "\"/?password=***\" 'y' z"),
        ('"/?password=`x" `y` z', '"/?password=***" `y` z'),
        ("https://alice:x@h/a?b=c", "https://alice:***@h/a?b=c"),
        (f"Authorization: AWS {KEY_ID}:x= a", "Authorization: *** a"),
        (f"AWS {KEY_ID}:x= a", "AWS AKIAIOSF*** a"),
        (f"?x={JWT}&a=b", "?x=eyJ***&a=b"),
        ('"GET /k?password=" 200 - "x"', '"GET /k?password=***" 200 - "x"'),
        ('"GET /k?password="x HTTP/1.1" 200', '"GET /k?password=*** HTTP/1.1" 200'),
        ("?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F2&X-Amz-Expires=9", "?X-Amz-Credential=***&X-Amz-Expires=9"),
    ],
)
def test_what_is_shown_in_its_place(text: str, masked: str) -> None:
    assert mask(text) == masked


PIECES = (
    *(
        "&",
        "=",
        "%3D",
        "%22",
        "%26",
        "%3A",
        ":",
        '"',
        "'",
        "`",
        " ",
        "\\",
        "\\u0026",
        "\\x22",
        "{",
        ",",
        "+",
        "%20",
        "%0A",
        "(",
    ),
    *(
        "|",
        "a",
        "a&",
        "token",
        "token=",
        '"token":',
        '"token":"',
        "token='",
        'token="a HTTP/',
        "token=%22a",
        "token='a\" ",
    ),
    *(
        "https://",
        "//a:",
        "//a:@",
        "//a:b@",
        "@",
        "Bearer ",
        "Bearer%20",
        "Basic a1",
        "AWS ",
        "AWS a:",
        "AKIA",
        f"{KEY_ID}:",
    ),
    *(
        "eyJ",
        "eyJaaaaa.",
        "%3DeyJaaaaa.b",
        "ghp_",
        "github_pat_",
        "xoxb-",
        "IQoJb3JpZ2lu",
        "Authorization:",
        "cookie: x",
    ),
    *("%25", "%5C", "token=\\", "%2F", "/", "key=&", "A", "."),
)


@pytest.mark.parametrize("opening", ["", "token='", "//a:", "eyJ"])
def test_time_is_linear_in_the_text(opening: str) -> None:
    """A text of 1.5 MB takes less than a second; of quadratic time a fifth of it would take several."""
    for piece in PIECES:
        text = opening + piece * (300_000 // len(piece))
        started = time.process_time()
        mask(text)
        assert time.process_time() - started < 2, piece


def test_time_is_linear_however_quotes_are_encoded() -> None:
    for escape, quote in (("25", "22x"), ("\\", "'x"), ("\\", '"x')):
        prefix = "%" if escape == "25" else ""
        text = "&".join(f"token={prefix}{escape * depth}{quote}" for depth in range(1200))
        started = time.process_time()
        mask(text)
        assert time.process_time() - started < 2


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*PIECES, "password", "sid", "code", "hunter2", "HTTP/1.1"]), max_size=9).map("".join))
def test_text_of_any_kind_is_masked_once(text: str) -> None:
    masked = mask(text)
    assert mask_secrets(text) == masked
    assert len(masked) <= len(text) + 3 * (text.count("=") + text.count(":") + text.count("%") + text.count("\\"))
