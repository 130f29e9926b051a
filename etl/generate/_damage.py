"""Lines that were cut off."""

from __future__ import annotations

from random import Random


def cut(line: str, rng: Random) -> str:
    """The line up to somewhere between its request URI and the end of its user agent: no reader can place its fields."""
    return line[: rng.randrange(line.index('"') + 2, line.rindex('"'))]


def shortened(line: str, rng: Random) -> str:
    """The line, of 27 fields, up to its 19th to 22nd, of which half is left."""
    kept = line.rsplit(" ", 27 - rng.randrange(19, 23))[0]
    last = len(kept) - kept.rindex(" ") - 1
    return kept[: len(kept) - last // 2]
