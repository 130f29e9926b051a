"""Where the fields of a chunk's lines are: the common tongue of the fast tokenizer, the exact reader and the columns."""

from __future__ import annotations

from dataclasses import dataclass

from etl.arrays import Bools, Ints


@dataclass(frozen=True)
class Cuts:
    """The lines of one chunk: spans into its bytes, and the values that are no text.

    Arrays of one axis have an entry a line; `starts`, `ends` and `present` have a row for each field of the line, `numbers` one
    for each that is a number. An absent field has any span that keeps the fields of its line in order: Arrow offsets, which
    never step back, are made of the spans of a line one after the other, and of all lines.
    """

    line_starts: Ints
    line_ends: Ints
    starts: Ints
    ends: Ints
    present: Bools
    time_ms: Ints
    numbers: Ints
    extra_starts: Ints
    """Where the text after field 27 starts; -1 for none."""
    extra_ends: Ints
    short: Bools
    exact: Bools
    """True where the spans are those of the exact reader, proven; the others must be read by it."""
