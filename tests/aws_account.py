"""An AWS account in this process, with a Glue that is as strict about versions as the real one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

REGION = "us-east-1"
ACCOUNT = "123456789012"


@contextmanager
def aws_account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything that boto3 is asked within goes to moto, whatever the environment says."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    boto3.DEFAULT_SESSION = None
    with mock_aws():
        yield
    boto3.DEFAULT_SESSION = None


def refusal(code: str, operation: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


class StrictGlue:
    """Glue as AWS has it: an update of a version that is not the latest changes nothing. (moto takes any.)"""

    def __init__(self) -> None:
        self.client = boto3.client("glue")
        self.updates: list[dict[str, Any]] = []
        self.before_write: list[Callable[[], None]] = []
        """What rivals do between our look and our write, one for each write."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def create_table(self, **arguments: Any) -> Any:
        self._rival()
        return self.client.create_table(**arguments)

    def update_table(self, **arguments: Any) -> Any:
        self._rival()
        name = arguments["TableInput"]["Name"]
        live = self.client.get_table(DatabaseName=arguments["DatabaseName"], Name=name)["Table"]
        if arguments.get("VersionId") != live["VersionId"]:
            raise refusal("ConcurrentModificationException", "UpdateTable")
        assert arguments["SkipArchive"] is True, "every archived version counts against a limit"
        self.updates.append(arguments)
        return self.client.update_table(**arguments)

    def _rival(self) -> None:
        if self.before_write:
            self.before_write.pop(0)()
