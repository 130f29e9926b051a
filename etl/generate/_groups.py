"""Records that come several at a time, or without a client: batch deletes, copies and lifecycle actions.

Each function gives the lines that belong together, from the remote IP on; the object puts owner, bucket and time in
front of them.
"""

from __future__ import annotations

from etl.generate._buckets import Bucket
from etl.generate._requests import Draw
from etl.generate._skew import turn_around_times

_BATCHES = (1, 1, 2, 3, 5, 8, 13, 25, 60, 250, 1000)
"""Keys in one multi-object delete, at most 1,000; draw from it evenly."""


def batch_delete(bucket: Bucket, draw: Draw, *, at_most: int) -> tuple[str, ...]:
    """A multi-object delete in 2 to `at_most` lines, the request and one per key, that share request id and host id."""
    rng = draw.rng
    client = rng.choice(bucket.operators)
    keys = min(rng.choice(_BATCHES), at_most - 1, len(bucket.targets))
    (request,), (host,) = draw.request_ids(1), draw.host_ids(1)
    turn = rng.choice(turn_around_times())
    path = f"/{client.root}"
    head = f"{client.caller} {request}"
    request_line = (
        f'{head} REST.POST.MULTI_OBJECT_DELETE - "POST {path}?delete HTTP/1.1" 200 - {120 + 90 * keys} -'
        f' {turn + 4 * keys} {turn} "-" {client.agent} - {host} {client.tail}'
    )
    return (
        request_line,
        *(
            f"{head} BATCH.DELETE.OBJECT {target.single} - 204 - - {target.size} - - - -"
            f" {_version(bucket, draw)} {host} {client.tail}"
            for target in rng.sample(bucket.targets, keys)
        ),
    )


def copy(bucket: Bucket, draw: Draw) -> tuple[str, str]:
    """A copy within the bucket: the written half with a request line, the read half with bare dashes and no times."""
    rng = draw.rng
    client = rng.choice(bucket.operators)
    source, destination = rng.choices(bucket.targets, cum_weights=bucket.target_weights, k=2)
    (request,), (host,) = draw.request_ids(1), draw.host_ids(1)
    turn = rng.choice(turn_around_times())
    resource, query = "OBJECT", ""
    if rng.randrange(5) == 0:
        resource, query = ("PART", f"?partNumber={rng.randrange(1, 99)}&uploadId={draw.version_id()}")
    head = f"{client.caller} {request}"
    path = f"/{client.root}/{destination.once}" if client.root else f"/{destination.once}"
    written = (
        f'{head} REST.COPY.{resource} {destination.twice} "PUT {path}{query} HTTP/1.1" 200 - 236 {source.size}'
        f' {turn + source.size // 400_000} {turn} "-" {client.agent} {_version(bucket, draw)} {host} {client.tail}'
    )
    read = (
        f"{head} REST.COPY.{resource}_GET {source.twice} - 200 - - {source.size} - - - -"
        f" {_version(bucket, draw)} {host} {client.tail}"
    )
    return written, read


def _version(bucket: Bucket, draw: Draw) -> str:
    return draw.version_id() if bucket.versioned else "-"


_ACTIONS = (
    ("S3.EXPIRE.OBJECT",) * 50
    + ("S3.TRANSITION_SIA.OBJECT",) * 15
    + ("S3.CREATE.DELETEMARKER",) * 12
    + ("S3.TRANSITION_GIR.OBJECT",) * 8
    + ("S3.TRANSITION_INT.OBJECT",) * 6
    + ("S3.TRANSITION.OBJECT",) * 4
    + ("S3.TRANSITION_GDA.OBJECT",) * 3
    + ("S3.DELETE.UPLOAD",) * 2
)
_UNSIZED = frozenset({"S3.CREATE.DELETEMARKER", "S3.DELETE.UPLOAD"})


def lifecycle(bucket: Bucket, draw: Draw) -> tuple[str]:
    """One lifecycle action: S3 itself acts, so there is no address, no request and no status."""
    action = draw.rng.choice(_ACTIONS)
    if action == "S3.CREATE.DELETEMARKER" and not bucket.versioned:
        action = "S3.EXPIRE.OBJECT"
    target = draw.rng.choice(bucket.targets)
    (request,), (host,) = draw.request_ids(1), draw.host_ids(1)
    size = "-" if action in _UNSIZED else target.size
    record = (
        f'- AmazonS3 {request} {action} {target.single} "-" - - - {size} - - "-" "-" {_version(bucket, draw)} {host}'
        " - - - - - - - -"
    )
    return (record,)
