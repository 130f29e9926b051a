"""What a rewrite needs of the engine that runs its statements, and how a statement can fail: pure."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final, Protocol


class Trouble(Enum):
    """What to do about a statement that failed."""

    PASSING = "try again"
    TOO_LARGE = "give less to a statement, or take another engine"
    STOPPED = "ask a person: no object can be the cause"
    OTHER = "see whether an object is damaged"


class StatementFailed(Exception):
    """A statement that gave nothing; whatever it has written must not be taken."""

    def __init__(self, reason: str) -> None:
        """`reason` as the engine says it."""
        super().__init__(reason)
        self.reason = reason

    @property
    def trouble(self) -> Trouble:
        """What kind of failure it is, by its words: there are no codes for most of them. Names of objects say nothing."""
        said = _ADDRESS.sub("", self.reason)
        for trouble, words in _WORDS.items():
            if words.search(said):
                return trouble
        return Trouble.OTHER


_ADDRESS: Final = re.compile(r"s3[an]?://\S+")
_WORDS: Final = {
    Trouble.STOPPED: re.compile(
        "cancelled by user|access ?denied|not authorized|insufficient.* permission|SYNTAX_ERROR|TABLE_NOT_FOUND",
        re.IGNORECASE,
    ),
    Trouble.TOO_LARGE: re.compile(
        "exhausted resources|EXCEEDED_|bytes scanned limit|query timeout|timed? ?out waiting|string length|too many stages",
        re.IGNORECASE,
    ),
    Trouble.PASSING: re.compile(
        r"throttl|TooManyRequests|slow ?down|reduce your request rate|rate exceeded|internal error|INTERNAL_ERROR_QUERY_ENGINE"
        r"|InternalServerException|ServiceUnavailable|\b503\b|connection|endpoint url|resource.* not available",
        re.IGNORECASE,
    ),
}
"""https://docs.aws.amazon.com/athena/latest/ug/error-reference.html and https://repost.aws/knowledge-center/athena-query-errors
have most of them. The first that fits counts: what is too large does not pass."""


class Athena(Protocol):
    """Statements, each run to its end. All raise `StatementFailed`; a statement that fails may have written files."""

    def select(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT; none of their values is null."""

    def unload(self, sql: str, folder: str) -> list[str]:
        """Writes the rows of a SELECT to Parquet files below `folder`, `event_date=<day>/` each; exactly the files that count."""

    def run(self, sql: str) -> None:
        """A statement without rows."""
