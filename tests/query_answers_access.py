"""Plain-Python answers: what happened to objects, and which access is to be looked into."""

from __future__ import annotations

from query_answers_rows import (
    Answer,
    Day,
    Row,
    Seen,
    bytes_sent,
    distinct,
    groups,
    in_order,
    is_ambiguous,
    shown_key,
    take,
    was_served,
    when,
)

DELETES = {"REST.DELETE.OBJECT", "BATCH.DELETE.OBJECT", "S3.EXPIRE.OBJECT", "S3.CREATE.DELETEMARKER"}
READS = {
    *("REST.GET.OBJECT", "REST.HEAD.OBJECT", "WEBSITE.GET.OBJECT", "WEBSITE.HEAD.OBJECT"),
    *("REST.COPY.OBJECT_GET", "REST.COPY.PART_GET"),
}
OLD_TLS = {"SSLV2", "SSLV3", "TLSV1", "TLSV1.0", "TLSV1.1"}


def deletes_under_prefix(
    seen: Seen, prefix: str = "", bucket: str = "", since: Day = "-30d", until: Day = "today"
) -> Answer:
    deletes = []
    for row in seen.between(since, until):
        key, status = shown_key(row), row["http_status"]
        accepted = row["operation"] in DELETES and (status is None or status < 300)
        if accepted and bucket in ("", row["bucket_name"]) and key is not None and key[: len(prefix)] == prefix:
            deletes.append(row)
    names = ("requester", "remote_ip", "user_agent", "bucket_name", "operation")
    found = []
    for of, some in groups(deletes, *names):
        keys = sorted(key for row in some if (key := shown_key(row)) is not None)
        found.append(of | {"deletes": len(some), "first_key": keys[0], "last_key": keys[-1]} | when(some))
    return in_order(found, "-deletes", *names)


def object_history(seen: Seen, bucket: str, key: str, since: Day = "-365d", until: Day = "today") -> Answer:
    names = (
        *("request_time", "operation", "requester", "remote_ip", "http_status", "error_code", "version_id"),
        *("bytes_sent_size", "object_size", "user_agent", "request_id", "parse_status", "source_key", "line_no"),
    )
    rows = [row for row in seen.between(since, until) if row["bucket_name"] == bucket and shown_key(row) == key]
    return in_order([take(row, *names) for row in rows], "request_time", "source_key", "line_no")


def last_access_per_prefix(
    seen: Seen, depth: int = 1, bucket: str = "", since: Day = "-90d", until: Day = "today"
) -> Answer:
    accesses = []
    for row in seen.between(since, until):
        if row["key_name"] is None or not was_served(row) or row["operation"].startswith("S3."):
            continue
        if bucket in ("", row["bucket_name"]):
            *folders, _ = str(shown_key(row)).split("/")
            accesses.append(row | {"prefix": "".join(f"{folder}/" for folder in folders[:depth])})
    found = []
    for of, some in groups(accesses, "bucket_name", "prefix"):
        reads = [row["request_time"] for row in some if row["operation"] in READS]
        last = {"last_read": max(reads, default=None), "last_access": when(some)["last_request"]}
        found.append(of | last | {"requests": len(some)})
    return in_order(found, "last_access", "bucket_name", "prefix")


def ambiguous_lines(seen: Seen, since: Day = "-30d", until: Day = "today", rows: int = 100) -> Answer:
    names = (
        *("request_time", "bucket_name", "remote_ip", "requester", "operation", "key_name", "http_status"),
        *("signature_version", "source_key", "line_no", "raw_line"),
    )
    found = [take(row, *names) for row in seen.between(since, until) if is_ambiguous(row)]
    return in_order(found, "request_time", "source_key", "line_no", limit=rows)


def acl_dependent_requests(seen: Seen, since: Day = "-90d", until: Day = "today") -> Answer:
    rows = [row for row in seen.between(since, until) if row["acl_required"] == "Yes" and not is_ambiguous(row)]
    names = ("bucket_name", "requester", "operation")
    found = [
        of | {"requests": len(some), "objects": distinct(some, "key_name")} | when(some)
        for of, some in groups(rows, *names)
    ]
    return in_order(found, "-requests", *names)


def with_old_tls(rows: list[Row]) -> list[Row]:
    """Those that connected with a version below 1.2, in capitals as `tls`."""
    known = [row | {"tls": row["tls_version"].upper()} for row in rows if row["tls_version"] is not None]
    return [row for row in known if row["tls"] in OLD_TLS and not is_ambiguous(row)]


def tls_below_1_2(seen: Seen, since: Day = "-30d", until: Day = "today") -> Answer:
    names = ("tls", "bucket_name", "requester", "user_agent")
    found = [
        of | {"requests": len(some), "addresses": distinct(some, "remote_ip")} | when(some)
        for of, some in groups(with_old_tls(seen.between(since, until)), *names)
    ]
    return in_order(found, "-requests", *names)


def unauthenticated_access(seen: Seen, since: Day = "-30d", until: Day = "today") -> Answer:
    rows = [row for row in seen.between(since, until) if row["requester"] is None]
    names = ("bucket_name", "operation", "http_status")
    found = [
        of
        | {
            "requests": len(some),
            "ambiguous": sum(map(is_ambiguous, some)),
            "addresses": distinct(some, "remote_ip"),
            "bytes_sent": bytes_sent(some),
        }
        | when(some)
        for of, some in groups(rows, *names)
    ]
    return in_order(found, "-requests", *names)
