"""accesslake: Amazon S3 server access logs in, an exact, date-partitioned Parquet lake out.

`etl.parse(data, source_key=...)` and `etl.SCHEMA` are the pure core. The verbs of the command line are functions here too:
`ingest`, `compact`, `query`, `queries`, `read`, `read_pandas`, `detect`, `report`, `audit`, `replay`, `ddl`, `generate`, `cost`,
`doctor`, `smoke`;
`open_lake` opens a lake to read, and `etl.attach` plans and applies an attachment in two steps. A verb is imported when it is
first used, so that parsing costs neither boto3 nor DuckDB.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from etl.parse import Parsed, parse
from etl.schema import SCHEMA

if TYPE_CHECKING:
    from etl.audit import audit as audit
    from etl.catalog import open_lake as open_lake
    from etl.compact import compact as compact
    from etl.cost import cost as cost
    from etl.ddl import ddl as ddl
    from etl.detect import detect as detect
    from etl.doctor import doctor as doctor
    from etl.generate import generate as generate
    from etl.ingest import ingest as ingest
    from etl.query import list_queries as queries
    from etl.query import query as query
    from etl.read import read as read
    from etl.read import read_pandas as read_pandas
    from etl.replay import replay as replay
    from etl.report import report as report
    from etl.smoke import smoke as smoke

__all__ = [
    "SCHEMA",
    "Parsed",
    "audit",
    "compact",
    "cost",
    "ddl",
    "detect",
    "doctor",
    "generate",
    "ingest",
    "open_lake",
    "parse",
    "queries",
    "query",
    "read",
    "read_pandas",
    "replay",
    "report",
    "smoke",
]

_VERBS: Final = {
    "audit": ("etl.audit", "audit"),
    "compact": ("etl.compact", "compact"),
    "cost": ("etl.cost", "cost"),
    "ddl": ("etl.ddl", "ddl"),
    "detect": ("etl.detect", "detect"),
    "doctor": ("etl.doctor", "doctor"),
    "generate": ("etl.generate", "generate"),
    "ingest": ("etl.ingest", "ingest"),
    "open_lake": ("etl.catalog", "open_lake"),
    "parse": ("etl.parse", "parse"),
    "queries": ("etl.query", "list_queries"),
    "query": ("etl.query", "query"),
    "read": ("etl.read", "read"),
    "read_pandas": ("etl.read", "read_pandas"),
    "replay": ("etl.replay", "replay"),
    "report": ("etl.report", "report"),
    "smoke": ("etl.smoke", "smoke"),
}


class _Package(ModuleType):
    """Has the verbs as attributes, although most share their name with the folder that they come from.

    Importing ``etl.ingest`` sets the attribute `ingest` of this package to that module; a property of the class comes before it.
    """


def _verb(module: str, name: str) -> property:
    def load(_: ModuleType) -> Any:
        return getattr(importlib.import_module(module), name)

    return property(load, lambda _, __: None)


for _name, _place in _VERBS.items():
    setattr(_Package, _name, _verb(*_place))
sys.modules[__name__].__class__ = _Package
