"""`accesslake report`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from etl.cli._output import json_option, print_json, print_text
from etl.errors import BadParameter
from etl.report import report as write_report


@click.command()
@click.option("--lake", required=True, help="The lake's folder or s3://bucket/prefix.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    required=True,
    help="The page: a file, or - for standard output.",
)
@click.option("--since", help="First event day (YYYY-MM-DD, today or -7d). Default: the lake's first.")
@click.option("--until", help="Last event day, inclusive.")
@json_option
def report(lake: str, output: Path, since: str | None, until: str | None, as_json: bool) -> None:
    """Write one self-contained HTML page about the lake: traffic, errors, SigV2, findings, cost, and the log's own quality.

    It loads nothing and runs nothing, and may be mailed or put on a web server as it is. Credentials are masked. The lake is
    only read; what the detections find is not written down (`accesslake detect` does that). Needs accesslake[report].
    """
    is_stdout = str(output) == "-"
    if is_stdout and as_json:
        raise BadParameter("--json", "and the page cannot both go to standard output", hint="give -o a file")
    data = write_report(lake, output=sys.stdout.buffer if is_stdout else output, since=since, until=until)
    findings = sum(each.findings for each in data.detections)
    active = sum(each.status == "active" for each in data.migrations)
    if as_json:
        print_json(
            {
                "output": str(output),
                "bytes": output.stat().st_size,
                "rows": data.totals.requests,
                "findings": findings,
                "sigv2_active": active,
                "ok": data.quality.is_ok,
            }
        )
    elif is_stdout:
        sys.stdout.flush()
    else:
        print_text(f"{output}: {data.totals.requests:,} requests, {findings:,} findings, {active:,} clients on SigV2")
