"""Lakes for the tests of the report: one of hostile texts, and what must become of them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from small_lakes import put_raw, raw_row

from etl.lake import create_lake
from etl.schema import QUARANTINE_SCHEMA

NOW: Final = dt.datetime(2024, 5, 20, 12, tzinfo=dt.UTC)
SIGNATURE: Final = "0123456789abcdef0123456789abcdef"
HOSTILE: Final = (
    "<script>window.pwned = 1; document.title = 'pwned'</script>",
    '"><img src=x onerror="window.pwned = 2"><b>',
    "'><svg onload='window.pwned = 3'>",
    "]]><script>window.pwned = 4</script>",
    "</style><script>window.pwned = 5</script></title></table></details>",
    "<!-- --!> <iframe src=javascript:window.pwned=6></iframe>",
    "javascript:window.pwned=7//",
    "https://attacker.example/beacon.png",
    "<link rel=stylesheet href=https://attacker.example/a.css><base href=https://attacker.example/>",
    "{{ 7 * 7 }} {% raw %} ${7*7} %3Cscript%3E",
    "\u202egnp.exe\u2066 \u200b\u200f\ufeff right to left",
    "nul\0 escape\x1b[2J bell\x07 tab\t line\nfeed",
    "a" * 8192,
    "<b>" * 2731,
    "Z\u0301\u0302\u0303" * 500,
    "&lt;script&gt;window.pwned=8&lt;/script&gt; &#60;img&#62;",
    f"https://b1.s3.amazonaws.com/k?X-Amz-Signature={SIGNATURE}&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE/20240501",
)
"""What a client may write into a line, if it can choose the field."""


def hostile_rows() -> list[dict[str, Any]]:
    """Rows that fill every list of the page with hostile texts, in whichever column they come from."""
    rows = []
    number = 0
    for text in HOSTILE:
        for repeat in range(3):
            number += 1
            rows.append(
                raw_row(
                    f"s3://logs/{text[:400]}",
                    number,
                    f"2024-05-{1 + number % 9:02d}T10:00:{repeat:02d}",
                    bucket_name=text,
                    requester=None if repeat == 2 else text,
                    remote_ip=text,
                    user_agent=text,
                    referer=text,
                    request_id="R",
                    key_name=text,
                    object_key=text,
                    request_uri=f"GET /{text}?token={SIGNATURE} HTTP/1.1",
                    http_status=(200, 403, 500)[repeat],
                    error_code=None if repeat == 0 else text,
                    bytes_sent_size=2**repeat,
                    signature_version="SigV2" if repeat < 2 else None,
                    tls_version="TLSv1",
                    acl_required="Yes",
                    source_region=text,
                    version_id=text,
                )
            )
    return rows


def make_hostile_lake(folder: Path) -> Path:
    """A lake of these rows, and of lines that could not be read."""
    lake = folder / "lake <b>& \u202e'\""
    create_lake(str(lake))
    put_raw(lake, "hostile", hostile_rows())
    rows = [
        {"source_key": text[:400], "line_no": number, "reason": f"bad: {text[:200]}", "raw_line": b"x"}
        for number, text in enumerate(HOSTILE)
    ]
    path = lake / "quarantine" / "ingest_date=2024-05-02" / "hostile.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, QUARANTINE_SCHEMA), path)
    return lake
