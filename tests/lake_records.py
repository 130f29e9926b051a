"""One record of each kind that compaction writes."""

from __future__ import annotations

from etl.lake import Commit, Input, Output, Plan, Winner

INPUT = Input("raw/ingest_date=2024-05-02/a.parquet", "etag", 10, 3, 4, 1)
OUTPUT = Output("compacted/event_date=2024-05-01/0000000001-0001.parquet", 20, 2)
PLAN = Plan("0000000001", (INPUT,), ())
WINNER = Winner("0000000001", "attempt", (OUTPUT,), {"2024-05-02": 1}, ("raw/x",))
COMMIT = Commit("0000000001", (INPUT,), (), (OUTPUT,), {"2024-05-02": 1}, "2024-05-02T00:00:00+00:00")
