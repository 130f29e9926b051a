"""A second chance for what was set aside: quarantined lines, and the records that Firehose could not convert."""

from etl.replay._documents import Unfit, read_record
from etl.replay._error_object import ErrorObject, read_error_object
from etl.replay._receipts import Receipt, read_receipts
from etl.replay._replay import MakeSink, Replayed, Stuck, direct_sink, firehose_sink, replay

__all__ = [
    "ErrorObject",
    "MakeSink",
    "Receipt",
    "Replayed",
    "Stuck",
    "Unfit",
    "direct_sink",
    "firehose_sink",
    "read_error_object",
    "read_receipts",
    "read_record",
    "replay",
]
