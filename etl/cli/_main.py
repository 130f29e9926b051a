"""The command group, and the one place where errors become exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Final, NoReturn

import click

from etl.errors import AccessLakeError, UsageError

_VERBS: Final = (
    "attach",
    "audit",
    "compact",
    "cost",
    "ddl",
    "demo",
    "detect",
    "doctor",
    "generate",
    "ingest",
    "parse",
    "queries",
    "query",
    "replay",
    "report",
    "smoke",
)
_EXIT_FAILED, _EXIT_USAGE, _EXIT_INTERRUPTED = 1, 2, 130


class _Verbs(click.Group):
    """Loads a verb's module when it is called: `parse` need not wait for DuckDB."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        command = getattr(importlib.import_module(f"etl.cli._{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="accesslake")
def accesslake() -> None:
    """Amazon S3 server access logs in, an exact, queryable Parquet lake out."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 something could not be read or done, 2 usage."""
    # Rows are gathered in pieces of very different sizes; jemalloc hands their memory out anew where mimalloc does not.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    from etl.cli._output import print_errors, print_message

    try:
        result: Any = accesslake.main(arguments, prog_name="accesslake", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        print_message(f"accesslake: {error.format_message()}")
        return _EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        print_message("accesslake: interrupted")
        return _EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has enough; keep the interpreter from flushing into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT_FAILED
    except AccessLakeError as error:
        print_errors([error])
        return _EXIT_USAGE if isinstance(error, UsageError) else _EXIT_FAILED
    except Exception as error:
        if "ACCESSLAKE_DEBUG" in os.environ:
            raise
        print_message(f"accesslake: internal error: {type(error).__name__}: {error} (ACCESSLAKE_DEBUG=1 shows where)")
        return _EXIT_FAILED
