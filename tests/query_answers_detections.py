"""Plain-Python answers to the detections that stand for a group of requests."""

from __future__ import annotations

import datetime as dt
import re

from query_answers_access import with_old_tls
from query_answers_rows import (
    Answer,
    Day,
    Row,
    Seen,
    finding,
    findings,
    first_of_each,
    groups,
    is_ambiguous,
    status_may,
    was_accepted,
)

SECRETS = {
    *(
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "passcode",
        "dbpass",
        "userpass",
        "secret",
        "jwt",
        "apikey",
        "accesskey",
    ),
    *("privatekey", "secretkey", "secretaccesskey", "sessionid", "accesstoken", "idtoken", "refreshtoken", "authtoken"),
    *("sessiontoken", "apitoken", "bearertoken"),
}
"""Names of secrets, without what joins their words; another word may be joined to their front."""
LONE_SECRETS = {"pass", "token", "auth", "authorization", "sig", "jsessionid", "phpsessid", "samlresponse"}
"""Names of secrets only if no word is joined to them."""
EPOCH = dt.datetime(1970, 1, 1)


def _in_hours(rows: list[Row]) -> list[Row]:
    return [row | {"hour": row["request_time"].replace(minute=0, second=0, microsecond=0)} for row in rows]


def _with_guesses(found: Row, some: list[Row]) -> Row:
    """With how many of its requests are ambiguous."""
    return found | {"ambiguous": sum(map(is_ambiguous, some))}


def _was_shown(status: int) -> bool:
    return was_accepted(status) or status == 304


def access_denied_bursts(seen: Seen, since: Day = "-30d", until: Day = "today", requests: int = 50) -> Answer:
    refused = [row for row in seen.between(since, until) if status_may(row, lambda status: status == 403)]
    names = ("remote_ip", "requester", "bucket_name", "operation", "error_code", "user_agent", "parse_status")
    bursts = first_of_each(_in_hours(refused), "requester", "remote_ip", "hour", at_least=requests)
    return findings(_with_guesses(finding(first, some, *names), some) for first, some in bursts)


def mass_deletion(seen: Seen, since: Day = "-30d", until: Day = "today", deletes: int = 100) -> Answer:
    accepted = [
        row
        for row in seen.between(since, until)
        if row["operation"] in ("REST.DELETE.OBJECT", "BATCH.DELETE.OBJECT", "SOAP.DeleteObject")
        if status_may(row, was_accepted)
    ]
    names = ("bucket_name", "requester", "remote_ip", "operation", "key_name", "user_agent", "parse_status")
    sprees = first_of_each(_in_hours(accepted), "requester", "bucket_name", "hour", at_least=deletes)
    return findings(_with_guesses(finding(first, some, *names), some) for first, some in sprees)


def acl_dependent_access(seen: Seen, since: Day = "-30d", until: Day = "today") -> Answer:
    rows = [row for row in seen.between(since, until) if row["acl_required"] == "Yes" and not is_ambiguous(row)]
    names = ("bucket_name", "remote_ip", "requester", "operation", "key_name")
    each = first_of_each(rows, "event_date", "bucket_name", "requester", "operation")
    return findings(finding(first, some, *names) for first, some in each)


def old_tls_clients(seen: Seen, since: Day = "-30d", until: Day = "today") -> Answer:
    rows = with_old_tls(seen.between(since, until))
    names = ("bucket_name", "remote_ip", "requester", "user_agent", "tls")
    each = first_of_each(rows, "event_date", "bucket_name", "requester", "user_agent", "tls")
    return findings(finding(first, some, *names) for first, some in each)


def new_source_regions(seen: Seen, since: Day = "-7d", until: Day = "today", history: Day = "-365d") -> Answer:
    rows = [row for row in seen.between(history, until) if row["source_region"] is not None and not is_ambiguous(row)]
    known_since = {
        of["bucket_name"]: min(row["event_date"] for row in some) for of, some in groups(rows, "bucket_name")
    }
    names = ("bucket_name", "source_region", "remote_ip", "requester", "operation", "user_agent")
    return findings(
        finding(first, some, *names)
        for first, some in first_of_each(rows, "bucket_name", "source_region")
        if first["event_date"] >= since and known_since[first["bucket_name"]] < first["event_date"]
    )


