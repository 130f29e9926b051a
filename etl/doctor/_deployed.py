"""What the services say about a stack: values, so that the checks need no services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from etl.doctor._check import Found, Unreadable


@dataclass(frozen=True)
class Stack:
    """A stack of the template: what it was given, what it says, and what is wrong with its resources."""

    name: str
    status: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    unfinished: tuple[str, ...] = ()
    """Resources whose last change did not succeed, with their status."""
    resources: Mapping[str, str] = field(default_factory=dict)
    """What the resources are called, by their names in the template."""

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
class Compactor:
    """The function that compacts, what calls it, and where its failures go."""

    function: Found
    concurrency: Found
    """What is reserved for it; empty if nothing is."""
    retries: Found
    """What Lambda does when a run fails."""
    schedule: Found
    dead_letters: Found


@dataclass(frozen=True)
class Detector:
    """The function that looks into new files, and how it hears of them."""

    function: Found
    concurrency: Found
    event_source: Found
    queue: Found
    dead_letters: Found
    age: Found
    """CloudWatch's figures of how long the oldest message waits; none where there has been no message for hours."""
    notification: Found
    """Of the lake's bucket."""


@dataclass(frozen=True)
class Progress:
    """How far compaction is, whoever runs it."""

    seen_at: datetime
    committed_at: str
    """When the newest batch was committed, ISO 8601; "" if none was, or if the run ended before it wrote that down."""
    planned_at: datetime | None
    """When the plan of the next batch was made; None if there is none."""
    waiting: Mapping[str, int]
    """Files by raw day, of days that are sealed, which queries still see, and which no batch holds."""
    stragglers: int
    """Files that came into a day after it was compacted: no query sees them."""


@dataclass(frozen=True)
class Deployed:
    """All that is looked at, each as its service describes it; a place that could not be read says why."""

    stack: Stack
    identity: Found
    tables: Mapping[str, Found]
    """By `database.name`."""
    function: Found
    """The parser."""
    concurrency: Found
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
    compactor: Compactor | None
    """None where there is no such function."""
    detector: Detector | None
    progress: Progress | Unreadable
