"""Rows as the JSON documents that Firehose converts: column by column, without a loop over rows."""

from __future__ import annotations

import json
from datetime import date
from functools import cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.arrays import Bools, bools_to_array, presence_of, text_of, texts_to_array, values_to_array
from etl.parse import CLEAN
from etl.schema import JSON_KEYS, SCHEMA

_QUOTE, _BACKSLASH = b'"\\'
_SPACE: Final = 0x20
_QUOTED, _NOTHING = '"', ""
_TIME: Final = "request_time"
_EPOCH: Final = date(1970, 1, 1).toordinal()
_DAY_SECONDS: Final = 86_400
_COLON: Final = ord(":")
_TWO_DIGITS: Final = np.frombuffer("".join(f"{n:02}" for n in range(100)).encode(), np.uint8).reshape(100, 2)
_STATUS: Final = "parse_status"
_REST: Final = tuple(name for name in SCHEMA.names if name in JSON_KEYS and name != _TIME)


def to_documents(rows: pa.Table) -> pa.StringArray:
    """A JSON object for each row, ended by a newline, in the order of the rows.

    Left out are nulls, what a reader can derive, and the status of clean rows: a raw row without one is clean. Times are
    `yyyy-MM-dd HH:mm:ss`, because the OpenX SerDe refuses an ISO time with an offset. Control characters are escaped, so that a
    document is one line whatever a client sent
    (https://docs.aws.amazon.com/firehose/latest/dev/dynamic-partitioning-multirecord-deaggergation.html).
    """
    if not rows.num_rows:
        return texts_to_array([], pa.string())
    (batch,) = rows.combine_chunks().to_batches()
    members = [(JSON_KEYS[_TIME], True, _time_texts(batch.column(_TIME)))]
    for name in _REST:
        column = batch.column(name)
        if name == _STATUS:
            column = pc.if_else(pc.equal(column, _scalar(CLEAN)), _scalar(None), column)
        if column.null_count < len(column):
            is_text = pa.types.is_string(column.type)
            members.append((JSON_KEYS[name], is_text, _escape(column) if is_text else column.cast(pa.string())))
    return _join(members, rows.num_rows)


def _join(members: list[tuple[str, bool, pa.StringArray]], count: int) -> pa.StringArray:
    """Objects of members (key, whether its values are texts, values; null for none) in this order; the first is never null.

    All that a document is made of lies in one array, members and what stands between them, and one gather puts it in the order
    of the rows: its bytes are the documents, one after the other.
    """
    keys = tuple((key, is_text) for key, is_text, _ in members)
    pieces = pa.concat_arrays([*(values for _, _, values in members), _pieces_between(keys)])

    nothing = len(members) * count
    order = np.empty((2 * len(members) + 1, count), np.int32)
    row = np.arange(count, dtype=np.int32)
    # Whether the member before is one whose quote is still to be closed: of each row, or of all.
    in_text: Bools | bool = False
    for place, (_, is_text, values) in enumerate(members):
        opening, member = order[2 * place], order[2 * place + 1]
        opening[:] = nothing + 1 + 2 * place
        opening += in_text
        np.add(row, place * count, out=member)
        if values.null_count:
            absent = ~presence_of(values)
            opening[absent] = member[absent] = nothing
            in_text = np.where(absent, in_text, is_text)
        else:
            in_text = is_text
    order[-1] = nothing + 1 + 2 * len(members)
    order[-1] += in_text
    _, offsets, data = pieces.take(values_to_array(order.T.reshape(-1), None, pa.int32())).buffers()
    ends = np.frombuffer(offsets, np.int32, order.size + 1)[:: len(order)]
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(np.ascontiguousarray(ends)), data])


@cache
def _pieces_between(members: tuple[tuple[str, bool], ...]) -> pa.StringArray:
    """What stands between members (key, whether its values are texts): nothing; then for each what opens it, after a number and
    after a text, whose quote it closes; then what ends the document after either."""
    pieces = [_NOTHING]
    for place, (key, is_text) in enumerate(members):
        opening = f'{"," if place else "{"}"{key}":{_QUOTED if is_text else ""}'
        pieces += [opening, f"{_QUOTED}{opening}"]
    return texts_to_array([*pieces, "}\n", f"{_QUOTED}}}\n"], pa.string())


def _time_texts(times: pa.TimestampArray) -> pa.StringArray:
    """`yyyy-MM-dd HH:mm:ss`: whole seconds, which is what S3 writes. Formatting by strftime takes ten times as long."""
    seconds = np.frombuffer(times.buffers()[1], np.int64, len(times), offset=8 * times.offset) // 1000
    days, row = np.unique(seconds // _DAY_SECONDS, return_inverse=True)
    texts = np.empty((len(times), len("2019-02-06 00:00:38")), np.uint8)
    dates = "".join(f"{date.fromordinal(_EPOCH + int(day))} " for day in days).encode()
    texts[:, :11] = np.frombuffer(dates, np.uint8).reshape(-1, 11)[row]
    for place, part in ((11, seconds // 3600 % 24), (14, seconds // 60 % 60), (17, seconds % 60)):
        texts[:, place : place + 2] = _TWO_DIGITS[part]
    texts[:, 13] = texts[:, 16] = _COLON
    ends = np.arange(len(times) + 1, dtype=np.int32) * texts.shape[1]
    return pa.Array.from_buffers(pa.string(), len(times), [None, pa.py_buffer(ends), pa.py_buffer(texts)])


def _escape(texts: pa.StringArray) -> pa.StringArray:
    """The texts as they stand between the quotes of a JSON string."""
    _, offsets, content = texts.buffers()
    bounds = memoryview(offsets).cast("i")
    plain = bytes(
        memoryview(b"" if content is None else content)[bounds[texts.offset] : bounds[texts.offset + len(texts)]]
    )
    data = np.frombuffer(plain, np.uint8)
    if b'"' not in plain and b"\\" not in plain and data.min(initial=_SPACE) >= _SPACE:
        return texts
    _, ends = text_of(texts)
    marks = np.flatnonzero((data < _SPACE) | (data == _QUOTE) | (data == _BACKSLASH))
    rows = np.unique(np.searchsorted(ends, marks, side="right"))
    found = texts.take(values_to_array(rows, None, pa.int64())).to_pylist()
    escaped = [json.dumps(text, ensure_ascii=False)[1:-1] for text in found]
    mask = np.zeros(len(texts), np.bool_)
    mask[rows] = True
    return pc.replace_with_mask(texts, bools_to_array(mask), texts_to_array(escaped, pa.string()))


@cache
def _scalar(text: str | None) -> pa.StringScalar:
    return texts_to_array([text], pa.string())[0]
