"""A compaction whose Spark is killed at the point it is told, and then another one: `killed_spark.py LAKE POINT`."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from pyspark import SparkContext
from spark_faults import ThenKills, send_whole

from etl.compact import compact
from etl.errors import LakeUnusable
from etl.spark import _rewrite, rewrite_on_spark


def killing(made: Any, *arguments: Any, **options: Any) -> ThenKills:
    return ThenKills(made(*arguments, **options), SparkContext._gateway.proc.pid)


if __name__ == "__main__":
    lake, point = sys.argv[1:]
    send_whole()
    made = getattr(_rewrite, point)
    setattr(_rewrite, point, partial(killing, made))
    try:
        compact(lake, rewrite=rewrite_on_spark)
    except LakeUnusable as error:
        print(error)
    setattr(_rewrite, point, made)
    print(compact(lake, rewrite=rewrite_on_spark).rows_out)
