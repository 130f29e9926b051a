"""What kinds of clients do, and how it turns out: weighted lists of operations, one per kind of client."""

from __future__ import annotations

from typing import NamedTuple

from etl.generate._requests import (
    Shape,
    bucket_failed,
    expired_link,
    failed,
    linked,
    linked_upload,
    linked_v2,
    listed,
    old_version,
    part,
    removed,
    sized,
    stored,
    stored_part,
    stored_version,
    unchanged,
    whole,
)


class Operation(NamedTuple):
    """One kind of request with one outcome."""

    weight: int
    name: str
    method: str
    result: str
    """HTTP status and error code; for failures also bytes sent and object size."""
    shape: Shape
    query: str = ""
    """`{folder}` stands for the prefix that is listed."""


def _bucket_read(weight: int, resource: str, parameter: str) -> Operation:
    return Operation(weight, f"REST.GET.{resource}", "GET", "200 -", listed, f"?{parameter}")


_LIST = "?list-type=2&prefix={folder}%2F&delimiter=%2F&max-keys=1000&encoding-type=url"
_DENIED = "403 AccessDenied 243 -"

VISITOR: tuple[Operation, ...] = (
    Operation(600, "REST.GET.OBJECT", "GET", "200 -", whole),
    Operation(120, "REST.GET.OBJECT", "GET", "206 -", part),
    Operation(110, "REST.GET.OBJECT", "GET", "304 -", unchanged),
    Operation(45, "REST.GET.OBJECT", "GET", "404 NoSuchKey 298 -", failed),
    Operation(40, "REST.HEAD.OBJECT", "HEAD", "200 -", sized),
    Operation(30, "REST.GET.OBJECT", "GET", _DENIED, failed),
    Operation(25, "REST.OPTIONS.PREFLIGHT", "OPTIONS", "200 - - -", bucket_failed, "?cors"),
    Operation(12, "REST.GET.OBJECT", "GET", "200 -", whole, "?response-content-type=image%2Fjpeg"),
    Operation(8, "REST.GET.OBJECT", "GET", "200 -", whole, "?x-campaign=summer&x-position=3"),
    Operation(5, "REST.GET.OBJECT", "GET", "416 InvalidRange 320 -", failed),
    Operation(3, "REST.GET.BUCKET", "GET", _DENIED, bucket_failed, "?list-type=2"),
)

INTRUDER: tuple[Operation, ...] = (
    Operation(50, "REST.GET.BUCKET", "GET", _DENIED, bucket_failed),
    Operation(40, "REST.GET.OBJECT", "GET", _DENIED, failed),
    Operation(30, "REST.GET.OBJECT", "GET", "404 NoSuchKey 298 -", failed),
    Operation(20, "REST.GET.ACL", "GET", _DENIED, bucket_failed, "?acl"),
    Operation(10, "REST.PUT.OBJECT", "PUT", _DENIED, failed),
    Operation(10, "REST.POST.BUCKET", "POST", "405 MethodNotAllowed 318 -", bucket_failed),
    Operation(5, "REST.UNKNOWN.UNKNOWN", "PROPFIND", "400 BadRequest 291 -", bucket_failed),
)

ANALYST: tuple[Operation, ...] = (
    Operation(430, "REST.GET.OBJECT", "GET", "206 -", part),
    Operation(200, "REST.HEAD.OBJECT", "HEAD", "200 -", sized),
    Operation(120, "REST.GET.BUCKET", "GET", "200 -", listed, _LIST),
    Operation(100, "REST.GET.OBJECT", "GET", "200 -", whole, "?x-id=GetObject"),
    Operation(60, "REST.PUT.OBJECT", "PUT", "200 -", stored),
    Operation(45, "REST.HEAD.OBJECT", "HEAD", "404 NoSuchKey 303 -", failed),
    Operation(15, "REST.DELETE.OBJECT", "DELETE", "204 -", removed),
    Operation(12, "REST.PUT.PART", "PUT", "200 -", stored_part),
    Operation(8, "REST.GET.OBJECT", "GET", "503 SlowDown 328 -", failed),
    Operation(4, "REST.POST.UPLOADS", "POST", "200 -", listed, "?uploads"),
    Operation(4, "REST.POST.UPLOAD", "POST", "200 -", listed, "?uploadId=VXBsb2FkIElEIGZvciBhIGRvY3VtZW50YXRpb24"),
    Operation(3, "REST.GET.OBJECT", "GET", _DENIED, failed),
    Operation(1, "REST.GET.OBJECT", "GET", "500 InternalError 282 -", failed),
)

