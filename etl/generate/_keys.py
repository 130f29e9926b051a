"""Object keys: what lies in the generated buckets, each key already in the three encodings that a log shows."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple
from urllib.parse import quote, quote_plus


class Target(NamedTuple):
    """An object that requests are made for."""

    twice: str
    """The key column of most operations: URL-encoded twice."""
    once: str
    """The path in the request URI: URL-encoded once."""
    single: str
    """The key column of BATCH and S3 operations: URL-encoded once, with `+` for a space."""
    size: int
    """Bytes."""
    transfer: int
    """Milliseconds that its bytes take on the way."""


def targets(rng: Random, count: int, name: Callable[[Random, int], tuple[str, int]]) -> tuple[Target, ...]:
    """Up to `count` objects, named and sized by one of the functions below; a name drawn twice is one object."""
    return tuple(_target(*item) for item in dict(name(rng, rank) for rank in range(count)).items())


def _target(name: str, size: int) -> Target:
    once = quote(name, safe="/")
    return Target(quote(once, safe="/"), once, quote_plus(name, safe="/"), size, size // 40_000)


def _hex(rng: Random, digits: int) -> str:
    return f"{rng.getrandbits(4 * digits):0{digits}x}"


def _uuid(rng: Random) -> str:
    return "-".join(_hex(rng, digits) for digits in (8, 4, 4, 4, 12))


def photo(rng: Random, rank: int) -> tuple[str, int]:
    """A picture or a video on a public site; a few names in other scripts."""
    year, month = rng.choice((2022, 2023, 2024, 2025)), rng.randrange(1, 13)
    number = rng.randrange(10_000)
    if rank % 50 == 49:
        words = ("été à Nîmes", "東京 タワー", "Straße", "кошка", "서울 밤", "a+b & c", "50% off")
        return f"photos/{year}/{rng.choice(words)} {number}.jpg", rng.randrange(200_000, 6_000_000)
    if rank % 40 == 39:
        return f"videos/{year}/clip-{number:04}.mp4", rng.randrange(1_000_000, 400_000_000)
    if rank % 3 == 0:
        return (
            f"thumbs/{year}/{month:02}/IMG_{number:04}_{rng.choice((160, 320, 640))}.webp",
            rng.randrange(2_000, 60_000),
        )
    return f"photos/{year}/{month:02}/IMG_{number:04}.jpg", rng.randrange(100_000, 9_000_000)


def table_file(rng: Random, rank: int) -> tuple[str, int]:
    """A file of a Hive-partitioned table, or of a table format's log."""
    table = rng.choice(("orders", "clicks", "sessions", "inventory/snapshots", "ml/features_v2"))
    if rank % 25 == 24:
        return (f"warehouse/{table}/_delta_log/{rng.randrange(90_000):020}.json", rng.randrange(900, 90_000))
    if rank % 40 == 39:
        return f"warehouse/{table}/_SUCCESS", 0
    part = f"dt={rng.choice((2024, 2025))}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
    part += f"/hour={rng.randrange(24):02}" if rng.randrange(3) == 0 else ""
    name = f"part-{rng.randrange(200):05}-{_uuid(rng)}.c000.snappy.parquet"
    return f"warehouse/{table}/{part}/{name}", rng.randrange(20_000, 1_000_000) << rng.randrange(9)


_LONG_NAME = "議事録 と 添付資料 "


def upload(rng: Random, rank: int) -> tuple[str, int]:
    """What people upload, under the names they gave it: spaces, scripts, long names."""
    folder = f"tenants/{rng.randrange(40):04}/{_uuid(rng)}"
    size = rng.randrange(500, 900_000) << rng.randrange(6)
    if rank % 60 == 59:
        return f"{folder}/{_LONG_NAME * rng.randrange(3, 9)}.docx", size
    if rank % 4 == 3:
        words = (
            "Screen Shot",
            "résumé final",
            "scan (2)",
            "Überweisung",
            "報告書",
            "report #7",
            "año 2025",
            "📷 summer",
        )
        return (f"{folder}/{rng.choice(words)} {rng.randrange(100)}.{rng.choice(('png', 'pdf', 'xlsx', 'heic'))}", size)
    return (f"{folder}/{_hex(rng, 12)}.{rng.choice(('jpg', 'pdf', 'mp4', 'zip', 'json'))}", size)


def backup(rng: Random, rank: int) -> tuple[str, int]:
    """Packs of a backup program and database dumps."""
    if rank % 6 == 5:
        date = f"2025-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
        return (f"dumps/{rng.choice(('billing', 'crm', 'wiki'))}/{date}T020000.sql.gz", rng.randrange(1, 900) << 24)
    digest = _hex(rng, 64)
    return f"restic/data/{digest[:2]}/{digest}", rng.randrange(1_000_000, 18_000_000)


def page(rng: Random, rank: int) -> tuple[str, int]:
    """A page or an asset of a static website; the first ranks are the front page and the icon."""
    if rank < 3:
        return ("index.html", "favicon.ico", "robots.txt")[rank], (14_872, 5_430, 68)[rank]
    if rank % 3 == 0:
        return (
            f"docs/{rng.choice(('guide', 'api', 'faq', 'blog'))}/{_hex(rng, 4)}/index.html",
            rng.randrange(3_000, 90_000),
        )
    return (
        f"assets/{rng.choice(('app', 'vendor', 'chunk'))}.{_hex(rng, 8)}.{rng.choice(('js', 'css'))}",
        rng.randrange(900, 700_000),
    )


def audit_record(rng: Random, rank: int) -> tuple[str, int]:
    """What AWS services deliver: trails, flow logs, load balancer logs."""
    day = f"2025/{rng.randrange(1, 13):02}/{rng.randrange(1, 29):02}"
    service = rng.choice(("CloudTrail", "vpcflowlogs", "elasticloadbalancing", "Config"))
    name = f"111122223333_{service}_us-east-1_{day.replace('/', '')}T{rng.randrange(24):02}{rank % 60:02}Z"
    return (
        f"AWSLogs/111122223333/{service}/us-east-1/{day}/{name}_{_hex(rng, 16)}.json.gz",
        rng.randrange(600, 400_000),
    )
