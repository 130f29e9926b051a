"""`accesslake audit`."""

from __future__ import annotations

from dataclasses import asdict

import click

from etl.audit import audit as audit_lake
from etl.cli._output import json_option, print_json, print_message


@click.command()
@click.option("--lake", required=True, help="The lake's folder or s3://bucket/prefix.")
@json_option
def audit(lake: str, as_json: bool) -> int:
    """Count every line that came in against what is stored now, day by day of arrival.

    Exit code 1 if anything is missing: lines must equal rows + quarantined + folded. Also if a file lies in raw/ or
    compacted/ that no answer counts: one that is not named *.parquet, one that no commit names.
    """
    found = audit_lake(lake)
    if as_json:
        print_json(asdict(found))
    else:
        click.echo("arrived     objects       lines        rows  quarantined  folded  lag")
        for day in found.days:
            lag = "" if day.lag_days is None else f"{day.lag_days} d"
            click.echo(
                f"{day.ingest_date} {day.log_objects:8,} {day.lines:11,} {day.rows:11,} {day.quarantined:12,} "
                f"{day.folded:7,} {lag:>4}{'' if day.ok else '  NOT OK'}"
            )
        only_strays = len(found.problems) == len(found.strays_in_raw) + len(found.strays_in_compacted)
        not_ok = "there are files that no answer counts" if only_strays and found.problems else "lines are missing"
        click.echo("every line is accounted for" if found.ok else not_ok)
    for problem in found.problems:
        print_message(f"accesslake: {problem}")
    if found.days_beyond_today:
        print_message(f"accesslake: events later than today: {', '.join(found.days_beyond_today[:5])}")
    if found.stragglers:
        print_message(
            f"accesslake: {len(found.stragglers):,} raw objects came into days that were sealed; queries see them after the next "
            "compaction"
        )
    return 0 if found.ok else 1
