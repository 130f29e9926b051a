"""Rows as the JSON documents that Firehose converts: column by column, without a loop over rows."""

from __future__ import annotations

import json
from functools import cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.arrays import bools_to_array, text_of, texts_to_array, values_to_array
from etl.parse import CLEAN
from etl.schema import JSON_KEYS, SCHEMA

_QUOTE, _BACKSLASH = b'"\\'
_SPACE: Final = 0x20
_TIME: Final = "request_time"
_TIME_FORMAT: Final = "%Y-%m-%d %H:%M:%S"
_STATUS: Final = "parse_status"
_REST: Final = tuple(name for name in SCHEMA.names if name in JSON_KEYS and name != _TIME)


def to_documents(rows: pa.Table) -> pa.StringArray:
    """A JSON object for each row, ended by a newline, in the order of the rows.

    Left out are nulls, what a reader can derive, and the status of clean rows: a raw row without one is clean. Times are
    `yyyy-MM-dd HH:mm:ss`, because the OpenX SerDe refuses an ISO time with an offset. Control characters are escaped, so that a
    document is one line whatever a client sent
    (https://docs.aws.amazon.com/firehose/latest/dev/dynamic-partitioning-multirecord-deaggergation.html).
    """
    # Every row has a time; being first, it opens the object.
    members = [_member(_TIME, _time_texts(rows[_TIME].combine_chunks()), opening='{"', closing='"')]
    for name in _REST:
        column = rows[name].combine_chunks()
        if name == _STATUS:
            column = pc.if_else(pc.equal(column, _scalar(CLEAN)), _scalar(None), column)
        if column.null_count == len(column):
            continue
        if pa.types.is_string(column.type):
            members.append(_member(name, _escape(column), opening=',"', closing='"'))
        else:
            members.append(_member(name, column.cast(pa.string()), opening=',"', closing=""))
    return pc.binary_join_element_wise(*members, _scalar("}\n"), _scalar(""), null_handling="skip")


def _time_texts(times: pa.TimestampArray) -> pa.StringArray:
    """Whole seconds, which is what S3 writes: the milliseconds of a log line's time are zero."""
    return pc.strftime(times.cast(pa.timestamp("s"), safe=False), format=_TIME_FORMAT)


def _member(name: str, values: pa.StringArray, *, opening: str, closing: str) -> pa.StringArray:
    """The member of that column with what stands before it; null where the value is."""
    quote = '"' if closing else ""
    before = f'{opening}{JSON_KEYS[name]}":{quote}'
    return pc.binary_join_element_wise(_scalar(before), values, _scalar(closing), _scalar(""))


def _escape(texts: pa.StringArray) -> pa.StringArray:
    """The texts as they stand between the quotes of a JSON string."""
    data, ends = text_of(texts)
    marks = np.flatnonzero((data < _SPACE) | (data == _QUOTE) | (data == _BACKSLASH))
    if not len(marks):
        return texts
    rows = np.unique(np.searchsorted(ends, marks, side="right"))
    found = texts.take(values_to_array(rows, None, pa.int64())).to_pylist()
    escaped = [json.dumps(text, ensure_ascii=False)[1:-1] for text in found]
    mask = np.zeros(len(texts), np.bool_)
    mask[rows] = True
    return pc.replace_with_mask(texts, bools_to_array(mask), texts_to_array(escaped, pa.string()))


@cache
def _scalar(text: str | None) -> pa.StringScalar:
    return texts_to_array([text], pa.string())[0]
