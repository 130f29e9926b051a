"""The engines that `--engine` names: one is loaded only where it is asked for."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import Final

from etl.compact import Rewrite, rewrite
from etl.errors import BadParameter
from etl.lake import FILE_STATE, GLUE_STATE, open_lake

COMPACT_ENGINES: Final = ("local", "spark", "athena")
INGEST_ENGINES: Final = ("local", "spark")
_NEEDS: Final = {"spark": ("pyspark", "PySpark", "spark"), "athena": ("awswrangler", "AWS SDK for pandas", "pandas")}
"""The module, what people call it, and the extra that brings it."""


def rewrite_by(engine: str, *, lake: str, workgroup: str = "primary") -> Rewrite:
    """The engine, for this lake; `workgroup` is Athena's.

    Raises `BadParameter` if it is not installed or cannot start, or cannot rewrite such a lake: before a plan is made, which
    would be left to whoever comes next.
    """
    if engine == "local":
        return rewrite
    module, product, extra = _NEEDS[engine]
    if find_spec(module) is None:
        raise BadParameter(
            f"--engine {engine}", f"{product} is not installed", hint=f'pip install "accesslake[{extra}]"'
        )
    if engine == "athena":
        if open_lake(lake, states=(FILE_STATE, GLUE_STATE)).state != GLUE_STATE:
            raise BadParameter("--engine athena", f"Glue does not keep the state of {lake}, and Athena reads it there")
        from etl.athena import rewrite_on_athena

        return partial(rewrite_on_athena, workgroup=workgroup)
    from etl.spark import has_java, rewrite_on_spark

    if not has_java():
        raise BadParameter(f"--engine {engine}", "there is no Java to run", hint="Apache Spark runs on Java 17")
    return rewrite_on_spark
