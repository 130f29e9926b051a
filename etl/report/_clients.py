"""The inventory of SigV2 by what there is to do: an entry for each client and advice, whatever credentials and buckets. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from etl.detect import Migration

PRESIGNED: Final = "QueryString"


@dataclass(frozen=True)
class Clients:
    """Clients that need the same to be done.

    What opens presigned URLs is one entry, whichever programs they are: none of them is to be changed.
    """

    names: tuple[str, ...]
    """The busiest first, each with its version if it is the only one."""
    action: str
    sigv4_since: str | None
    is_presigned: bool
    rows: tuple[Migration, ...]
    """The active first, then the busiest."""

    @property
    def status(self) -> str:
        """`active` if any of them is."""
        return self.rows[0].status

    @property
    def is_one_client(self) -> bool:
        """Whether all are one program of one version, which the entry's name says already."""
        return len({(each.client, each.client_version) for each in self.rows}) == 1

    @property
    def requests(self) -> int:
        """Of all of them."""
        return sum(each.requests for each in self.rows)

    @property
    def first_request(self) -> dt.datetime:
        """Of all of them."""
        return min(each.first_request for each in self.rows)

    @property
    def last_request(self) -> dt.datetime:
        """Of all of them."""
        return max(each.last_request for each in self.rows)

    @property
    def requesters(self) -> int:
        """How many there are."""
        return len({each.requester for each in self.rows})

    @property
    def buckets(self) -> int:
        """How many there are."""
        return len({each.bucket_name for each in self.rows})


def group_clients(migrations: Iterable[Migration]) -> tuple[Clients, ...]:
    """What there is to do, for the busiest of the active first."""
    groups: dict[tuple[str, str], list[Migration]] = {}
    for each in migrations:
        is_opener = each.authentication_type == PRESIGNED and each.sigv4_since is None
        groups.setdefault(("" if is_opener else each.client, each.action), []).append(each)
    found = []
    for (_, action), listed in groups.items():
        rows = tuple(sorted(listed, key=lambda each: (each.status, -each.requests)))
        names = _names(rows)
        is_presigned = all(each.authentication_type == PRESIGNED for each in rows)
        found.append(Clients(names, action, rows[0].sigv4_since, is_presigned, rows))
    return tuple(sorted(found, key=lambda each: (each.status, -each.requests)))


def _names(rows: Iterable[Migration]) -> tuple[str, ...]:
    versions: dict[str, list[str]] = {}
    for each in rows:
        known = versions.setdefault(each.client, [])
        if each.client_version not in known:
            known.append(each.client_version)
    return tuple(f"{name} {known[0]}".strip() if len(known) == 1 else name for name, known in versions.items())
