"""What a request line looks like once it is known who asks for what: the shapes of fields 7 to 18.

S3 fills sizes and times by kind of request (no bytes for a HEAD, no turn-around time for most errors), so each kind has
one function here that writes its fields; a `Call` names its function and holds the text that never changes for it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from etl.generate._calendar import Calendar
from etl.generate._keys import Target

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
"""The access key id of the AWS documentation: no credential of anybody."""

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_REQUEST_ID = bytes.maketrans(_BASE64, b"ABCDEFGHJKMNPQRSTVWXYZ0123456789" * 2)
_TO_VERSION_ID = bytes.maketrans(b"+/", b"._")


@dataclass(frozen=True)
class Draw:
    """Where a line's random parts come from."""

    rng: Random
    calendar: Calendar
    region: str

    def request_ids(self, count: int) -> list[str]:
        """Request ids: 16 upper-case letters and digits each."""
        text = base64.b64encode(self.rng.randbytes(12 * count)).translate(_TO_REQUEST_ID).decode()
        return [text[at : at + 16] for at in range(0, 16 * count, 16)]

    def host_ids(self, count: int) -> list[str]:
        """Extended request ids: mostly 76 characters with padding, one in sixteen 96 without, as S3 has both."""
        text = base64.b64encode(self.rng.randbytes(72 * count)).decode()
        return [
            text[at : at + 96] if text[at] in "MOCK" else f"{text[at : at + 75]}=" for at in range(0, 96 * count, 96)
        ]

    def version_id(self) -> str:
        """Version id of an object: 32 characters."""
        return base64.b64encode(self.rng.randbytes(24)).translate(_TO_VERSION_ID).decode()


class Call(NamedTuple):
    """One client making one kind of request with one outcome: the parts of its lines that are always the same."""

    caller: str
    """Remote IP and requester."""
    operation: str
    opening: str
    """The quoted request URI up to where the key goes."""
    closing: str
    """From behind the key (or from the query) to the error code; for failures, to the object size."""
    shape: Shape
    referer: str
    agent: str
    tail: str
    """Fields 20 to 27."""


Shape = Callable[[Call, Target, int, int, Draw], str]
"""(call, target, turn-around time in ms, moment, draw) to the text of fields 7 to 18."""

_LINKED = 3600
"""Seconds for which a presigned URL is good."""


