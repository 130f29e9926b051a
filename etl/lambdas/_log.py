"""What handlers log."""

from __future__ import annotations

import json


def log(level: str, what: str, **facts: object) -> None:
    """One JSON object on one line, whatever the facts hold; who may see the log sees them, so mask what came from outside."""
    print(json.dumps({"level": level, "what": what, **facts}), flush=True)
