"""`accesslake replay`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from typing import Any

import click

from etl.cli._output import json_option, print_errors, print_json, print_message
from etl.errors import BadParameter, LakeUnusable, first_line
from etl.masking import mask
from etl.replay import MakeSink, Replayed, direct_sink, firehose_sink
from etl.replay import replay as replay_lake

_SHOWN = 10


@click.command()
@click.option("--lake", required=True, help="The lake's folder or s3://bucket/prefix.")
@click.option(
    "--sink",
    type=click.Choice(["parquet", "firehose"]),
    default="parquet",
    show_default=True,
    help="Where rows go: into raw/, or to a delivery stream.",
)
@click.option("--stream", help="Name of the delivery stream, with --sink firehose.")
@json_option
def replay(lake: str, sink: str, stream: str | None, as_json: bool) -> int:
    """Parse quarantined lines again, and send the records again that Firehose could not convert.

    Lines that are rows now leave quarantine/. Running it again adds nothing. What still cannot be read stays where it is; of
    error objects it is named, and the exit code is 1.
    """
    done = replay_lake(lake, sink=_sink(sink, stream))
    if as_json:
        print_json(_shown(done))
    else:
        click.echo(
            f"{done.lines:,} quarantined lines parsed again: {done.lines_rows:,} are rows now\n"
            f"{done.error_objects:,} error objects read, {done.skipped:,} replayed before: "
            f"{done.documents_rows:,} documents sent again"
        )
        for code, records in done.error_codes.most_common(_SHOWN):
            print_message(f"Firehose gave up {records:,} records: {code}")
    print_errors(": ".join(filter(None, (each.object, each.position, each.reason))) for each in done.stuck)
    return 1 if done.stuck else 0


def _shown(done: Replayed) -> dict[str, Any]:
    """All of it; codes and reasons come from outside, so nothing in them may show a credential."""
    stuck = [{name: mask(text) for name, text in asdict(each).items()} for each in done.stuck]
    codes = {mask(code): records for code, records in done.error_codes.items()}
    return asdict(replace(done, error_codes=Counter(), stuck=[])) | {"error_codes": codes, "stuck": stuck}


def _sink(sink: str, stream: str | None) -> MakeSink:
    if (sink == "firehose") != (stream is not None):
        raise BadParameter("--stream", "is for --sink firehose, which needs it")
    if stream is None:
        return direct_sink
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        client: Any = boto3.client("firehose")
    except BotoCoreError as error:
        raise LakeUnusable(stream, first_line(error)) from error
    return firehose_sink(client, stream)
