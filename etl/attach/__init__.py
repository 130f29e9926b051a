"""Hooks a log bucket that exists already to the queue of a stack, without touching what it does for others."""

from etl.attach._attach import Attachment, Change, apply_attachment, plan_attachment
from etl.attach._notification import is_notified, merge_notification
from etl.attach._policy import allows_log_delivery, merge_policy
from etl.attach._target import logging_target, logs_under, merge_logging

__all__ = [
    "Attachment",
    "Change",
    "allows_log_delivery",
    "apply_attachment",
    "is_notified",
    "logging_target",
    "logs_under",
    "merge_logging",
    "merge_notification",
    "merge_policy",
    "plan_attachment",
]
