"""Addresses that people write: a path, or `s3://bucket/prefix`."""

from __future__ import annotations

import re
from typing import Final

from etl.errors import BadParameter

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_OTHER_NAMES_OF_S3: Final = frozenset({"s3", "s3a", "s3n"})


def check_scheme(address: str) -> None:
    """Raise `BadParameter` for `s3a://`, `S3://`, `file://` and any other scheme than `s3://`.

    As a path it would name a folder of this machine, and whoever meant a bucket would be told that all went well.
    """
    found = _SCHEME.match(address)
    if found is None or address.startswith("s3://"):
        return
    rest = address[found.end() :]
    if found[1].lower() in _OTHER_NAMES_OF_S3:
        hint = f"write s3://{rest}"
    elif found[1].lower() == "file" and rest.startswith("/"):
        hint = f"write {rest}"
    else:
        hint = "write a path, or s3://bucket/prefix"
    raise BadParameter(address, f"{found[0]} is no address that is understood", hint=hint)


def check_prefix(address: str, prefix: str) -> None:
    """Raise `BadParameter` for a prefix with parts that some make another prefix of.

    Servers that keep objects as files take `a//b` and `a/./b` for `a/b`, and list that; Arrow opens none of them.
    What was written to such a lake would not be found again.
    """
    parts = prefix.split("/") if prefix else []
    if "\\" in prefix or not {"", ".", ".."}.isdisjoint(parts):
        raise BadParameter(
            address, "has an empty part, '.', '..' or a backslash in its prefix", hint="s3://bucket/prefix"
        )
