"""Log objects as they arrive: SQS messages with S3 notifications, taken one batch at a time."""

from etl.arrivals._events import Arrival, Message, read_messages
from etl.arrivals._metrics import DIMENSION, NAMESPACE, UNITS, embedded_metrics, measure
from etl.arrivals._take import Outcome, Taken, TakenObject, take_messages

__all__ = [
    "DIMENSION",
    "NAMESPACE",
    "UNITS",
    "Arrival",
    "Message",
    "Outcome",
    "Taken",
    "TakenObject",
    "embedded_metrics",
    "measure",
    "read_messages",
    "take_messages",
]
