"""A compaction on Spark that is killed at the point it is told: `killed_driver.py LAKE POINT`."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import Any

from spark_faults import ThenKills, send_whole

from etl.compact import compact
from etl.spark import _rewrite, rewrite_on_spark


def killing(made: Any, *arguments: Any, **options: Any) -> ThenKills:
    return ThenKills(made(*arguments, **options), os.getpid())


def rewrite_and_die(*arguments: Any, **options: Any) -> Any:
    rewrite_on_spark(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    lake, point = sys.argv[1:]
    send_whole()
    if point != "Winner":
        setattr(_rewrite, point, partial(killing, getattr(_rewrite, point)))
    compact(lake, rewrite=rewrite_and_die if point == "Winner" else rewrite_on_spark)
    raise AssertionError("still there")
