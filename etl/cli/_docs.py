"""The page of all commands, from their own help texts."""

from __future__ import annotations

import click

from etl.cli._main import accesslake

_INTRODUCTION = """# Commands

Every verb takes `--json`: one JSON object on stdout (`query`: an array of objects), everything else on stderr. Exit code 0:
done; 1: something could not be read or done, and a line on stderr names it; 2: the command itself is wrong; 130: it was
interrupted. LAKE is a folder, or `s3://bucket/prefix` at any endpoint (`AWS_ENDPOINT_URL`). This page is made from the commands'
own help by `make docs`.
"""


def docs_commands() -> str:
    """The text of ``docs/commands.md``."""
    sections = [_INTRODUCTION]
    with accesslake.make_context("accesslake", ["parse"], resilient_parsing=True, terminal_width=100) as context:
        for name in accesslake.list_commands(context):
            command = accesslake.get_command(context, name)
            assert command is not None  # it is listed
            with click.Context(
                command, info_name=name, parent=context, max_content_width=100, terminal_width=100
            ) as inner:
                sections.append(f"## {name}\n\n```text\n{command.get_help(inner)}\n```\n")
    return "\n".join(sections)
