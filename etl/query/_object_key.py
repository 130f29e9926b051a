"""`etl.parse.decode_key` as DuckDB's SQL, for rows that came without `object_key`: what goes through Firehose leaves it out."""

from __future__ import annotations

from typing import Final

_BAD_ESCAPE: Final = "'%([^0-9A-Fa-f]|$|[0-9A-Fa-f]([^0-9A-Fa-f]|$))'"
# In the first of two passes, an escape of a byte that is no ASCII is left to the second, which reads it as it would the byte:
# between the passes the bytes need not be UTF-8, and DuckDB has no such text.
_HIGH_ESCAPE: Final = "'%([89A-Fa-f][0-9A-Fa-f])'"


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
