"""What is deployed against what must be: tables, views, delivery, notifications, permissions, limits."""

from etl.doctor._check import Check, Unreadable
from etl.doctor._deployed import Deployed, Stack
from etl.doctor._doctor import doctor, examine

__all__ = ["Check", "Deployed", "Stack", "Unreadable", "doctor", "examine"]
