"""What the services say about a stack: values, so that the checks need no services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from etl.doctor._check import Found


@dataclass(frozen=True)
class Stack:
    """A stack of the template: what it was given, what it says, and what is wrong with its resources."""

    name: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    unfinished: tuple[str, ...] = ()
    """Resources whose last change did not succeed, with their status."""

    @property
    def lake_uri(self) -> str:
        """`s3://bucket/prefix`, without a slash at its end."""
        return self.outputs["LakeUri"].rstrip("/")

    @property
    def lake_bucket(self) -> str:
        """The bucket of the lake."""
        return self.lake_uri.removeprefix("s3://").partition("/")[0]

    @property
    def lake_prefix(self) -> str:
        """What every key of the lake starts with: "" or a text with a slash at its end."""
        prefix = self.lake_uri.removeprefix("s3://").partition("/")[2]
        return f"{prefix}/" if prefix else ""

    @property
    def log_bucket(self) -> str:
        """The bucket that logs arrive in."""
        return self.outputs["LogBucketName"]

    @property
    def log_prefix(self) -> str:
        """The prefix that log objects have there."""
        return self.outputs.get("LogPrefix", "")

    @property
    def database(self) -> str:
        """The Glue database of the lake."""
        return self.outputs["DatabaseName"]

    @property
    def recipe_database(self) -> str:
        """The Glue database of the view `s3accesslog`."""
        return self.parameters.get("RecipeDatabase", "default")


@dataclass(frozen=True)
class Deployed:
    """All that is looked at, each as its service describes it; a place that could not be read says why."""

    stack: Stack
    identity: Found
    tables: Mapping[str, Found]
    """By `database.name`."""
    function: Found
    event_source: Found
    queue: Found
    """Attributes of the queue."""
    dead_letters: Found
    stream: Found | None
    """None where rows go to the lake without Firehose."""
    notification: Found
    logging: Found
    """Of the log bucket."""
    policy: Found
    lake_logging: Found
    workgroup: Found
