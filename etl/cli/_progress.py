"""How far a long run is: one line on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Final

_EVERY_SECONDS: Final = 0.1


class Progress:
    """Counts bytes of log objects against their total, if that is known, and redraws a bar ten times a second."""

    def __init__(self, *, total_bytes: int | None) -> None:
        self._total = total_bytes
        self._shown = sys.stderr.isatty()
        self._bytes = self._objects = self._lines = 0
        self._last = 0.0

    def add(self, *, size: int, lines: int) -> None:
        """One more log object is done."""
        self._bytes += size
        self._objects += 1
        self._lines += lines
        now = time.monotonic()
        if self._shown and now - self._last > _EVERY_SECONDS:
            self._last = now
            sys.stderr.write(f"\r\x1b[K{self._line()}")
            sys.stderr.flush()

    def close(self) -> None:
        """Give the terminal its line back."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _line(self) -> str:
        counts = f"{self._objects:,} objects  {self._lines:,} lines  {self._bytes / 1e6:,.0f} MB"
        if not self._total:
            return counts
        share = min(self._bytes / self._total, 1.0)
        return f"[{'#' * round(share * 30):30}] {share:4.0%}  {counts}"
