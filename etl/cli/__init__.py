"""The command `accesslake`: thin, each verb wires a function of the library to a terminal."""

from etl.cli._main import main

__all__ = ["main"]
