"""The buckets whose logs are generated: one small company, the same for every seed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from random import Random

from etl.generate import _crowds as crowds
from etl.generate._clients import ACCOUNT, Client, calls, crowd_clients
from etl.generate._crowds import Crowd, Signing
from etl.generate._keys import Target, audit_record, backup, page, photo, table_file, targets, upload
from etl.generate._operations import ANALYST, APPLICATION, ARCHIVER
from etl.generate._requests import Call
from etl.generate._skew import cumulative, zipf


class Naming(Enum):
    """How S3 names the log objects of a bucket."""

    FLAT = auto()
    BY_EVENT_TIME = auto()
    BY_DELIVERY_TIME = auto()


@dataclass(frozen=True, kw_only=True, eq=False)
class Bucket:
    """A source bucket, who uses it, and where its logs go."""

    name: str
    owner: str
    account: str
    region: str
    share: float
    """Of the lines of today's layout."""
    naming: Naming
    prefix: str
    """Of the names of its log objects; nothing says that it ends in a slash."""
    versioned: bool
    targets: tuple[Target, ...]
    target_weights: tuple[float, ...]
    calls: tuple[Call, ...]
    call_weights: tuple[float, ...]
    old_calls: tuple[Call, ...]
    """Calls of the programs that sign their headers with SigV2; empty if none uses the bucket."""
    operators: tuple[Client, ...]
    """Who deletes in batches and copies; empty if nobody does."""


_OWNER = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"
_OTHER_OWNER = "3272ee65a908a7677109fedda345db8d9554ba26398b2ca10581de88777e2b61"


@cache
def buckets() -> tuple[Bucket, ...]:
    """The six buckets, the busiest first. Built once: some 8,000 objects and as many calls."""
    rng = Random(20060314)
    return (
        _bucket(
            rng,
            name="amzn-s3-demo-media",
            region="us-west-2",
            share=0.38,
            naming=Naming.FLAT,
            prefix="logs/",
            objects=targets(rng, 2500, photo),
            clients=(
                crowds.VISITORS,
                crowds.CDN,
                crowds.PUBLISHERS,
                crowds.INTRUDERS,
                crowds.ADMINISTRATORS,
                crowds.OWNERS,
            ),
            versioned=True,
        ),
        _bucket(
            rng,
            name="amzn-s3-demo-lake",
            region="us-east-1",
            share=0.28,
            naming=Naming.BY_EVENT_TIME,
            prefix="",
            objects=targets(rng, 2500, table_file),
            clients=(crowds.ANALYSTS, crowds.NOTEBOOKS, crowds.ADMINISTRATORS, crowds.OWNERS),
            old_programs=True,
        ),
        _bucket(
            rng,
            name="amzn-s3-demo-uploads",
            region="eu-central-1",
            share=0.14,
            naming=Naming.BY_DELIVERY_TIME,
            prefix="access/",
            objects=targets(rng, 1500, upload),
            clients=(crowds.APPLICATIONS, crowds.LINKS, crowds.OLD_LINKS, crowds.INTRUDERS, crowds.ROOT),
            versioned=True,
            old_programs=True,
        ),
        _bucket(
            rng,
            name="amzn-s3-demo-backups",
            region="ap-northeast-1",
            share=0.09,
            naming=Naming.FLAT,
            prefix="backup-access-",
            objects=targets(rng, 900, backup),
            clients=(crowds.ARCHIVERS, crowds.OWNERS, crowds.ADMINISTRATORS, crowds.ROOT),
            old_programs=True,
        ),
        _bucket(
            rng,
            name="www.example.com",
            region="us-west-2",
            share=0.06,
            naming=Naming.FLAT,
            prefix="site/",
            objects=targets(rng, 300, page),
            clients=(crowds.READERS,),
        ),
        _bucket(
            rng,
            name="amzn-s3-demo-audit",
            region="us-east-1",
            share=0.05,
            naming=Naming.BY_EVENT_TIME,
            prefix="audit/",
            objects=targets(rng, 500, audit_record),
            clients=(crowds.SERVICES, crowds.NOTEBOOKS, crowds.ADMINISTRATORS),
            account="111122223333",
            owner=_OTHER_OWNER,
        ),
    )


def _bucket(
    rng: Random,
    *,
    name: str,
    region: str,
    share: float,
    naming: Naming,
    prefix: str,
    objects: tuple[Target, ...],
    clients: tuple[Crowd, ...],
    versioned: bool = False,
    old_programs: bool = False,
    account: str = ACCOUNT,
    owner: str = _OWNER,
) -> Bucket:
    members = [(client, crowd) for crowd in clients for client in crowd_clients(rng, crowd, bucket=name, region=region)]
    folders = tuple(target.once.rpartition("/")[0].replace("/", "%2F") for target in objects[:40])
    weighted = [pair for client, crowd in members for pair in calls(rng, client, crowd.operations, folders=folders)]
    old = crowd_clients(rng, crowds.OLD_PROGRAMS, bucket=name, region=region) if old_programs else []
    return Bucket(
        name=name,
        owner=owner,
        account=account,
        region=region,
        share=share,
        naming=naming,
        prefix=prefix,
        versioned=versioned,
        targets=objects,
        target_weights=cumulative(zipf(len(objects), flatten=3)),
        calls=tuple(call for call, _ in weighted),
        call_weights=cumulative(weight for _, weight in weighted),
        old_calls=tuple(
            call for client in old for call, _ in calls(rng, client, crowds.OLD_PROGRAMS.operations, folders=folders)
        ),
        operators=tuple(
            client
            for client, crowd in members
            if crowd.signing is Signing.HEADER and crowd.operations in (ANALYST, APPLICATION, ARCHIVER)
        ),
    )
