"""Whether every line that came in is still accounted for."""

from etl.audit._audit import Audit, AuditedDay, audit

__all__ = ["Audit", "AuditedDay", "audit"]
