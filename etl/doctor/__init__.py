"""What is deployed against what must be: tables, views, delivery, compaction, detection, permissions, limits."""

from etl.doctor._check import Check, Unreadable
from etl.doctor._deployed import Compactor, Deployed, Detector, Progress, Stack
from etl.doctor._doctor import doctor, examine

__all__ = [
    "Check",
    "Compactor",
    "Deployed",
    "Detector",
    "Progress",
    "Stack",
    "Unreadable",
    "doctor",
    "examine",
]
