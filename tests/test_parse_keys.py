"""Keys decoded by the column are the keys decoded one by one."""

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl.parse import decode_key
from etl.parse._keys import decode_keys

PIECES = st.sampled_from(
    ["a", "/", "%", "%2", "%25", "%2525", "%41", "%zz", "+", "%2B", "%252B", "é", "%C3%A9", "%25C3%25A9", "%C3", "%FF"]
)
OPERATIONS = st.sampled_from(
    ["REST.GET.OBJECT", "S3.EXPIRE.OBJECT", "BATCH.DELETE.OBJECT", "SOAP.X", "BATCHED.X", None]
)
ROWS = st.lists(st.tuples(st.one_of(st.none(), st.lists(PIECES, max_size=6).map("".join)), OPERATIONS), max_size=12)


@settings(deadline=None)
@given(ROWS)
@example([("%", "S3.X.Y"), ("41", "S3.X.Y")])
@example([("a%C3", "S3.X.Y"), ("%A9", "S3.X.Y")])
@example([("%25", None), ("%2525", None)])
def test_the_column_equals_the_single_key(rows: list[tuple[str | None, str | None]]) -> None:
    keys = pa.array([key for key, _ in rows], pa.string())
    operations = pa.array([operation for _, operation in rows], pa.string())
    expected = [None if key is None else decode_key(key, operation) for key, operation in rows]
    decoded = decode_keys(keys, operations)
    decoded.validate(full=True)
    assert decoded.to_pylist() == expected


@pytest.mark.parametrize("text", ["", "plain/key.txt", "é"])
def test_a_column_without_marks_is_taken_over(text: str) -> None:
    keys = pa.array([text, None])
    assert decode_keys(keys, pa.array(["REST.GET.OBJECT", None])) is keys
