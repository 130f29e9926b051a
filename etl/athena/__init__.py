"""Athena as the engine that rewrites: where the raw objects are many and no machine is to be kept for them."""

from etl.athena._engine import Athena, StatementFailed
from etl.athena._rewrite import rewrite_on_athena
from etl.athena._select import Source, kept_rows_sql, listed
from etl.athena._wrangler import WrangledAthena, read_manifest

__all__ = [
    "Athena",
    "Source",
    "StatementFailed",
    "WrangledAthena",
    "kept_rows_sql",
    "listed",
    "read_manifest",
    "rewrite_on_athena",
]
