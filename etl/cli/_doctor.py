"""`accesslake doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click

from etl.cli._output import json_option, print_json, print_text
from etl.doctor import doctor as examine_stack


@click.command()
@click.option("--stack", required=True, help="Name of the CloudFormation stack.")
@json_option
def doctor(stack: str, as_json: bool) -> int:
    """Compare what is deployed with what this version expects.

    Exit code 1 if anything is not as it must be; each such check says what to do.
    """
    checks = examine_stack(stack)
    ok = all(check.ok for check in checks)
    if as_json:
        print_json({"ok": ok, "stack": stack, "checks": [asdict(check) for check in checks]})
        return 0 if ok else 1
    for check in checks:
        lines = [f"{'ok    ' if check.ok else 'NOT OK'}  {check.name}: {check.found}"]
        if not check.ok:
            lines += [f"        expected: {check.expected}", f"        {check.advice}"]
        for line in lines:
            print_text(line)
    click.echo("all is as expected" if ok else f"{sum(not check.ok for check in checks)} of {len(checks)} are not ok")
    return 0 if ok else 1
