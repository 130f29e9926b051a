"""One log object to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PART_BYTES: Final = 1 << 22
"""Bytes handed on at once."""


@dataclass(frozen=True)
class LogSource:
    """A log object: how the lake names it, where it is, and what version of it.

    `version` is the store's own tag of the content (an S3 ETag), or a file's digest; None where only reading tells. One that is
    there has to be that of the bytes that are read.
    """

    source_key: str
    location: str
    """A local path, or `s3://bucket/key`."""
    size: int
    version: str | None = None
    modified_ns: int | None = None
    """When a file was last written, in ns since 1970: with its size, what tells that it is still the listed one."""