APPLICATION: tuple[Operation, ...] = (
    Operation(250, "REST.PUT.OBJECT", "PUT", "200 -", stored_version, "?x-id=PutObject"),
    Operation(300, "REST.GET.OBJECT", "GET", "200 -", whole, "?x-id=GetObject"),
    Operation(100, "REST.HEAD.OBJECT", "HEAD", "200 -", sized),
    Operation(60, "REST.GET.OBJECT", "GET", "200 -", old_version),
    Operation(50, "REST.GET.BUCKET", "GET", "200 -", listed, _LIST),
    Operation(45, "REST.PUT.PART", "PUT", "200 -", stored_part),
    Operation(30, "REST.DELETE.OBJECT", "DELETE", "204 -", removed),
    Operation(20, "REST.GET.OBJECT_TAGGING", "GET", "200 -", sized, "?tagging"),
    Operation(15, "REST.GET.OBJECT", "GET", "404 NoSuchKey 298 -", failed),
    Operation(10, "REST.PUT.OBJECT", "PUT", "412 PreconditionFailed 312 -", failed),
    Operation(6, "REST.PUT.OBJECT", "PUT", "503 SlowDown 328 -", failed),
    Operation(2, "REST.PUT.OBJECT", "PUT", "500 InternalError 282 -", failed),
)

LINK: tuple[Operation, ...] = (
    Operation(600, "REST.GET.OBJECT", "GET", "200 -", linked),
    Operation(200, "REST.PUT.OBJECT", "PUT", "200 -", linked_upload),
    Operation(60, "REST.GET.OBJECT", "GET", "403 AccessDenied 359 -", expired_link),
    Operation(20, "REST.PUT.OBJECT", "PUT", "403 SignatureDoesNotMatch 1094 -", expired_link),
)

OLD_LINK: tuple[Operation, ...] = (Operation(1, "REST.GET.OBJECT", "GET", "200 -", linked_v2),)

ARCHIVER: tuple[Operation, ...] = (
    Operation(300, "REST.PUT.OBJECT", "PUT", "200 -", stored),
    Operation(250, "REST.HEAD.OBJECT", "HEAD", "200 -", sized),
    Operation(180, "REST.PUT.PART", "PUT", "200 -", stored_part),
    Operation(120, "REST.GET.BUCKET", "GET", "200 -", listed, _LIST),
    Operation(80, "REST.GET.OBJECT", "GET", "200 -", whole),
    Operation(30, "REST.HEAD.OBJECT", "HEAD", "404 NoSuchKey 303 -", failed),
    Operation(30, "REST.DELETE.OBJECT", "DELETE", "204 -", removed),
    Operation(10, "REST.GET.LOCATION", "GET", "200 -", listed, "?location"),
    Operation(8, "REST.GET.OBJECT", "GET", "403 InvalidObjectState 330 -", failed),
)

ADMINISTRATOR: tuple[Operation, ...] = (
    _bucket_read(30, "VERSIONING", "versioning"),
    _bucket_read(25, "LOCATION", "location"),
    _bucket_read(20, "LOGGING_STATUS", "logging"),
    _bucket_read(20, "ENCRYPTION", "encryption"),
    _bucket_read(20, "ACL", "acl"),
    _bucket_read(15, "LIFECYCLE", "lifecycle"),
    _bucket_read(15, "PUBLIC_ACCESS_BLOCK", "publicAccessBlock"),
    _bucket_read(15, "BUCKETPOLICY", "policy"),
    _bucket_read(10, "BUCKETVERSIONS", "versions&prefix={folder}%2F"),
    Operation(20, "REST.GET.BUCKETPOLICY", "GET", "404 NoSuchBucketPolicy 297 -", bucket_failed, "?policy"),
    Operation(20, "REST.GET.TAGGING", "GET", "404 NoSuchTagSet 278 -", bucket_failed, "?tagging"),
    Operation(15, "REST.GET.CORS", "GET", "404 NoSuchCORSConfiguration 339 -", bucket_failed, "?cors"),
    Operation(10, "REST.HEAD.BUCKET", "HEAD", "200 - - -", bucket_failed),
    Operation(3, "REST.PUT.BUCKETPOLICY", "PUT", "204 - - -", bucket_failed, "?policy"),
)

SERVICE: tuple[Operation, ...] = (
    Operation(90, "REST.PUT.OBJECT", "PUT", "200 -", stored),
    Operation(10, "REST.GET.ACL", "GET", "200 -", listed, "?acl"),
)

OLD_PROGRAM: tuple[Operation, ...] = (
    Operation(50, "REST.GET.OBJECT", "GET", "200 -", whole),
    Operation(30, "REST.PUT.OBJECT", "PUT", "200 -", stored),
    Operation(20, "REST.GET.BUCKET", "GET", "200 -", listed, "?prefix={folder}%2F&max-keys=1000&delimiter=%2F"),
)

WEBSITE: tuple[Operation, ...] = (
    Operation(700, "WEBSITE.GET.OBJECT", "GET", "200 -", whole),
    Operation(150, "WEBSITE.GET.OBJECT", "GET", "304 -", unchanged),
    Operation(80, "WEBSITE.GET.OBJECT", "GET", "404 NoSuchKey 346 -", failed),
    Operation(30, "WEBSITE.GET.OBJECT", "GET", "301 MovedPermanently 341 -", failed),
    Operation(30, "WEBSITE.HEAD.OBJECT", "HEAD", "200 -", sized),
    Operation(10, "WEBSITE.GET.OBJECT", "GET", "403 AccessDenied 303 -", failed),
)
