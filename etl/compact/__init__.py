"""Compaction: many small raw files to few large sorted ones, each row once, in one atomic step for readers."""

from etl.compact._compact import (
    DEFAULT_GRACE,
    DEFAULT_SEAL_DELAY,
    Compacted,
    check_published,
    collect,
    commit,
    compact,
    elect,
    publish,
    read_or_create_plan,
)
from etl.compact._inspect import inspect_inputs
from etl.compact._plan import Eligible, choose_objects, is_straggler, plan_batch
from etl.compact._rewrite import DEFAULT_TARGET_BYTES, rewrite
from etl.compact._verify import verify

__all__ = [
    "DEFAULT_GRACE",
    "DEFAULT_SEAL_DELAY",
    "DEFAULT_TARGET_BYTES",
    "Compacted",
    "Eligible",
    "check_published",
    "choose_objects",
    "collect",
    "commit",
    "compact",
    "elect",
    "inspect_inputs",
    "is_straggler",
    "plan_batch",
    "publish",
    "read_or_create_plan",
    "rewrite",
    "verify",
]
