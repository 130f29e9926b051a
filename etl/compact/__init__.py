"""Compaction: many small raw files to few large sorted ones, each row once, in one atomic step for readers."""

from etl.compact._compact import (
    DEFAULT_GRACE,
    DEFAULT_SEAL_DELAY,
    Compacted,
    carry_out,
    check_published,
    collect,
    commit,
    compact,
    create_plan,
    elect,
    publish,
    read_or_create_plan,
    read_pending_plan,
)
from etl.compact._fold import CONTENT
from etl.compact._inspect import inspect_inputs, is_intact, read_footer
from etl.compact._order import FILE_ORDER
from etl.compact._outputs import Outputs
from etl.compact._plan import BatchLimit, Eligible, choose_objects, is_straggler, plan_batch, plan_logs
from etl.compact._protocol import MAX_TARGET_MIB, OnRows, Rewrite
from etl.compact._read_input import LogRows, read_log, read_raw
from etl.compact._rewrite import DEFAULT_TARGET_BYTES, rewrite
from etl.compact._verify import verify

__all__ = [
    "CONTENT",
    "DEFAULT_GRACE",
    "DEFAULT_SEAL_DELAY",
    "DEFAULT_TARGET_BYTES",
    "FILE_ORDER",
    "MAX_TARGET_MIB",
    "BatchLimit",
    "Compacted",
    "Eligible",
    "LogRows",
    "OnRows",
    "Outputs",
    "Rewrite",
    "carry_out",
    "check_published",
    "choose_objects",
    "collect",
    "commit",
    "compact",
    "create_plan",
    "elect",
    "inspect_inputs",
    "is_intact",
    "is_straggler",
    "plan_batch",
    "plan_logs",
    "publish",
    "read_footer",
    "read_log",
    "read_or_create_plan",
    "read_pending_plan",
    "read_raw",
    "rewrite",
    "verify",
]