def whole(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """An object read to its end."""
    return (
        f"{call.operation} {target.twice} {call.opening}{target.once}{call.closing} {target.size} {target.size}"
        f" {turn + target.transfer} {turn} {call.referer} {call.agent} -"
    )


def part(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """A range of an object."""
    read = min(target.size, (turn * 7919) << 6)
    return (
        f"{call.operation} {target.twice} {call.opening}{target.once}{call.closing} {read} {target.size}"
        f" {turn + read // 40_000} {turn} {call.referer} {call.agent} -"
    )


def old_version(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """One version of an object, read to its end."""
    version = draw.version_id()
    return (
        f"{call.operation} {target.twice} {call.opening}{target.once}?versionId={version}{call.closing} {target.size}"
        f" {target.size} {turn + target.transfer} {turn} {call.referer} {call.agent} {version}"
    )


def sized(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """An answer without a body about an object, such as HEAD."""
    return (
        f"{call.operation} {target.twice} {call.opening}{target.once}{call.closing} - {target.size}"
        f" {turn} {turn - 1} {call.referer} {call.agent} -"
    )


def unchanged(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """An object that the client has already: no bytes, no turn-around time."""
    return (
        f"{call.operation} {target.twice} {call.opening}{target.once}{call.closing} - {target.size}"
        f" {turn} - {call.referer} {call.agent} -"
    )


def stored(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """An object written."""
    return (
        f"{call.operation} {target.twice} {call.opening}{target.once}{call.closing} - {target.size}"
        f" {turn + target.transfer} {turn} {call.referer} {call.agent} -"
    )


def stored_version(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """An object written to a bucket that keeps versions."""
    return (
        f"{call.operation} {target.twice} {call.opening}{target.once}{call.closing} - {target.size}"
        f" {turn + target.transfer} {turn} {call.referer} {call.agent} {draw.version_id()}"
    )


def stored_part(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """One part of a multipart upload."""
    upload = draw.version_id() + draw.version_id()
    return (
        f"{call.operation} {target.twice} {call.opening}{target.once}?partNumber={1 + moment % 180}&uploadId={upload}"
        f"{call.closing} - 8388608 {turn + 209} {turn} {call.referer} {call.agent} -"
    )


def removed(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """An object deleted."""
    return (
        f"{call.operation} {target.twice} {call.opening}{target.once}{call.closing} - {target.size}"
        f" {turn} - {call.referer} {call.agent} -"
    )


def failed(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """A request for an object that was refused; the size of the error's text is in the closing."""
    return (
        f"{call.operation} {target.twice} {call.opening}{target.once}{call.closing}"
        f" {turn} - {call.referer} {call.agent} -"
    )


def listed(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """A request about the bucket, answered with a text."""
    return (
        f"{call.operation} - {call.opening}{call.closing} {300 + target.size % 240_000} -"
        f" {turn} {turn - 1} {call.referer} {call.agent} -"
    )


def bucket_failed(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """A request about the bucket that was refused, or that has no body."""
    return f"{call.operation} - {call.opening}{call.closing} {turn} - {call.referer} {call.agent} -"


def _signed_v4(target: Target, moment: int, draw: Draw) -> str:
    signed = draw.calendar.compact(moment - moment % 900)
    return (
        f"{target.once}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={ACCESS_KEY}%2F{signed[:8]}%2F{draw.region}"
        f"%2Fs3%2Faws4_request&X-Amz-Date={signed}&X-Amz-Expires={_LINKED}&X-Amz-SignedHeaders=host"
        f"&X-Amz-Signature={draw.rng.randbytes(32).hex()}"
    )


def linked(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """An object read through a URL presigned with SigV4."""
    return (
        f"{call.operation} {target.twice} {call.opening}{_signed_v4(target, moment, draw)}{call.closing} {target.size}"
        f" {target.size} {turn + target.transfer} {turn} {call.referer} {call.agent} -"
    )


def linked_upload(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """An object written through a URL presigned with SigV4."""
    return (
        f"{call.operation} {target.twice} {call.opening}{_signed_v4(target, moment, draw)}{call.closing} - {target.size}"
        f" {turn + target.transfer} {turn} {call.referer} {call.agent} {draw.version_id()}"
    )


def expired_link(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """A presigned URL that is good no more."""
    return (
        f"{call.operation} {target.twice} {call.opening}{_signed_v4(target, moment - 7200, draw)}{call.closing}"
        f" {turn} - {call.referer} {call.agent} -"
    )


def linked_v2(call: Call, target: Target, turn: int, moment: int, draw: Draw) -> str:
    """An object read through a URL presigned with SigV2."""
    signature = base64.b64encode(draw.rng.randbytes(20)).decode().replace("+", "%2B").replace("/", "%2F")
    return (
        f"{call.operation} {target.twice} {call.opening}{target.once}?AWSAccessKeyId={ACCESS_KEY}"
        f"&Signature={signature.replace('=', '%3D')}&Expires={draw.calendar.epoch(moment) + _LINKED}{call.closing}"
        f" {target.size} {target.size} {turn + target.transfer} {turn} {call.referer} {call.agent} -"
    )


BUCKET_SHAPES: frozenset[Shape] = frozenset({listed, bucket_failed})
"""The shapes that write no key."""

QUERY_SHAPES: frozenset[Shape] = frozenset({old_version, stored_part, linked, linked_upload, expired_link, linked_v2})
"""The shapes that put a query behind the key themselves."""
