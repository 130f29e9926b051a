"""Credentials out of what we print: pure.

Presigned URLs carry them in the request URI, and messages may quote a line. Data that a user asks for (`parse`, `query`) is
given as it is; errors, findings and reports pass through here first.
"""

from __future__ import annotations

import re
from typing import Final

_PARAMETERS: Final = (
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "X-Amz-Credential",
    "Signature",
    "AWSAccessKeyId",
    "x-amz-security-token",
    "access_token",
    "id_token",
    "token",
    "password",
    "secret",
)
_IN_QUERY: Final = re.compile(rf"(?i)\b({'|'.join(_PARAMETERS)})(=|%3D)([^&\s\"']+)")
_KEY_ID: Final = re.compile(r"\b((?:AKIA|ASIA)[A-Z0-9]{4})[A-Z0-9]{8,}\b")


def mask(text: str) -> str:
    """The text with values of credential parameters as `***`, and access key ids cut to their first eight characters."""
    return _KEY_ID.sub(r"\1***", _IN_QUERY.sub(r"\1\2***", text))
