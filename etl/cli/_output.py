"""What goes to which stream: results to stdout, everything else, one clear line each, to stderr."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

import click

from etl.masking import mask
from etl.terminal import escape

_SHOWN_ERRORS: Final = 10
_SURROGATES: Final = re.compile(r"(?P<pair>\\\\|\\ud[89ab]..\\ud[c-f]..)|\\ud[89a-f]..")
"""In JSON of ASCII: what stands alone, after the backslashes and pairs that are as they should be."""


def print_json(value: dict[str, Any]) -> None:
    """The one object that `--json` promises, with no half of a character in it, as a name that is not UTF-8 has."""
    click.echo(_SURROGATES.sub(lambda found: found["pair"] or f"\\{found[0]}", json.dumps(value, indent=2)))


def print_text(text: str) -> None:
    """A line of the result for people; nothing in it can drive their terminal or shows a credential."""
    click.echo(escape(mask(text)))


def print_message(text: str) -> None:
    """A line for people; nothing in it can drive their terminal or shows a credential."""
    click.echo(escape(mask(text)), err=True)


def print_errors(errors: Iterable[object]) -> None:
    """A line for each error, or text of one, and after the tenth how many more there are."""
    listed = list(errors)
    for error in listed[:_SHOWN_ERRORS]:
        print_message(f"accesslake: {error}")
    if len(listed) > _SHOWN_ERRORS:
        print_message(f"accesslake: and {len(listed) - _SHOWN_ERRORS} more; --json lists all")


def json_option(function: Any) -> Any:
    """The option `--json`, which every verb takes."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else on stdout.")(
        function
    )
