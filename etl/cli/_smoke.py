"""`accesslake smoke`."""

from __future__ import annotations

from dataclasses import asdict

import click

from etl.cli._output import json_option, print_json, print_message, print_text
from etl.masking import mask
from etl.smoke import smoke as smoke_stack


@click.command()
@click.option("--stack", required=True, help="Name of the CloudFormation stack.")
@json_option
def smoke(stack: str, as_json: bool) -> int:
    """Settle on a deployed stack what only a real account can, and print what was found.

    Sends four small records through its stream and waits for them, up to twenty minutes; removes what holds nothing else,
    and says what it left. Exit code 1 if anything is other than expected, or stayed open.
    """
    print_message("accesslake: waiting for what is sent to arrive, up to twenty minutes")
    done = smoke_stack(stack)
    if as_json:
        shown = [{name: mask(text) for name, text in asdict(finding).items()} for finding in done.findings]
        print_json({"ok": done.ok, "stack": stack, "findings": shown, "left": [mask(each) for each in done.left]})
        return 0 if done.ok else 1
    for finding in done.findings:
        print_text(f"{finding.outcome:11}  {finding.name}: {finding.found}")
    for each in done.left:
        print_text(f"left behind  {each}")
    return 0 if done.ok else 1
