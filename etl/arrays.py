"""Arrow arrays over memory that we have already, and Arrow's memory as numpy arrays.

`pyarrow.array`, `pyarrow.scalar` and `to_numpy` import pandas where it is installed: a second of start-up, and memory, for
nothing. These do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


def spans_to_array(data: pa.Buffer, start: Ints, end: Ints, present: Bools | None, kind: pa.DataType) -> pa.Array:
    """The bytes of ascending spans as a binary or string array; null where not `present`.

    The offsets start, end, start, end... make one array of fields and gaps without copying; taking every second entry copies
    the fields together, in Arrow's own code.
    """
    count = len(start)
    offsets = np.empty(2 * count + 1, np.int32)
    offsets[0:-1:2] = start
    offsets[1::2] = end
    offsets[-1] = len(data)
    fields_and_gaps = pa.Array.from_buffers(kind, 2 * count, [None, pa.py_buffer(offsets), data], 0)
    return fields_and_gaps.take(values_to_array(np.arange(0, 2 * count, 2, dtype=np.int32), present, pa.int32()))


def spans_to_arrays(data: pa.Buffer, spans: Sequence[tuple[Ints, Ints]], present: Bools) -> list[pa.StringArray]:
    """As `spans_to_array`, for several columns of one table at once: an array for each pair of starts and ends.

    `present` has the shape (columns, lines). All spans of a line must be ascending, and then those of the next. The arrays are
    slices of one.
    """
    columns, count = present.shape
    offsets = np.empty(2 * columns * count + 1, np.int32)
    by_line = offsets[:-1].reshape(count, columns, 2)
    for column, (start, end) in enumerate(spans):
        by_line[:, column, 0] = start
        by_line[:, column, 1] = end
    offsets[-1] = len(data)
    fields_and_gaps = pa.Array.from_buffers(pa.string(), 2 * columns * count, [None, pa.py_buffer(offsets), data], 0)
    places = 2 * (np.arange(count, dtype=np.int32) * columns + np.arange(columns, dtype=np.int32)[:, None])
    every = fields_and_gaps.take(values_to_array(places.reshape(-1), present.reshape(-1), pa.int32()))
    return [every.slice(column * count, count) for column in range(columns)]


def values_to_array(values: npt.NDArray[np.generic], present: Bools | None, kind: pa.DataType) -> pa.Array:
    """A primitive array over the values' own memory; null where not `present`."""
    validity = None if present is None else pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(np.ascontiguousarray(values))])


def texts_to_array(texts: Sequence[str | bytes | None], kind: pa.DataType) -> pa.Array:
    """A string or binary array of Python values."""
    encoded = [text.encode() if isinstance(text, str) else text or b"" for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    present = np.array([text is not None for text in texts], np.bool_)
    validity = pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(kind, len(encoded), [validity, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))])


def repeat_text(text: str, count: int) -> pa.StringArray:
    """The same text, `count` times."""
    return pa.repeat(texts_to_array([text], pa.string())[0], count)


def text_of(texts: pa.StringArray) -> tuple[Bytes, Ints]:
    """The bytes of all texts one after the other, and where each ends in them; a null is empty or as long as its slot."""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32, len(texts) + 1, offset=4 * texts.offset).astype(np.int64)
    return np.frombuffer(data or b"", np.uint8)[bounds[0] : bounds[-1]], bounds[1:] - bounds[0]


def bools_to_array(mask: Bools) -> pa.BooleanArray:
    """The mask as Arrow's."""
    bits = pa.py_buffer(np.packbits(mask, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(mask), [None, bits], 0)


def presence_of(values: pa.Array) -> Bools:
    """Where the values are not null."""
    bitmap = values.buffers()[0]
    if bitmap is None or not values.null_count:
        return np.ones(len(values), np.bool_)
    first, skipped = divmod(values.offset, 8)
    of_these = np.frombuffer(bitmap, np.uint8)[first : (values.offset + len(values) + 7) // 8]
    return np.unpackbits(of_these, bitorder="little")[skipped : skipped + len(values)].view(np.bool_)


def are_utf8(data: bytes | memoryview | Bytes) -> bool:
    """Whether bytes are UTF-8: Arrow's check, which allocates nothing, while decoding makes a string of them."""
    offsets = np.array([0, len(data)], np.int32)
    whole = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