# --- Nobody authenticated ---------------------------------------------------------------------------------------------


def _is_read(operation: str) -> bool:
    kind, method, what = [*operation.split(".", 2), "", ""][:3]
    # A copy is logged twice: what was read from has _GET at its end.
    if kind == "SOAP":
        return method.lower().startswith(("get", "list", "head"))
    if method == "COPY" or (method == "POST" and what == "SELECT"):
        return kind == "REST" and (method == "POST" or what.endswith("_GET"))
    return kind in ("REST", "WEBSITE") and method in ("GET", "HEAD", "SELECT")


def _is_write(operation: str) -> bool:
    kind, method, what = [*operation.split(".", 2), "", ""][:3]
    if kind == "SOAP":
        return method.lower().startswith(("put", "create", "set", "copy", "delete"))
    # What a batch deletes is logged one by one.
    other = (
        what in ("SELECT", "MULTI_OBJECT_DELETE") if method == "POST" else method == "COPY" and what.endswith("_GET")
    )
    return kind in ("REST", "BATCH") and method in ("PUT", "POST", "DELETE", "COPY") and not other


def unauthenticated_reads(seen: Seen, since: Day = "-30d", until: Day = "today") -> Answer:
    anonymous = [row for row in seen.between(since, until) if row["requester"] is None]
    rows = [row for row in anonymous if _is_read(row["operation"]) and status_may(row, _was_shown)]
    names = ("bucket_name", "operation", "remote_ip", "key_name", "user_agent")
    found = []
    for first, some in first_of_each(rows, "event_date", "bucket_name", "operation"):
        sent = [row["bytes_sent_size"] for row in some if row["bytes_sent_size"] is not None and not is_ambiguous(row)]
        said = finding(first, some, *names) | {"bytes_sent": sum(sent) if sent else None}
        found.append(_with_guesses(said | {"parse_status": first["parse_status"]}, some))
    return findings(found)


def unauthenticated_writes(seen: Seen, since: Day = "-30d", until: Day = "today") -> Answer:
    anonymous = [row for row in seen.between(since, until) if row["requester"] is None]
    rows = [row for row in anonymous if _is_write(row["operation"]) and status_may(row, was_accepted)]
    names = ("bucket_name", "operation", "remote_ip", "key_name", "user_agent", "parse_status")
    each = first_of_each(rows, "event_date", "bucket_name", "operation", "remote_ip")
    return findings(_with_guesses(finding(first, some, *names), some) for first, some in each)


# --- What stands in URIs ----------------------------------------------------------------------------------------------


def _query_parameters(uri: str | None) -> list[tuple[str, str]]:
    """(name, value) of a URI's parameters, as written; a request line ends with its HTTP version."""
    parts = [part for part in (uri or "").split(" ") if "?" in part]
    pairs = [pair.partition("=") for part in parts for pair in part.partition("?")[2].split("&")]
    return [(name, value) for name, _, value in pairs]


