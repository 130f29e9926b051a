"""The values of an Arrow column as text, one way for every text format."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import re
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from etl.terminal import IGNORABLE

_NOT_FINITE = {"NaN", "Infinity", "-Infinity"}
_UNSAFE_IN_JSON = re.compile(
    "[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb" + f"{IGNORABLE}]"
)
"""What JSON allows as it is and a terminal would obey, or not show; JSON escapes the controls below a space itself."""


def column_texts(column: pa.Array[Any]) -> list[str | None]:
    r"""Each value as text, None for null.

    Times are `YYYY-MM-DDTHH:MM:SS.mmmZ` (all times in a lake are UTC), dates ISO, decimals without an exponent, binary
    as UTF-8 with bytes that are none as `\xff`, lists, structs and maps as JSON.
    """
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return cast("list[str | None]", column.to_pylist())
    if pa.types.is_timestamp(kind):
        # Arrow prints milliseconds as the fraction of %S.
        times = cast(Any, column.cast(pa.timestamp("ms")))
        return cast("list[str | None]", pc.strftime(times, format="%Y-%m-%dT%H:%M:%SZ").to_pylist())
    if pa.types.is_nested(kind):
        return [None if value is None else dump(_plain(value)) for value in column.to_pylist()]
    return [None if value is None else _text(value) for value in column.to_pylist()]


def column_json(column: pa.Array[Any]) -> list[str]:
    """Each value as JSON: numbers, booleans and nulls as such, all else as the text of `column_texts`.

    NaN and infinities are no JSON numbers and become strings.
    """
    kind = column.type
    bare = (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_nested(kind)
    )
    return [
        "null" if text is None else text if bare and text not in _NOT_FINITE else dump(text)
        for text in column_texts(column)
    ]


def dump(value: object) -> str:
    """JSON of a value; what a terminal would obey or not show is escaped, which JSON reads as the same text."""
    dumped = json.dumps(value, ensure_ascii=False)
    return _UNSAFE_IN_JSON.sub(lambda match: json.dumps(match[0])[1:-1], dumped)


def _text(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value) if math.isfinite(value) else _not_finite(value)
        case decimal.Decimal():
            return format(value, "f")
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case dt.datetime():
            return value.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
        case dt.date() | dt.time():
            return value.isoformat()
        case _:
            return str(value)


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _plain(value: Any) -> object:
    """A nested value with nothing in it that JSON does not know; an Arrow map arrives as a list of pairs."""
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case decimal.Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() if value and all(isinstance(item, tuple) for item in value):
            return {_text(key): _plain(item) for key, item in value}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return _text(value)
