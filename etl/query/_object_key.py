"""`etl.parse.decode_key` as DuckDB's SQL, for rows that came without `object_key`: what goes through Firehose leaves it out."""

from __future__ import annotations

from typing import Final

_BAD_ESCAPE: Final = "'%([^0-9A-Fa-f]|$|[0-9A-Fa-f]([^0-9A-Fa-f]|$))'"
# In the first of two passes, an escape of a byte that is no ASCII is left to the second, which reads it as it would the byte:
# between the passes the bytes need not be UTF-8, and DuckDB has no such text.
_HIGH_ESCAPE: Final = "'%([89A-Fa-f][0-9A-Fa-f])'"


def derived_key(key: str, operation: str, raw_line: str) -> str:
    """Expression for the object's name of a row that came without it, as the parser gives it.

    The parser knows the bytes of a key, and one that was no UTF-8 has no name. It has U+FFFD in it; so may one that is UTF-8.
    Its line tells: before its first quote a line holds the key between spaces, unless some bytes had to be written as escapes.
    """
    head = f"split_part({raw_line}, '\"', 1)"
    return (
        f"CASE WHEN contains({key}, chr(65533)) AND NOT contains({head}, concat(' ', {key}, ' ')) THEN NULL "
        f"ELSE {decoded_key(key, operation)} END"
    )


def decoded_key(key: str, operation: str) -> str:
    """Expression for the object's name out of two columns; null where the key cannot be decoded."""
    plain = f"replace({key}, '+', ' ')"
    first = f"url_decode(regexp_replace({key}, {_HIGH_ESCAPE}, '%25\\1', 'g'))"
    return (
        f"CASE WHEN NOT contains({key}, '%') AND NOT contains({key}, '+') THEN {key} "
        f"WHEN regexp_matches({key}, {_BAD_ESCAPE}) THEN NULL "
        f"WHEN starts_with({operation}, 'S3.') OR starts_with({operation}, 'BATCH.') THEN TRY(url_decode({plain})) "
        f"WHEN regexp_matches({first}, {_BAD_ESCAPE}) THEN NULL "
        f"ELSE TRY(url_decode({first})) END"
    )
