"""What a row left out on its way through Firehose, put back: a compacted row is the same through whichever sink it came."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.arrays import bools_to_array, texts_to_array, values_to_array
from etl.parse import CLEAN, decode_keys

_CLEAN, _NULL = texts_to_array([CLEAN, None], pa.string())
_DERIVED_FROM: Final = ["key_name", "operation", "raw_line"]
_REPLACED: Final = "\ufffd"


def restore_left_out(rows: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with `parse_status` and `object_key` as the parser gave them, where a sink left them out as derivable.

    An object key that the parser itself found undecodable comes out null again.
    """
    status, key = rows.column("parse_status"), rows.column("object_key")
    if status.null_count:
        rows = rows.set_column(
            rows.schema.get_field_index("parse_status"), "parse_status", pc.fill_null(status, _CLEAN)
        )
    if key.null_count:
        underived = pc.and_(pc.is_null(key), pc.is_valid(rows.column("key_name")))
        key = pc.replace_with_mask(key, underived, _decode(rows.select(_DERIVED_FROM).filter(underived)))
        rows = rows.set_column(rows.schema.get_field_index("object_key"), "object_key", key)
    return rows


def _decode(rows: pa.RecordBatch) -> pa.StringArray:
    """The keys as the parser decodes them, which knows their bytes: one that was no UTF-8 has no name.

    Such a key has U+FFFD in it; so may one that is UTF-8. Their lines tell: before its first quote a line holds the key
    between spaces, unless some of its bytes had to be written as escapes.
    """
    keys, lines = rows.column("key_name"), rows.column("raw_line")
    decoded = _decode_distinct(keys, rows.column("operation"))
    doubtful = pc.indices_nonzero(pc.and_(pc.match_substring(keys, _REPLACED), pc.is_valid(lines))).to_pylist()
    if not doubtful:
        return decoded
    present = np.ones(len(keys), np.bool_)
    present[doubtful] = [f" {keys[row]} " in str(lines[row]).partition('"')[0] for row in doubtful]
    return pc.if_else(bools_to_array(present), decoded, _NULL)


def _decode_distinct(keys: pa.StringArray, operations: pa.StringArray) -> pa.StringArray:
    """The keys decoded, each once under each operation: most rows have one of a few."""
    key, operation = keys.dictionary_encode(), operations.dictionary_encode(null_encoding="encode")
    count = len(operation.dictionary)
    pair = pc.add(
        pc.multiply(key.indices.cast(pa.int64()), count), operation.indices.cast(pa.int64())
    ).dictionary_encode()
    pairs = np.frombuffer(pair.dictionary.buffers()[1], np.int64, len(pair.dictionary))
    of_key, of_operation = (values_to_array(part, None, pa.int64()) for part in np.divmod(pairs, count))
    return decode_keys(key.dictionary.take(of_key), operation.dictionary.take(of_operation)).take(pair.indices)
