"""Log objects as they arrive: SQS messages with S3 notifications, taken one batch at a time."""

from etl.arrivals._events import Arrival, Message, read_messages

__all__ = ["Arrival", "Message", "read_messages"]
