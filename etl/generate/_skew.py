"""Skewed weights and times, by whole numbers and divisions alone.

`math.log` and `math.exp` may differ in their last bit from one C library to the next, and one bit is enough to send a
generated object down another path; so nothing here, nor in the rest of the generator, calls them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import accumulate
from random import Random


def zipf(count: int, *, flatten: int = 1) -> tuple[float, ...]:
    """Weights 1/(rank + flatten): the first few take most of the traffic; a larger `flatten` evens them out."""
    return tuple(1 / (rank + flatten) for rank in range(count))


def cumulative(weights: Iterable[float]) -> tuple[float, ...]:
    """Running totals, as `Random.choices(cum_weights=...)` wants them; `sum` of floats differs between Python versions."""
    return tuple(accumulate(weights))


@cache
def turn_around_times() -> tuple[int, ...]:
    """Milliseconds S3 takes to answer: mostly 8 to 60, with a tail into seconds; draw from it evenly."""
    rng = Random(1)
    times: list[int] = []
    for doublings, count in enumerate((2400, 900, 400, 200, 100, 50, 25, 12, 6, 3)):
        times.extend(rng.randrange(8, 44) << doublings for _ in range(count))
    return tuple(times)


DISORDER: tuple[int, ...] = (0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 6, 9, 15, 25)
"""Seconds by which a line stands later in its object than its time says; draw from it evenly."""

HOURLY_TRAFFIC: tuple[int, ...] = (4, 3, 3, 2, 2, 3, 4, 6, 9, 11, 12, 12, 11, 12, 13, 13, 12, 11, 10, 9, 9, 8, 7, 5)
"""Relative traffic of the 24 hours of a UTC day."""

_DAY_UNITS = sum(HOURLY_TRAFFIC) * 3600
_HOUR_STARTS = tuple(3600 * total for total in accumulate(HOURLY_TRAFFIC, initial=0))


def busy_time(done: int, total: int, *, days: int) -> int:
    """The second, of `days` days with the daily rhythm, by which `done` of `total` lines have come in."""
    day, rest = divmod(done * days * _DAY_UNITS // total, _DAY_UNITS)
    hour = sum(1 for start in _HOUR_STARTS[1:24] if start <= rest)
    return day * 86400 + hour * 3600 + (rest - _HOUR_STARTS[hour]) // HOURLY_TRAFFIC[hour]
