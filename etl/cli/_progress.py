"""How far a long run is: one line on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Final

_EVERY_SECONDS: Final = 0.1


class Progress:
    """Draws one line, at most ten times a second."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._last = 0.0

    def show(self, text: str, *, share: float | None) -> None:
        """What is done, and as a bar which share of all, if that is known."""
        now = time.monotonic()
        if self._shown and now - self._last > _EVERY_SECONDS:
            self._last = now
            bar = "" if share is None else f"[{'#' * round(min(share, 1.0) * 30):30}] {min(share, 1.0):4.0%}  "
            sys.stderr.write(f"\r\x1b[K{bar}{text}")
            sys.stderr.flush()

    def close(self) -> None:
        """Give the terminal its line back."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def rows_so_far(written: int, planned: int) -> str:
    """How far a rewrite is; `planned` is 0 until its rows are counted."""
    return f"{written:,} of {planned:,} rows" if planned else f"{written:,} rows"
