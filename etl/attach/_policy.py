"""The policy of a log bucket, with the permission to deliver logs merged in: pure.

Without it nothing arrives and nothing says so
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html).
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

Json = Mapping[str, Any]

_SERVICE: Final = "logging.s3.amazonaws.com"
_EQUALS: Final = {"stringequals"}
_LIKE: Final = {"stringlike", "arnlike", "arnequals"}
_UNLIKE: Final = {"stringnotlike", "arnnotlike", "arnnotequals"}


def merge_policy(
    current: Json, *, partition: str, account: str, bucket: str, log_prefix: str, sources: Sequence[str]
) -> dict[str, Any]:
    """The policy that lets S3 deliver the logs of `sources` under the prefix; the current one if it does already.

    Every statement that is there stays as it is. `current` is empty for a bucket without a policy.
    """
    missing = [
        source
        for source in sources
        if not allows_log_delivery(
            current, partition=partition, account=account, bucket=bucket, log_prefix=log_prefix, source=source
        )
    ]
    if not missing:
        return dict(current)
    added = _statement(partition, account, bucket, log_prefix, missing)
    return {"Version": "2012-10-17", **current, "Statement": [*_listed(current.get("Statement", [])), added]}


def allows_log_delivery(
    policy: Json, *, partition: str, account: str, bucket: str, log_prefix: str, source: str | None
) -> bool:
    """Whether a statement of the policy lets S3 deliver the logs of `source`, or of any bucket if None, under the prefix.

    Only conditions on the source count as met; one that is not known here may never be. What a Deny takes away is not seen.
    """
    arn = f"arn:{partition}:s3:::"
    met = {"aws:sourceaccount": account, "aws:sourcearn": None if source is None else f"{arn}{source}"}
    statements = _listed(policy.get("Statement", []))
    return any(_allows(each, f"{arn}{bucket}/{log_prefix}", met) for each in statements)


def _allows(statement: Json, resource: str, met: Mapping[str, str | None]) -> bool:
    principal = statement.get("Principal")
    services = _listed(principal.get("Service", [])) if isinstance(principal, dict) else []
    if statement.get("Effect") != "Allow" or _SERVICE not in services:
        return False
    if not any(_matches(str(action).lower(), "s3:putobject") for action in _listed(statement.get("Action", []))):
        return False
    # The key's end is not known: only a pattern that leaves it open allows every key.
    resources = [str(each) for each in _listed(statement.get("Resource", []))]
    if not any(each.endswith("*") and _matches(each, resource + "*") for each in resources):
        return False
    return all(
        _holds(operator.lower(), key.lower(), [str(value) for value in _listed(values)], met)
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def _holds(operator: str, key: str, values: Iterable[str], met: Mapping[str, str | None]) -> bool:
    if key not in met:
        return False
    actual = met[key]
    if actual is None:
        return True
    if operator in _LIKE:
        return any(_matches(value, actual) for value in values)
    if operator in _UNLIKE:
        return not any(_matches(value, actual) for value in values)
    return operator in _EQUALS and actual in values


def _matches(pattern: str, text: str) -> bool:
    # A bracket is a plain character in a policy, and a set in fnmatch.
    return re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), text) is not None


def _statement(partition: str, account: str, bucket: str, log_prefix: str, sources: Sequence[str]) -> dict[str, Any]:
    resource = f"arn:{partition}:s3:::{bucket}/{log_prefix}*"
    arns = [f"arn:{partition}:s3:::{source}" for source in sources]
    digest = hashlib.blake2b("\0".join([resource, account, *arns]).encode(), digest_size=8).hexdigest()
    return {
        "Sid": f"AccesslakeLogDelivery{digest}",
        "Effect": "Allow",
        "Principal": {"Service": _SERVICE},
        "Action": "s3:PutObject",
        "Resource": resource,
        "Condition": {"StringEquals": {"aws:SourceAccount": account}, "ArnLike": {"aws:SourceArn": arns}},
    }


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]
