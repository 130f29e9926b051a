"""Which rows were signed with Signature Version 2, and of which nobody can tell: pure.

The signature version of a clean row is what S3 wrote, whatever the client sent (``docs/parsing.md``). A line that was cut
can only have lost its end: a row with 21 fields or more still tells, one of 19 or 20 may not. An ambiguous row has several
readings, and a client chose that it has: its signature version counts neither way. `queries/detections/sigv2.sql` and
`sigv2_undecidable.sql` say the same in SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.arrays import texts_to_array, values_to_array
from etl.parse import CLEAN, SHORT

SIGV2: Final = "SigV2"
DETECTION: Final = "sigv2"
UNDECIDABLE_DETECTION: Final = "sigv2_undecidable"
OBJECT_DETECTIONS: Final = {DETECTION: "medium", UNDECIDABLE_DETECTION: "info"}
"""What is looked for file by file, and how grave it is; their SQL files say the same."""
JUDGED: Final = ("signature_version", "parse_status", "raw_line")
"""What the verdict rests on."""
CERTAIN: Final = ("source_key", "line_no", "request_time", "bucket_name")
"""What is shown of a row that is in doubt, beside its line: nothing that a client could forge."""
SHOWN: Final = (
    *(*CERTAIN, "remote_ip", "requester", "operation", "key_name", "request_uri", "http_status", "user_agent"),
    *("authentication_type", "signature_version"),
)
"""What is shown of a request that is signed with SigV2."""
UNDECIDABLE: Final = "undecidable"
"""The column that `Detected.unsure` has besides."""

_ENDS_WITH_IT: Final = r" SigV2\s*$"
_A_READING_HAS_IT: Final = r'" +[^ "]+ +[^ "]+ +SigV2(\s|$)'
_ENDS_BEFORE_IT: Final = r'"( +[^ "]+){0,2}\s*$'
_CUT_WITHIN_IT: Final = r'"( +[^ "]+){2} +S(i(gV?)?)?\s*$'
_HAS_NONE: Final = r'" +[^ "]+ +[^ "]+ +-(\s[^"]*)?$'
_PARTS_OF_IT: Final = texts_to_array(["S", "Si", "Sig", "SigV"], pa.string())
_IT: Final = texts_to_array([SIGV2], pa.string())
_CLEAN: Final = texts_to_array([CLEAN], pa.string())[0]
_SHORT: Final = texts_to_array([SHORT], pa.string())
_FEW: Final = 4
_NOWHERE: Final = pa.nulls(0, pa.int64())
_NOBODY: Final = pa.nulls(0, pa.bool_())


@dataclass(frozen=True)
class Sifted:
    """Rows that may be worth a second look, by their place in the table, ascending, as int64."""

    signed: pa.Array
    """S3 wrote SigV2, or a client did: clean rows or not."""
    doubtful: pa.Array
    """No clean ones, whatever they say."""
    lines: pa.Table
    """Of `doubtful`, the columns `JUDGED` that there are."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be found."""
        return not len(self.signed) and not len(self.doubtful)


@dataclass(frozen=True)
class Verdicts:
    """Rows by their place in the table, ascending, as int64."""

    signed: pa.Array
    """Signed with SigV2."""
    unsure: pa.Array
    """Ambiguous, or undecidable for another reason; never signed."""
    lines: pa.Table
    """Of `unsure`, the columns `JUDGED` that there are."""
    undecidable: pa.BooleanArray
    """Of each of `unsure`, whether it may be signed with SigV2."""


@dataclass(frozen=True)
class Detected:
    """Rows in the order in which they came."""

    hits: pa.Table
    """The columns `SHOWN` of what is signed with SigV2: each row is a finding."""
    unsure: pa.Table
    """The columns `CERTAIN` and `JUDGED` of all ambiguous rows, and of others that are undecidable; the column `undecidable` says
    which may be SigV2."""
    rows: int
    """Rows that were looked at, or known not to be worth it."""

    @property
    def undecidable(self) -> pa.Table:
        """Those that may be SigV2, and nobody can tell."""
        return self.unsure.filter(self.unsure.column(UNDECIDABLE))


def detect_sigv2(rows: pa.Table) -> Detected:
    """The rows signed with SigV2, and apart from them the ambiguous and undecidable ones.

    `rows` has columns of the schema, `signature_version` among them; text columns may be dictionaries. Those to be shown
    that it lacks are left out. A `parse_status` that is null or not there is clean (Firehose leaves it out). Time is linear
    in the text of the columns `JUDGED`.
    """
    (verdicts,) = judge_signatures([sift_signatures(rows)])
    hits = _select(rows, SHOWN).take(verdicts.signed)
    unsure = _select(rows, (*CERTAIN, *JUDGED)).take(verdicts.unsure)
    return Detected(hits, unsure.append_column(UNDECIDABLE, verdicts.undecidable), rows.num_rows)


