"""Where Arrow's S3 client has to ask, so that it asks where boto3 does."""

from __future__ import annotations

import re
from typing import Any, Final

_AWS: Final = re.compile(
    r"https://s3(?P<kind>(?:-fips)?(?:\.dualstack)?)(?:\.[a-z0-9-]+)?\.(?P<suffix>amazonaws\.com(?:\.cn)?)/?"
)
"""A region's own endpoint, or the one for all. A private one (`vpce`) has another form, and so has a stranger's of like name."""


def is_aws(endpoint: str) -> bool:
    """Whether boto3's endpoint is one of those that AWS has for each region, where a bucket of another one is not found."""
    return _AWS.fullmatch(endpoint) is not None


def arrow_endpoint(endpoint: str, *, region: str | None, virtual: bool) -> dict[str, Any]:
    """The options of `pyarrow.fs.S3FileSystem` for boto3's endpoint; `virtual` is its setting to name buckets in host names.

    Without an override Arrow takes the region's plain endpoint, whatever the settings say: not the one for FIPS, nor the private
    one that a network lets through. With one it names the bucket in the path, as boto3 does if somebody gave the endpoint; those
    that boto3 makes itself have it in the host name. That for FIPS in `us-east-1` is `s3-fips.aws-global` at first, no host.
    """
    aws = _AWS.fullmatch(endpoint)
    if aws is None:
        return {"region": region, "endpoint_override": endpoint, "force_virtual_addressing": virtual}
    if not aws["kind"]:
        return {"region": region, "endpoint_override": None, "force_virtual_addressing": False}
    override = f"https://s3{aws['kind']}.{region}.{aws['suffix']}"
    return {"region": region, "endpoint_override": override, "force_virtual_addressing": True}
