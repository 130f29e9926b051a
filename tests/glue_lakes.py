"""A lake in a folder or a bucket whose state a Glue in memory keeps, one that is as strict about versions as the real one."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from stepwise import DATABASE, GLUE, MemoryLake, StepGlue, new_catalog

from etl.catalog import State, _keeper, read_state
from etl.lake import create_glue_lake

FIRST_DAY = "2024-05-01"


def make_glue_lake(uri: str, monkeypatch: pytest.MonkeyPatch, *, first_day: str = FIRST_DAY) -> MemoryLake:
    """An empty lake, and its Glue."""
    opened = create_glue_lake(uri, database=DATABASE)
    catalog = MemoryLake(new_catalog(first_day=first_day, lake_uri=opened.uri), Path(), dt.datetime.now(dt.UTC))
    monkeypatch.setattr(_keeper, "open_glue", lambda _: StepGlue(catalog))
    return catalog


def live(catalog: MemoryLake, name: str = "access_logs") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(catalog.objects[GLUE + name])
    return found


def put(catalog: MemoryLake, table: dict[str, Any]) -> None:
    """What somebody else writes."""
    version = str(int(live(catalog, table["Name"]).get("VersionId", "0")) + 1)
    catalog.put(GLUE + table["Name"], json.dumps({**table, "VersionId": version}).encode())


def state(catalog: MemoryLake) -> State:
    return read_state(live(catalog))
