"""Rows and lakes for the tests of detections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from small_lakes import put_raw, raw_row

from etl.lake import create_lake

SECRET = "wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY"


def make_rows(*rows: dict[str, Any], day: str = "2024-05-02", source_key: str = "s3://logs/a") -> list[dict[str, Any]]:
    """Rows of one log object in order, a second apart; what is not said is that of a plain signed read."""
    plain: dict[str, Any] = {
        "remote_ip": "192.0.2.3",
        "requester": "arn:aws:iam::123456789012:user/alice",
        "key_name": "k",
        "request_uri": "GET /k HTTP/1.1",
        "http_status": 200,
        "user_agent": "Boto3/1.4.0 Python/2.7 Botocore/1.5.0",
        "host_header": "b1.s3.amazonaws.com",
        "signature_version": "SigV4",
        "authentication_type": "AuthHeader",
        "cipher_suite": "ECDHE-RSA-AES128-GCM-SHA256",
        "tls_version": "TLSv1.3",
    }
    made = []
    for number, row in enumerate(rows, start=1):
        values = plain | row
        time = values.pop("time", f"{day}T10:{number // 60:02}:{number % 60:02}")
        made.append(raw_row(values.pop("source_key", source_key), values.pop("line_no", number), time, **values))
    return made


def make_lake(root: Path, rows: list[dict[str, Any]], *, name: str = "a", **options: Any) -> Path:
    """A lake in the folder whose only raw object holds the rows."""
    create_lake(str(root))
    put_raw(root, name, rows, **options)
    return root
