"""One thing that was looked at, and how it is: pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar


@dataclass(frozen=True)
class Check:
    """What was found in one place, what must be there, and what to do if it is not."""

    name: str
    ok: bool
    found: str
    expected: str
    advice: str
    """"" where all is well."""


@dataclass(frozen=True)
class Unreadable:
    """A place that could not be looked at: itself something to tell, and no reason to look nowhere else."""

    reason: str


Found = dict[str, Any] | Unreadable
Seen = TypeVar("Seen")


def judge(
    name: str, found: Seen | Unreadable, problems: Callable[[Seen], Iterable[str]], *, expected: str, advice: str
) -> Check:
    """The check that `problems` finds nothing in what was found."""
    wrong = [found.reason] if isinstance(found, Unreadable) else list(problems(found))
    return Check(name, not wrong, "; ".join(wrong) or expected, expected, advice if wrong else "")
