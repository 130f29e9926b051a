"""What a run of the detector found, as numbers: pure."""

from __future__ import annotations

from collections.abc import Iterable

from etl.detect._sigv2 import Detected


def measure(detected: Iterable[Detected]) -> dict[str, int]:
    """The metrics of a run over these files."""
    files = list(detected)
    return {
        "DetectedObjects": len(files),
        "DetectedRows": sum(each.rows for each in files),
        "SigV2Requests": sum(each.hits.num_rows for each in files),
        "AmbiguousRows": sum(each.unsure.num_rows for each in files),
        "UndecidableRows": sum(each.undecidable.num_rows for each in files),
    }
