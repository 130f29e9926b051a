"""Who still signs with Signature Version 2, with what, and until when: pure.

An inventory is a table with a row for each requester, bucket, client and way to authenticate: what opens a presigned URL is
told apart from what signs its requests. Those of two sets of findings merge into that of both, so that days can be taken one
by one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from etl.detect._clients import Client, advise, read_client

INVENTORY_SCHEMA: Final = pa.schema(
    [
        ("requester", pa.string()),
        ("bucket_name", pa.string()),
        ("client", pa.string()),
        ("client_version", pa.string()),
        ("authentication_type", pa.string()),
        ("first_request", pa.timestamp("ms")),
        ("last_request", pa.timestamp("ms")),
        ("requests", pa.int64()),
    ]
)
"""The state of an inventory: what merges."""
_KEY: Final = INVENTORY_SCHEMA.names[:5]
GONE_AFTER_DAYS: Final = 30


@dataclass(frozen=True)
class Migration:
    """One requester's client in one bucket, and what there is to do about it."""

    requester: str | None
    bucket_name: str
    client: str
    client_version: str
    authentication_type: str | None
    """As S3 logs it: `AuthHeader`, or `QueryString` of a presigned URL, which the client opens and another may have signed."""
    first_request: dt.datetime
    last_request: dt.datetime
    requests: int
    status: str
    """`active`, or `gone` if it was not seen for some time before the last day that was looked at."""
    sigv4_since: str | None
    """The version from which on the client signs with Version 4; `""` if all do, None if that is not known."""
    action: str


def take_inventory(hits: pa.Table) -> pa.Table:
    """The inventory of SigV2 requests, each of which is there once: rows with requester, bucket, user agent, time and
    authentication type."""
    keys = ["requester", "bucket_name", "user_agent", "authentication_type"]
    groups = hits.select([*keys, "request_time"]).group_by(keys, use_threads=False)
    counted = groups.aggregate([("request_time", "min"), ("request_time", "max"), ([], "count_all")])
    rows = []
    for row in counted.to_pylist():
        client = read_client(row["user_agent"])
        rows.append(
            {
                "requester": row["requester"],
                "bucket_name": row["bucket_name"],
                "client": client.name,
                "client_version": client.version,
                "authentication_type": row["authentication_type"],
                "first_request": row["request_time_min"],
                "last_request": row["request_time_max"],
                "requests": row["count_all"],
            }
        )
    return merge_inventories([pa.Table.from_pylist(rows, INVENTORY_SCHEMA)])


def merge_inventories(inventories: Iterable[pa.Table]) -> pa.Table:
    """The inventory of all requests of inventories that have no request in common. The order of its rows is total."""
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for inventory in inventories:
        for row in inventory.to_pylist():
            key = tuple(row[name] for name in _KEY)
            known = merged.setdefault(key, {**row, "requests": 0})
            known["first_request"] = min(known["first_request"], row["first_request"])
            known["last_request"] = max(known["last_request"], row["last_request"])
            known["requests"] += row["requests"]
    # None is not compared with a text.
    ordered = sorted(merged, key=lambda key: [(part is not None, part or "") for part in key])
    return pa.Table.from_pylist([merged[key] for key in ordered], INVENTORY_SCHEMA)


def plan_migration(inventory: pa.Table, *, last_day: str, gone_after: int = GONE_AFTER_DAYS) -> tuple[Migration, ...]:
    """What there is to do, the busiest of the active first.

    `last_day` (`YYYY-MM-DD`) is the newest that the inventory is about, with requests of any kind: a client is gone if its last
    request came more than `gone_after` days before. That is the lake's newest day, unless an earlier one was asked for: of
    what came later the inventory knows nothing.
    """
    since = dt.datetime.combine(dt.date.fromisoformat(last_day), dt.time()) - dt.timedelta(days=gone_after)
    found = []
    for row in inventory.to_pylist():
        sigv4_since, action = advise(Client(row["client"], row["client_version"]), row["authentication_type"])
        status = "active" if row["last_request"] >= since else "gone"
        found.append(Migration(**row, status=status, sigv4_since=sigv4_since, action=action))
    return tuple(sorted(found, key=lambda each: (each.status, -each.requests)))
