"""Compaction: many small raw files to few large sorted ones, each row once, in one atomic step for readers."""

from etl.compact._compact import Compacted, collect, commit, compact, elect, publish, read_or_create_plan
from etl.compact._inspect import inspect_inputs
from etl.compact._plan import plan_batch
from etl.compact._rewrite import DEFAULT_TARGET_BYTES, rewrite
from etl.compact._verify import verify

__all__ = [
    "DEFAULT_TARGET_BYTES",
    "Compacted",
    "collect",
    "commit",
    "compact",
    "elect",
    "inspect_inputs",
    "plan_batch",
    "publish",
    "read_or_create_plan",
    "rewrite",
    "verify",
]
