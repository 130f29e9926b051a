"""Log lines in, typed rows and quarantined lines out: pure, no AWS, no clock, no disk.

`parse` reads a whole object, `parse_stream` one of any size in bounded memory. Both cut plain lines with a vectorised fast path
and give every line it cannot prove to the exact reader (`read_line`), which defines what a line means: ``docs/parsing.md``.
"""

from etl.parse._exact import AMBIGUOUS, CLEAN, REASONS, SHORT, Reading, Rejected, read_line
from etl.parse._keys import decode_key, decode_keys
from etl.parse._parse import Parsed, parse, parse_exact, parse_fields, parse_stream

__all__ = [
    "AMBIGUOUS",
    "CLEAN",
    "REASONS",
    "SHORT",
    "Parsed",
    "Reading",
    "Rejected",
    "decode_key",
    "decode_keys",
    "parse",
    "parse_exact",
    "parse_fields",
    "parse_stream",
    "read_line",
]