def sift_signatures(rows: pa.Table) -> Sifted:
    """The rows to be judged, from the columns `JUDGED`; `parse_status` and `raw_line` may be missing."""
    judged = _select(rows, JUDGED)
    if not rows.num_rows:
        return Sifted(_NOWHERE, _NOWHERE, judged)
    signed = _places(rows.column("signature_version").combine_chunks(), lambda texts: pc.equal(texts, _IT[0]))
    doubtful = _NOWHERE
    if "parse_status" in rows.column_names:
        doubtful = _places(rows.column("parse_status").combine_chunks(), lambda texts: pc.not_equal(texts, _CLEAN))
    return Sifted(signed, doubtful, judged.take(doubtful))


def judge_signatures(tables: Sequence[Sifted]) -> list[Verdicts]:
    """The verdict on the rows of each table.

    Few rows are not clean, but each of those is judged by its line. That is done for all tables at once: for a few lines more it
    takes no longer.
    """
    lines = [sifted.lines for sifted in tables if len(sifted.doubtful)]
    found = _judge_lines(pa.concat_tables(lines)) if lines else (_NOBODY,) * 3
    verdicts, start = [], 0
    for sifted in tables:
        size = len(sifted.doubtful)
        is_signed, is_unsure, is_undecidable = (mask.slice(start, size) for mask in found)
        start += size
        verdicts.append(
            Verdicts(
                _without(sifted.signed, sifted.doubtful.filter(pc.invert(is_signed))),
                sifted.doubtful.filter(is_unsure),
                sifted.lines.filter(is_unsure),
                is_undecidable.filter(is_unsure),
            )
        )
    return verdicts


def _judge_lines(rows: pa.Table) -> tuple[pa.BooleanArray, pa.BooleanArray, pa.BooleanArray]:
    """Signed, unsure, undecidable: of rows none of which is clean."""
    version, status = _text(rows, "signature_version"), _text(rows, "parse_status")
    line = _text(rows, "raw_line")
    signed, short, lost = pc.is_in(version, value_set=_IT), pc.is_in(status, value_set=_SHORT), pc.is_null(line)
    goes_on = pc.and_(short, pc.invert(pc.or_(lost, _matches(line, _ENDS_WITH_IT))))
    found = pc.and_(signed, goes_on)
    may_have_it = _any(
        _matches(line, _A_READING_HAS_IT), _matches(line, _ENDS_BEFORE_IT), _matches(line, _CUT_WITHIN_IT)
    )
    untold = pc.and_(pc.is_null(version), pc.invert(_matches(line, _HAS_NONE)))
    cut = _any(signed, pc.is_in(version, value_set=_PARTS_OF_IT), untold)
    undecidable = pc.and_(pc.invert(found), pc.or_(lost, pc.if_else(short, cut, may_have_it)))
    return found, pc.or_(pc.invert(short), undecidable), undecidable


def _places(texts: pa.Array, test: Callable[[pa.Array], pa.BooleanArray]) -> pa.Array:
    """Where the text passes the test. Of a dictionary, only its few words are tested."""
    if not isinstance(texts, pa.DictionaryArray):
        return pc.indices_nonzero(test(texts)).cast(pa.int64())
    words, indices = (
        pc.indices_nonzero(test(texts.dictionary)).cast(pa.int32()).tolist(),
        texts.indices.cast(pa.int32()),
    )
    if not words:
        return _NOWHERE
    codes = np.frombuffer(indices.buffers()[1], np.int32, len(indices), offset=4 * indices.offset)
    # A hash table of few codes, and Arrow's own search for what is set, take several times as long.
    found = np.isin(codes, words) if len(words) > _FEW else np.logical_or.reduce([codes == word for word in words])
    places = values_to_array(np.flatnonzero(found), None, pa.int64())
    return places.filter(indices.take(places).is_valid()) if indices.null_count else places


def _without(places: pa.Array, others: pa.Array) -> pa.Array:
    return places.filter(pc.invert(pc.is_in(places, value_set=others))) if len(places) and len(others) else places


def _select(rows: pa.Table, names: Iterable[str]) -> pa.Table:
    return rows.select([name for name in names if name in rows.column_names])


def _text(rows: pa.Table, name: str) -> pa.StringArray:
    """A column as one array of texts; of nulls if there is none."""
    if name not in rows.column_names:
        return pa.nulls(rows.num_rows, pa.string())
    return rows.column(name).cast(pa.string()).combine_chunks()


def _matches(texts: pa.StringArray, pattern: str) -> pa.BooleanArray:
    """Whether each text matches; false for null."""
    return pc.and_kleene(pc.is_valid(texts), pc.match_substring_regex(texts, pattern))


def _any(*masks: pa.BooleanArray) -> pa.BooleanArray:
    found = masks[0]
    for mask in masks[1:]:
        found = pc.or_(found, mask)
    return found
