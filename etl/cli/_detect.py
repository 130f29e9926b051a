"""`accesslake detect`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import click
import pyarrow as pa

from etl.cli._output import json_option, print_errors, print_json, print_text
from etl.detect import GONE_AFTER_DAYS, SEVERITIES, LakeFindings, mask_secrets
from etl.detect import detect as run_detections
from etl.query import write_result

_SHOWN_CLIENTS = 50


@click.command()
@click.option("--lake", required=True, help="The lake's folder or s3://bucket/prefix.")
@click.option("--since", help="First event day (YYYY-MM-DD, today or -7d). Default: the lake's first.")
@click.option("--until", help="Last event day, inclusive.")
@click.option("--detection", "names", multiple=True, metavar="NAME", help="Run this one; repeatable. Default: all.")
@click.option("--fail-on-findings", is_flag=True, help="Exit with 1 if anything is found.")
@click.option("--fail-on", type=click.Choice(SEVERITIES), help="Exit with 1 if anything so grave, or graver, is found.")
@json_option
def detect(
    lake: str,
    since: str | None,
    until: str | None,
    names: tuple[str, ...],
    fail_on_findings: bool,
    fail_on: str | None,
    as_json: bool,
) -> int:
    """Look for SigV2 requests and their neighbours (`accesslake queries` lists detections/), and write down what is new.

    Prints what was found, the gravest first, and who still signs with Signature Version 2. Credentials are masked. Running it
    again, or after compaction, adds nothing to the lake's findings.
    """
    found = run_detections(lake, since=since, until=until, detections=names)
    if as_json:
        print_json(_as_json(found))
    else:
        _print_tables(found)
    print_errors(found.failed)
    severities = set(found.findings.column("severity").to_pylist())
    limit = SEVERITIES.index(fail_on) + 1 if fail_on else len(SEVERITIES) if fail_on_findings else 0
    return 1 if found.failed or severities & set(SEVERITIES[:limit]) else 0


def _as_json(found: LakeFindings) -> dict[str, Any]:
    findings = [{**row, **json.loads(row.pop("details"))} for row in found.findings.to_pylist()]
    counted = _count(found)
    known = found.has_looked_at_files
    return {
        "findings": findings,
        "ambiguous": [_masked(row) for row in found.ambiguous.to_pylist()] if known else None,
        "cut": [_masked(row) for row in found.cut.to_pylist()] if known else None,
        "detections": [
            {
                "name": name,
                "severity": query.severity,
                "question": query.question,
                "remedy": query.remedy,
                **counted[name],
            }
            for name, query in found.detections.items()
        ],
        "inventory": [_masked(asdict(each)) for each in found.migrations] if known else None,
        "last_day": found.last_day,
        "new": found.new,
        "failed": list(found.failed),
    }


def _count(found: LakeFindings) -> dict[str, dict[str, int]]:
    """Findings of each detection, and how many requests they stand for."""
    counted = {name: {"findings": 0, "requests": 0} for name in found.detections}
    for name, details in zip(
        *(found.findings.column(each).to_pylist() for each in ("detection", "details")), strict=True
    ):
        counted[name]["findings"] += 1
        counted[name]["requests"] += json.loads(details).get("requests", 1)
    return counted


def _masked(row: dict[str, Any]) -> dict[str, Any]:
    """A row for JSON. What names its log object stays as it is."""
    return {name: value if name == "source_key" else _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return mask_secrets(value)
    return f"{value.isoformat(timespec='milliseconds')}Z" if hasattr(value, "isoformat") else value


def _print_tables(found: LakeFindings) -> None:
    counted = _count(found)
    rows = [
        {"severity": query.severity, "detection": name, **counted[name], "question": query.question}
        for name, query in found.detections.items()
    ]
    _print_table(rows)
    hit = [(name, query) for name, query in found.detections.items() if counted[name]["findings"]]
    print_text("")
    for name, query in hit:
        print_text(f"{name}: {query.remedy}")
    if hit:
        print_text("")
    print_text(f"{found.findings.num_rows:,} findings, {found.new:,} of them new{_count_unsure(found)}")
    if found.migrations:
        gone = f"gone: not in the {GONE_AFTER_DAYS} days before {found.last_day}"
        for line in ("", f"Who signs with Signature Version 2 ({gone}):", ""):
            print_text(line)
        _print_table([_migration(each) for each in found.migrations[:_SHOWN_CLIENTS]])
        if len(found.migrations) > _SHOWN_CLIENTS:
            print_text(f"and {len(found.migrations) - _SHOWN_CLIENTS:,} more; --json lists all")
        print_text("")
        for action in dict.fromkeys(f"{each.client}: {each.action}" for each in found.migrations[:_SHOWN_CLIENTS]):
            print_text(action)


def _count_unsure(found: LakeFindings) -> str:
    if not found.has_looked_at_files:
        return ""
    undecidable = sum(found.unsure.column("undecidable").to_pylist())
    return (
        f"; {found.ambiguous.num_rows:,} lines are ambiguous and {found.cut.num_rows:,} cut, "
        f"of {undecidable:,} nobody can tell whether they are SigV2"
    )


def _migration(each: Any) -> dict[str, Any]:
    since = {None: "?", "": "all"}.get(each.sigv4_since, each.sigv4_since)
    return {
        "status": each.status,
        "requests": each.requests,
        "last seen": f"{each.last_request:%Y-%m-%d}",
        "client": mask_secrets(f"{each.client} {each.client_version}".strip()),
        "signs SigV4 since": since,
        "authentication": each.authentication_type or "?",
        "bucket": each.bucket_name,
        "requester": each.requester,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    sys.stdout.flush()
    write_result(pa.Table.from_pylist(rows).to_reader(), format="table", out=sys.stdout.buffer)
    sys.stdout.buffer.flush()
