"""How much of the generated traffic is of an unusual kind: the one place where these shares are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "stray_quotes",
    "forged",
    "cut",
    "short",
    "late",
    "doubled",
    "extra_field",
    "sigv2_header",
    "lifecycle",
    "batch_delete",
    "copy",
]
"""A kind of line that is dealt out by its share of all lines."""

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Shares:
    """Shares of all lines, from 0 to 1: what a test of a parser or a query can count on.

    They are met by running totals, not by chance, so they hold within a few lines as soon as there are lines enough
    for one; what has no eligible object yet (a late line on the first day) is made up for later.
    """

    layout_26: float = 0.06
    """Lines without a source region (November 2022 to February 2026)."""
    layout_25: float = 0.04
    """Lines that end at the access point ARN."""
    layout_24: float = 0.02
    """Lines that end at the TLS version."""
    layout_23: float = 0.005
    """Lines that end at the host header (23 days of March 2019)."""
    layout_18: float = 0.015
    """Lines that end at the version id (before March 2019)."""
    extra_field: float = 0.001
    """Lines of 27 fields with an unknown one behind them."""
    stray_quotes: float = 0.01
    """Honest lines with raw quotes in the URI, the referer or the user agent."""
    forged: float = 0.0002
    """Lines whose client wrote quotes in order to imitate other fields; they name `forged.example`."""
    cut: float = 0.0001
    """Lines that stop before their user agent does: nothing can read them."""
    short: float = 0.0001
    """Lines that stop in their 19th to 22nd field: readable up to there."""
    late: float = 0.005
    """Lines received 24 to 48 hours before their object was delivered (none if there is but one day)."""
    doubled: float = 0.002
    """Lines that an earlier object held already, byte for byte."""
    sigv2_header: float = 0.015
    """Lines of a few old clients that still sign their headers with SigV2."""
    lifecycle: float = 0.02
    """Expiry, transition and delete-marker lines that S3 writes on its own account."""
    batch_delete: float = 0.015
    """Lines of multi-object deletes: the request and one line per key."""
    copy: float = 0.006
    """Lines of copies, two per copy."""


GENERATED_SHARES = Shares()
"""The shares that `generate` keeps to."""

OLD_LAYOUTS: tuple[tuple[int, float], ...] = (
    (26, GENERATED_SHARES.layout_26),
    (25, GENERATED_SHARES.layout_25),
    (24, GENERATED_SHARES.layout_24),
    (23, GENERATED_SHARES.layout_23),
    (18, GENERATED_SHARES.layout_18),
)
"""(number of fields, share of all lines) of every layout but today's 27."""

CURRENT_LAYOUT = 27


class Ledger:
    """Running totals of what each kind of line is owed, so that shares hold however objects are sized."""

    def __init__(self) -> None:
        """Start with nothing written and nothing owed."""
        self._lines = 0
        self._paid: dict[Kind, int] = dict.fromkeys(KINDS, 0)

    def grow(self, lines: int) -> None:
        """Count the lines of the next object."""
        self._lines += lines

    def owed(self, kind: Kind) -> int:
        """Lines of this kind that are due by now and not yet taken."""
        share: float = getattr(GENERATED_SHARES, kind)
        return int(share * self._lines) - self._paid[kind]

    def take(self, kind: Kind, at_most: int) -> int:
        """Take what is owed, or as much of it as there is room for."""
        lines = max(0, min(self.owed(kind), at_most))
        self._paid[kind] += lines
        return lines
