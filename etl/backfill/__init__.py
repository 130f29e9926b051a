"""From an archive of log objects straight to compacted/, batch by batch."""

from etl.backfill._backfill import BATCH_BYTES, BATCH_OBJECTS, Backfilled, backfill
from etl.backfill._batches import cut_batches

__all__ = ["BATCH_BYTES", "BATCH_OBJECTS", "Backfilled", "backfill", "cut_batches"]
