"""Who makes the requests: addresses, identities, TLS and signatures, put together into calls."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from etl.generate._crowds import Crowd, Identity, Signing
from etl.generate._operations import Operation
from etl.generate._requests import BUCKET_SHAPES, Call
from etl.generate._skew import cumulative, zipf

ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Client:
    """One client of one bucket: the parts of its lines that depend on it alone."""

    caller: str
    """Remote IP and requester."""
    agent: str
    """User agent, quoted."""
    referer: str
    """Referer, quoted."""
    root: str
    """Path of the bucket in its URIs, without the slash behind it: empty, or the bucket's name."""
    tail: str
    """Fields 20 to 27."""
    weight: float


def crowd_clients(rng: Random, crowd: Crowd, *, bucket: str, region: str) -> list[Client]:
    """The crowd's clients; every agent of its list is used before one is used twice."""
    weights = zipf(crowd.count, flatten=4)
    scale = crowd.weight / cumulative(weights)[-1]
    return [
        _client(rng, crowd, bucket, region, crowd.agents[rank % len(crowd.agents)], weight * scale)
        for rank, weight in enumerate(weights)
    ]


def calls(
    rng: Random, client: Client, operations: tuple[Operation, ...], *, folders: tuple[str, ...]
) -> list[tuple[Call, float]]:
    """Everything the client does, with weights that add up to its own; its listings are of one of `folders` each."""
    scale = client.weight / sum(operation.weight for operation in operations)
    return [(_call(client, operation, rng.choice(folders)), operation.weight * scale) for operation in operations]


def _call(client: Client, operation: Operation, folder: str) -> Call:
    root = f"/{client.root}" if client.root else ""
    path = (root or "/") if operation.shape in BUCKET_SHAPES else f"{root}/"
    query = operation.query.format(folder=folder)
    return Call(
        client.caller,
        operation.name,
        f'"{operation.method} {path}',
        f'{query} HTTP/1.1" {operation.result}',
        operation.shape,
        client.referer,
        client.agent,
        client.tail,
    )


_V4_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")


def _address(rng: Random) -> str:
    if rng.randrange(6) == 0:
        return f"2001:db8:{rng.randrange(1, 65536):x}:{rng.randrange(1, 256):x}::{rng.randrange(1, 65536):x}"
    return f"{rng.choice(_V4_NETWORKS)}.{rng.randrange(1, 255)}"


_USERS = ("deploy", "ci/publisher", "reports", "backup-agent", "etl/loader", "gallery-frontend", "auditor")
_ROLES = (
    "GlueJobRole/GlueJobRunnerSession",
    "DataLakeReader/i-0{:015x}",
    "EmrEc2Role/i-0{:015x}",
    "EksNode+s3,ro@prod/botocore-session-17{:08d}",
    "AWSReservedSSO_Analyst_0123456789abcdef/analyst@example.com",
    "thumbnailer-prod/thumbnailer-prod",
)
_SERVICES = (
    "svc:delivery.logs.amazonaws.com",
    "svc:cloudtrail.amazonaws.com",
    "svc:logging.s3.amazonaws.com",
    "svc:config.amazonaws.com",
)


def _requester(rng: Random, identity: Identity) -> str:
    match identity:
        case Identity.NOBODY:
            return "-"
        case Identity.USER:
            return f"arn:aws:iam::{ACCOUNT}:user/{rng.choice(_USERS)}"
        case Identity.ROLE:
            return f"arn:aws:sts::{ACCOUNT}:assumed-role/{rng.choice(_ROLES).format(rng.randrange(10**8))}"
        case Identity.ROOT:
            return f"arn:aws:iam::{ACCOUNT}:root"
        case Identity.CANONICAL:
            return f"{rng.getrandbits(256):064x}"
        case Identity.CDN:
            return f"arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E{rng.getrandbits(52):013X}"
        case Identity.SERVICE:
            return rng.choice(_SERVICES)


_MODERN_TLS = (
    ("TLS_AES_128_GCM_SHA256", "TLSv1.3"),
    ("TLS_AES_128_GCM_SHA256", "TLSv1.3"),
    ("TLS_AES_128_GCM_SHA256", "TLSv1.3"),
    ("TLS_AES_256_GCM_SHA384", "TLSv1.3"),
    ("TLS_CHACHA20_POLY1305_SHA256", "TLSv1.3"),
    ("ECDHE-RSA-AES128-GCM-SHA256", "TLSv1.2"),
    ("ECDHE-RSA-AES128-GCM-SHA256", "TLSv1.2"),
    ("ECDHE-RSA-AES256-GCM-SHA384", "TLSv1.2"),
)
_OLD_TLS = (("ECDHE-RSA-AES128-SHA", "TLSv1"), ("AES128-SHA", "TLSv1.1"), ("ECDHE-RSA-AES128-SHA256", "TLSv1.2"))
_NO_TLS = ("-", "-")


def _client(rng: Random, crowd: Crowd, bucket: str, region: str, agent: str, weight: float) -> Client:
    requester = _requester(rng, crowd.identity)
    internal = crowd.identity is Identity.SERVICE
    old = crowd.signing in (Signing.OLD_HEADER, Signing.OLD_QUERY)
    insecure = crowd.website or rng.randrange(60) == 0
    cipher, tls = _NO_TLS if insecure else rng.choice(_OLD_TLS if old else _MODERN_TLS)
    root, host, access_point = "", f"{bucket}.s3.{region}.amazonaws.com", "-"
    style = rng.randrange(20)
    if crowd.website:
        host = bucket if rng.randrange(3) else f"{bucket}.s3-website-{region}.amazonaws.com"
    elif crowd.access_points and style < 10:
        point = rng.choice(("analytics", "ml-readers"))
        host = f"{point}-{ACCOUNT}.s3-accesspoint.{region}.amazonaws.com"
        access_point = f"arn:aws:s3:{region}:{ACCOUNT}:accesspoint/{point}"
    elif style < 3:
        root, host = bucket, f"s3.{region}.amazonaws.com"
    elif style < 6:
        host = f"{bucket}.s3.amazonaws.com"
    elif style == 6:
        host = f"{bucket}.s3.dualstack.{region}.amazonaws.com"
    acl = "Yes" if crowd.identity in (Identity.CANONICAL, Identity.NOBODY) and rng.randrange(12) == 0 else "-"
    in_aws = crowd.identity is Identity.ROLE
    source = rng.choice((region, region, region, "us-east-1", "eu-west-1")) if in_aws else "-"
    return Client(
        caller=f"{'-' if internal else _address(rng)} {requester}",
        agent=f'"{agent}"',
        referer=f'"{rng.choice(crowd.referers)}"',
        root=root,
        tail=f"{crowd.signing.value.format(cipher)} {host} {tls} {access_point} {acl} {source}",
        weight=weight,
    )
