"""What DuckDB and Arrow say when a query fails, as one line."""

from __future__ import annotations

import os
import re

from etl.errors import QueryError
from etl.terminal import escape

ASK_AGAIN = "ask again"
"""What to do where a file is gone: compaction has put its rows elsewhere."""
_LONGEST = 400
_GONE_IN_S3 = re.compile(r"AWS Error (?:RESOURCE_NOT_FOUND|NO_SUCH_KEY)")
_CANNOT_OPEN = re.compile(
    r'(?:Cannot (?:access|open) file|No files found that match the pattern) "(.+?\.parquet)(?:/\*\*/\*\.parquet)?"'
)
"""What is said of a file that compaction has collected: DuckDB takes a path that is not there for a pattern."""


def query_failure(error: Exception) -> QueryError:
    """`QueryError` with the engine's reason on one line: no excerpt of the SQL, no stack, nothing that moves a cursor.

    The text may quote a value of a log line (a failed cast does), so it is escaped like one.
    """
    gone = _CANNOT_OPEN.search(str(error))
    if gone and not os.path.exists(gone[1]):
        return QueryError(escape(gone[1]), "is gone since the question was asked", hint=ASK_AGAIN)
    if _GONE_IN_S3.search(str(error)):
        return QueryError("a file of the lake", "is gone since the question was asked", hint=ASK_AGAIN)
    text = re.split(r"\n\s*\n?LINE \d+:|\nStack Trace|\nDetail:", str(error))[0]
    text = " ".join(escape(line) for line in text.splitlines() if line.strip())
    kind, _, reason = text.partition(": ")
    if not kind.endswith("Error"):
        kind, reason = "SQL", text
    return QueryError(kind, reason if len(reason) <= _LONGEST else reason[: _LONGEST - 1] + "…")
