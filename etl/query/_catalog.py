"""The SQL files that come with the product, and what their headers say.

A file starts with comment lines::

    -- Which requesters send the most requests?
    -- :since date = -30d  first day, UTC
    -- :bucket string  bucket to look at
    -- Anything else that a reader should know.

The first line is the question. A line that starts with `:name` declares a parameter: its type (`date`, `integer` or
`string`), its default after `=` (none: it must be given), and after two spaces what it is. Other lines are notes. In
the SQL a parameter is `:name`. So one file documents itself, runs on Athena, and runs embedded. A detection also says
`-- severity: high` and `-- remedy: What to do about it.`, each in a line of its own.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from etl.errors import QueryError, UnknownQuery

ParameterType = Literal["date", "integer", "string"]

_PARAMETER = re.compile(
    r"""^:(?P<name>[a-z][a-z0-9_]*)[ ]+(?P<type>[a-z]+)
        (?:[ ]+=[ ]+(?:'(?P<quoted>(?:[^']|'')*)'|(?P<bare>[^\s']\S*)))?
        (?:[ ]{2,}(?P<description>.*))?$""",
    re.VERBOSE,
)
_SAYING = re.compile(r"(severity|remedy): (.+)")


@dataclass(frozen=True)
class Parameter:
    """One `:name` of a query: its type, its default as text (None: it must be given), and what it is."""

    name: str
    type: ParameterType
    default: str | None
    description: str


@dataclass(frozen=True)
class Query:
    """One SQL file: its name, the question it answers, its parameters in order, and its text with `:name` in it."""

    name: str
    question: str
    parameters: tuple[Parameter, ...]
    sql: str
    notes: str = ""
    severity: str = ""
    """Of a detection: `high`, `medium`, `low` or `info`."""
    remedy: str = ""
    """Of a detection: what to do about what it finds."""


def list_queries() -> tuple[Query, ...]:
    """All queries that come with the product, by name; those of a subfolder are called `detections/<name>`."""
    folder = sql_folder()
    files = sorted((path.relative_to(folder).with_suffix("").as_posix(), path) for path in folder.rglob("*.sql"))
    return tuple(read_query(name, path.read_text(encoding="utf-8")) for name, path in files)


def find_query(name: str) -> Query:
    """The query of that name; raises `UnknownQuery` with the nearest names as its hint."""
    queries = {query.name: query for query in list_queries()}
    if name in queries:
        return queries[name]
    near = difflib.get_close_matches(name.lower().replace("-", "_").removesuffix(".sql"), queries, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(queries) or 'none'}"
    raise UnknownQuery(name, "no query of that name", hint=hint)


def read_query(name: str, text: str) -> Query:
    """Split a SQL file into header and SQL; raises `QueryError` if a parameter line cannot be read."""
    header, sql = _split_header(text)
    parameters = tuple(_read_parameter(name, line) for line in header[1:] if line.startswith(":"))
    said = {match[1]: match[2] for match in map(_SAYING.fullmatch, header[1:]) if match is not None}
    notes = " ".join(line for line in header[1:] if line and not line.startswith(":") and not _SAYING.fullmatch(line))
    return Query(name, header[0] if header else "", parameters, sql, notes, **said)


def sql_folder() -> Path:
    """Where the SQL files are: inside the package once installed, else in the repository's `queries/`."""
    installed = Path(__file__).parent / "sql"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "queries"


def _split_header(text: str) -> tuple[list[str], str]:
    lines = text.strip().splitlines()
    count = next((at for at, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return [line[2:].strip() for line in lines[:count]], "\n".join(lines[count:]).strip()


def _read_parameter(query: str, line: str) -> Parameter:
    match = _PARAMETER.match(line)
    if match is None or match["type"] not in get_args(ParameterType):
        raise QueryError(
            query,
            f"cannot read the parameter line {line!r}",
            hint="-- :name type = default  what it is",
        )
    default = match["bare"] if match["quoted"] is None else match["quoted"].replace("''", "'")
    return Parameter(
        match["name"],
        cast(ParameterType, match["type"]),
        default,
        (match["description"] or "").strip(),
    )
