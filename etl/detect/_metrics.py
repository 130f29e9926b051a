"""What a run of the detector found, as numbers: pure."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from etl.detect._findings import fold_rows
from etl.detect._sigv2 import Detected
from etl.parse import AMBIGUOUS


def measure(detected: Iterable[Detected]) -> dict[str, int]:
    """The metrics of a run over these files. A row that Firehose wrote twice into a file is read twice, and counts once."""
    files = list(detected)
    return {
        "DetectedObjects": len(files),
        "DetectedRows": sum(each.rows for each in files),
        "SigV2Requests": sum(fold_rows(each.hits).num_rows for each in files),
        "AmbiguousRows": sum(fold_rows(only_ambiguous(each.unsure)).num_rows for each in files),
        "UndecidableRows": sum(fold_rows(each.undecidable).num_rows for each in files),
    }


def only_ambiguous(unsure: pa.Table) -> pa.Table:
    """The rows with several readings: some undecidable ones have a single one, of a line that was cut."""
    return unsure.filter(pc.equal(unsure.column("parse_status"), AMBIGUOUS))