def long_lived_presigned_urls(seen: Seen, since: Day = "-30d", until: Day = "today", hours: int = 24) -> Answer:
    long: list[Row] = []
    for row in seen.between(since, until):
        if row["authentication_type"] != "QueryString" or is_ambiguous(row) or not status_may(row, _was_shown):
            continue
        said = dict(_query_parameters(row["request_uri"]))
        temporary = any(name.lower() == "x-amz-security-token" and value for name, value in said.items())
        numbers = {name: value for name in ("X-Amz-Expires", "Expires") if (value := said.get(name, "")).isdecimal()}
        # Of more than ten digits it is no time that can be shown, and long in any case.
        readable = {name: int(value) for name, value in numbers.items() if len(value) <= 10}
        lifetime, expires = readable.get("X-Amz-Expires"), readable.get("Expires")
        ends = None if expires is None else EPOCH + dt.timedelta(seconds=expires)
        if (
            len(readable) < len(numbers)
            or (lifetime is not None and lifetime > hours * 3600)
            or (ends is not None and ends - row["request_time"] > dt.timedelta(hours=hours))
        ):
            long.append(row | {"lifetime_seconds": lifetime, "expires_at": ends, "temporary": temporary})
    names = (
        *("bucket_name", "requester", "remote_ip", "key_name", "user_agent", "signature_version"),
        *("lifetime_seconds", "expires_at", "temporary"),
    )
    each = first_of_each(long, "event_date", "bucket_name", "requester", "remote_ip")
    return findings(finding(first, some, *names) for first, some in each)


def _is_secret(name: str) -> bool:
    """By the name's last part in brackets, or the whole of it, and the words that it is joined of."""
    plain = re.sub(r"%(?:25)*5b", "[", re.sub(r"%(?:25)*5d", "]", name.lower()))
    while plain.endswith("]"):
        inner, _, last = plain[:-1].rpartition("[")
        plain = inner if last == "" or (last.isdecimal() and "[" in plain) else plain[:-1]
    if not plain or set(plain) - set("abcdefghijklmnopqrstuvwxyz0123456789_.-[]"):
        return False
    last = plain.rpartition("[")[2]
    if last in LONE_SECRETS:
        return True
    words = last.rpartition(".")[2].replace("-", "_").split("_")
    return any("" not in words[first:] and "".join(words[first:]) in SECRETS for first in range(len(words)))


def _named(text: str) -> list[tuple[str, str]]:
    """(name, value) of what stands after a sign that opens a parameter, encoded or not; the value up to the next plain one."""
    found = []
    for opener in re.finditer(r"[?&;]|%(?:25)*(?:3f|26|3b)", text, re.IGNORECASE):
        rest = re.split(r"[&; ]", text[opener.end() :])[0]
        name, *value = re.split(r"=|%(?:25)*3d", rest, maxsplit=1, flags=re.IGNORECASE)
        found.append((name, value[0] if value else ""))
    return found


def _has_userinfo(text: str) -> bool:
    """A URL with user and password before its host, as it is or encoded (then neither may hold what is encoded)."""
    for rest in text.split("://")[1:]:
        user, _, password = re.split(r"[/?#& ]", rest)[0].partition(":")
        if "@" in password[1:] and not password.startswith("@") and not set(user) & set("@%"):
            return True
    for rest in re.split(r"%3a%2f%2f", re.sub(r"%(?:25)+", "%", text.lower()))[1:]:
        user, *coded = re.split(r"[/?#&@ ]", rest)[0].split("%")
        if ":" not in user and len(coded) > 1 and len(coded[0]) > 2 and (coded[0][:2], coded[1][:2]) == ("3a", "40"):
            return True
    return False


def _find_secret(*texts: str | None) -> str | None:
    """The first parameter that is one, of the first text that has one; codes and users' passwords come last."""
    there = [text for text in texts if text]
    parameters = [each for text in there for each in _named(text)]
    named = [name for name, value in parameters if value and _is_secret(name)]
    codes = [name for name, value in parameters if name.lower() == "code" and len(value) >= 10]
    users = ["user:password@" for text in there if _has_userinfo(text)]
    return next(iter([*named, *codes, *users]), None)


def secrets_in_uris(seen: Seen, since: Day = "-30d", until: Day = "today") -> Answer:
    rows = [row | {"parameter": _find_secret(row["request_uri"], row["referer"])} for row in seen.between(since, until)]
    carrying = [row for row in rows if row["parameter"] is not None]
    names = ("bucket_name", "requester", "remote_ip", "parameter", "operation", "user_agent")
    each = first_of_each(carrying, "event_date", "bucket_name", "requester", "remote_ip", "parameter")
    return findings(finding(first, some, *names) for first, some in each)
