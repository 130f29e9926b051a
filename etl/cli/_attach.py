"""`accesslake attach`."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterator

import boto3
import click
from botocore.exceptions import BotoCoreError, ClientError

from etl.attach import Attachment, Change, apply_attachment, plan_attachment
from etl.cli._output import json_option, print_json, print_message
from etl.errors import SourceUnreadable, first_line
from etl.terminal import escape


@click.command()
@click.option("--bucket", required=True, help="The log bucket.")
@click.option("--queue", required=True, help="ARN of the stack's queue.")
@click.option("--prefix", default="", help="Only objects under it are logs.")
@click.option(
    "--source-bucket", "source_buckets", multiple=True, help="A bucket to log into the log bucket; repeatable."
)
@click.option("--log-prefix", help="Where the source buckets' logs go.  [default: the prefix]")
@click.option("--yes", is_flag=True, help="Write without asking.")
@json_option
def attach(
    bucket: str,
    queue: str,
    prefix: str,
    source_buckets: tuple[str, ...],
    log_prefix: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Hook a log bucket that exists already to a stack's queue.

    Shows what would change, and writes it only with --yes or after a question on a terminal. Whatever is configured already
    stays; what cannot be done beside it is an error.
    """
    try:
        s3 = boto3.client("s3")
        account = boto3.client("sts").get_caller_identity()["Account"] if source_buckets else ""
    except (BotoCoreError, ClientError) as error:
        raise SourceUnreadable(bucket, first_line(error)) from error
    attachment = plan_attachment(
        s3,
        account=account,
        bucket=bucket,
        queue=queue,
        prefix=prefix,
        source_buckets=source_buckets,
        log_prefix=log_prefix,
    )
    if not as_json:
        for change in attachment.changes:
            for line in _diff(change):
                click.echo(escape(line))
    write = bool(attachment.changes) and (yes or (not as_json and _asked(attachment)))
    if write:
        apply_attachment(s3, attachment)
    if as_json:
        print_json({"bucket": bucket, "changes": [vars(change) for change in attachment.changes], "written": write})
    elif not attachment.changes:
        print_message("everything is so already")
    else:
        print_message("written" if write else "nothing is written; --yes writes it")


def _diff(change: Change) -> Iterator[str]:
    before, after = (json.dumps(each, indent=2).splitlines() for each in (change.before, change.after))
    name = f"{change.what} of {change.bucket}"
    return difflib.unified_diff(before, after, f"{name} (now)", f"{name} (then)", lineterm="")


def _asked(attachment: Attachment) -> bool:
    return _on_terminal() and click.confirm(f"Write {len(attachment.changes)} change(s)?", err=True)


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
