"""The page `docs/queries.md`, from the headers of the SQL files."""

from __future__ import annotations

from etl.query._catalog import Parameter, Query, list_queries

_INTRODUCTION = """\
# Queries

These come with accesslake, in `queries/`. Each is one SELECT in Athena's SQL; `accesslake query NAME --lake LAKE` runs
it embedded, on DuckDB, with the same result. `--param NAME=VALUE` sets a parameter, `accesslake queries` lists them.

A date is `YYYY-MM-DD` (UTC), `today`, or days back such as `-30d`. Both count from today, and in a lake whose newest
log is older, from its newest day. Every query limits `event_date`, so that Athena reads those days only.

The same goes for SQL of your own (`--sql`): one SELECT in Athena's SQL over `access_logs`, `access_logs_exact` (without
what was delivered twice and is not compacted yet), `access_logs_raw`, `access_logs_compacted`,
`access_logs_quarantine`, `access_logs_findings` and `"default"."s3accesslog"`. Where DuckDB is known to answer
differently, the SQL is translated or refused by name. Known to remain: a division of decimals keeps more digits than
in Athena (`100.0 * a / b`; cast to `double`), a double cast to an integer rounds halves to even (use `round`), and a
double cast to text is written differently.

Results are the data as it is. `table` shows control and bidirectional characters escaped and cuts long values; in
`csv`, a value that a spreadsheet takes for a formula is still there, since only whoever opens it can know.

The rest of this page is written from the comments at the top of the files.
"""


def docs_queries() -> str:
    """Markdown: one section a query, with its question, its parameters and its notes."""
    return _INTRODUCTION + "".join("\n" + _section(query) for query in list_queries())


def _section(query: Query) -> str:
    parts = [f"## {query.name}\n", f"{query.question}\n"]
    if query.severity:
        parts.append(f"Severity: {query.severity}. {query.remedy}\n")
    if query.notes:
        parts.append(f"{query.notes}\n")
    if query.parameters:
        rows = "\n".join(_row(parameter) for parameter in query.parameters)
        parts.append(f"| parameter | type | default | what it is |\n| --- | --- | --- | --- |\n{rows}\n")
    return "\n".join(parts)


def _row(parameter: Parameter) -> str:
    default = "required" if parameter.default is None else f"`{parameter.default}`" if parameter.default else "empty"
    return f"| `{parameter.name}` | {parameter.type} | {default} | {parameter.description} |"
