"""What a finding shows of its row, as text that anybody may read: one JSON object, credentials masked. Pure.

A column at a time in Arrow: most texts are plain, and only the others, where a client or a secret shows, become Python's.
"""

from __future__ import annotations

import datetime as dt
import json
from functools import lru_cache, reduce
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.arrays import repeat_text, texts_to_array, values_to_array
from etl.masking import MAY_HOLD_SECRET, mask

LONGEST: Final = 2048
"""Characters of a value that are kept: a client chooses how long its user agent is."""

_JSON_AS_IT_IS: Final = r"^[ !#-\[\]-~]*$"
_LONGEST: Final = values_to_array(np.array([LONGEST], np.int32), None, pa.int32())[0]
_NOTHING, _QUOTE, _ZONE_AND_QUOTE, _COMMA, _OPEN, _CLOSE = texts_to_array(["", '"', 'Z"', ", ", "{", "}"], pa.string())


@lru_cache(maxsize=4096)
def mask_secrets(text: str) -> str:
    """The text as `etl.masking` leaves it; most texts of a lake repeat."""
    return mask(text)


def write_details(rows: pa.Table) -> pa.StringArray:
    """Each row as one JSON object of ASCII: times as `YYYY-MM-DDTHH:MM:SS.mmmZ`, texts masked and cut, nulls left out."""
    members = [
        _write_members(name, column.combine_chunks())
        for name, column in zip(rows.column_names, rows.columns, strict=True)
    ]
    if not members:
        return repeat_text("{}", rows.num_rows)
    # Arrow's join drops a row of which it skips every part, so one of them must be a text.
    is_bare = reduce(pc.and_, (pc.is_null(each) for each in members))
    members[0] = pc.if_else(is_bare, _NOTHING, members[0])
    return _join(_OPEN, pc.binary_join_element_wise(*members, _COMMA, null_handling="skip"), _CLOSE)


def _write_members(name: str, values: pa.Array) -> pa.StringArray:
    """`"name": value` of each row, null where there is none."""
    opening = texts_to_array([f"{json.dumps(name)}: "], pa.string())[0]
    if pa.types.is_string(values.type):
        values = values.dictionary_encode()
    if isinstance(values, pa.DictionaryArray):
        return _join(opening, _write_values(values.dictionary)).take(values.indices)
    return _join(opening, _write_values(values))


def _write_values(values: pa.Array) -> pa.StringArray:
    if pa.types.is_string(values.type):
        is_long = pc.greater(pc.binary_length(values), _LONGEST)
        is_odd = pc.or_(is_long, pc.invert(pc.match_substring_regex(values, _JSON_AS_IT_IS)))
        is_odd = pc.or_(is_odd, pc.match_substring_regex(values, MAY_HOLD_SECRET))
        return _replace(_join(_QUOTE, values, _QUOTE), values, is_odd)
    if values.type == pa.timestamp("ms"):
        # Casting takes a fortieth of the time of `strftime`.
        return _join(_QUOTE, pc.replace_substring(values.cast(pa.string()), " ", "T"), _ZONE_AND_QUOTE)
    if pa.types.is_integer(values.type):
        return values.cast(pa.string())
    return texts_to_array([_write_value(value) for value in values.to_pylist()], pa.string())


def _replace(written: pa.StringArray, values: pa.StringArray, is_odd: pa.BooleanArray) -> pa.StringArray:
    """What is written already, but for those that are odd, which are written here."""
    texts = [_write_value(value) for value in values.filter(is_odd).to_pylist()]
    return pc.replace_with_mask(written, is_odd, texts_to_array(texts, pa.string())) if texts else written


def _write_value(value: Any) -> str | None:
    if isinstance(value, dt.datetime):
        value = f"{value.isoformat(timespec='milliseconds')}Z"
    elif isinstance(value, str):
        masked = mask_secrets(value)
        value = masked if len(masked) <= LONGEST else masked[: LONGEST - 1] + "…"
    return None if value is None else json.dumps(value)


def _join(*parts: pa.Array | pa.Scalar) -> pa.StringArray:
    return pc.binary_join_element_wise(*parts, _NOTHING)
