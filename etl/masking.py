"""Credentials out of what we print: pure.

Presigned URLs carry them in the request URI, and messages may quote a line. Data that a user asks for (`parse`, `query`) is
given as it is; errors, findings and reports pass through here first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

_CREDENTIALS: Final = (
    *("X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Credential", "Signature", "AWSAccessKeyId"),
    *("access_token", "id_token", "token", "password", "secret"),
)
_IS_CREDENTIAL: Final = re.compile(rf"(?i)(?<![a-z0-9])(?:{'|'.join(_CREDENTIALS)})\Z")
_KEY_ID: Final = re.compile(r"((?:AKIA|ASIA)[A-Z0-9]{4})[A-Z0-9]{8,}")
_ENCODED: Final = "%(?:25)*+"
_PARAMETER: Final = re.compile(
    rf"(?:^|[&?;#\s\"']|{_ENCODED}(?:26|3[BbFf]))"
    rf"((?:[^&?;#\s\"'=%]|%(?!(?:25)*+(?:26|3[BbDdFf])))++)"
    rf"(?:=|{_ENCODED}3[Dd])"
)
"""What opens a parameter, its name, and the sign after it; each sign as it is, or percent-encoded however often."""
_END: Final = re.compile(r"[&\s\"']")
"""Where the value of a secret ends: what is encoded in it may be a part of it."""
_ENCODINGS: Final = 3


def mask(text: str) -> str:
    """The text with values of credential parameters as `***`, and access key ids cut to their first eight characters."""
    return hide_values(text, lambda name: _IS_CREDENTIAL.search(name) is not None)


def hide_values(text: str, is_secret: Callable[[str], bool]) -> str:
    """The text as `mask` leaves it, with the values of those parameters whose name, decoded, is secret.

    A URL may be the value of a parameter, or of one within that: parameters are looked for in the value of any that is not
    secret. Linear in the text's length.
    """
    text = _KEY_ID.sub(r"\1***", text)
    kept: list[str] = []
    start = done = 0
    while found := _PARAMETER.search(text, start):
        start = found.end()
        if is_secret(_decode(found[1])):
            kept += [text[done:start], "***"]
            end = _END.search(text, start)
            start = done = end.start() if end else len(text)
    return "".join([*kept, text[done:]])


def _decode(name: str) -> str:
    for _ in range(_ENCODINGS):
        if "%" not in name:
            break
        name = unquote(name)
    return name
