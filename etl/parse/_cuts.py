"""Where the fields of a chunk's lines are: the common tongue of the fast tokenizer, the exact reader and the columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from etl.parse._exact import NUMBERS
from etl.schema import WIRE_FIELDS

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

TEXT_PLACES: Final = tuple(place for place in range(len(WIRE_FIELDS)) if place != 2 and place not in NUMBERS)
"""Places, counted from 0, of the fields that stay text."""


@dataclass(frozen=True)
class Cuts:
    """The lines of one chunk, one entry a line: spans into the chunk's bytes, and the values that are no text.

    `starts` and `ends` map a text field's place to its spans; an absent field has an empty span with `present` False.
    Within a field the spans never step back, whatever the line: Arrow offsets are made of them.
    """

    line_starts: Ints
    line_ends: Ints
    starts: dict[int, Ints]
    ends: dict[int, Ints]
    present: dict[int, Bools]
    time_ms: Ints
    numbers: dict[int, Ints]
    number_present: dict[int, Bools]
    extra_starts: Ints
    """Where the text after field 27 starts; it ends with the line. -1 for none."""
    extra_ends: Ints
    short: Bools
    exact: Bools
    """True where the spans are those of the exact reader, proven; the others must be read by it."""
