"""The custom resource of the stack: makes the stateful table and the views, and never takes them away.

Its properties are `LakeUri`, `Database`, `RecipeDatabase` and `FirstDay`. A stack that is deleted leaves the lake, and with it
the catalog that says what is in it.
"""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

import boto3
from botocore.config import Config

from etl.catalog import create_catalog
from etl.errors import AccessLakeError, BadParameter, first_line
from etl.lambdas._log import log
from etl.masking import mask

_PHYSICAL_ID: Final = "accesslake-catalog"
_ANSWER_SECONDS: Final = 10
_ANSWER_TRIES: Final = 2
_RESERVED_SECONDS: Final = _ANSWER_SECONDS * _ANSWER_TRIES + 5
_REASON_LENGTH: Final = 400
_PROPERTIES: Final = {
    "lake_uri": "LakeUri",
    "database": "Database",
    "recipe_database": "RecipeDatabase",
    "first_day": "FirstDay",
}


def handler(event: dict[str, Any], context: Any) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html .

    Without an answer a stack waits for an hour, so one is sent in any case, and while there is still time to send it.
    """
    seconds = context.get_remaining_time_in_millis() / 1000 - _RESERVED_SECONDS
    reason = "" if event.get("RequestType") == "Delete" else _try_within(max(seconds, 0), event)
    log("ERROR" if reason else "INFO", "catalog", reason=reason or "done")
    _answer(event, reason)


def _try_within(seconds: float, event: Mapping[str, Any]) -> str:
    """Why the catalog could not be made within the time; "" if it was."""
    reasons = [f"not done within {seconds:.0f} seconds"]

    def work() -> None:
        reasons.append(_try(event))

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(seconds)
    return reasons[-1]


def _try(event: Mapping[str, Any]) -> str:
    try:
        _create(event.get("ResourceProperties", {}))
    except AccessLakeError as error:
        return _short(str(error))
    except Exception as error:
        return _short(f"{type(error).__name__}: {first_line(error)}")
    return ""


def _create(properties: Mapping[str, Any]) -> None:
    given = {}
    for name, key in _PROPERTIES.items():
        if not isinstance(properties.get(key), str):
            raise BadParameter(key, "is not among the resource's properties")
        given[name] = properties[key]
    glue = boto3.client("glue", config=Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 5}))
    created = create_catalog(glue, **given)
    log("INFO", "catalog", **vars(created))


def _answer(event: Mapping[str, Any], reason: str) -> None:
    body = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": reason or "done",
        # A new id would have CloudFormation delete the old resource.
        "PhysicalResourceId": event.get("PhysicalResourceId") or _PHYSICAL_ID,
        **{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")},
    }
    url = event["ResponseURL"]
    if not url.startswith("https://"):
        raise BadParameter("ResponseURL", "is not https")
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        url, data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    for remaining in reversed(range(_ANSWER_TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS):  # noqa: S310
                return
        except OSError:
            # Lambda then calls again: nothing that was done is done twice.
            if not remaining:
                raise


def _short(text: str) -> str:
    """One line without credentials: CloudFormation shows it to everybody who may see the stack."""
    return " ".join(mask(text).split())[:_REASON_LENGTH]
