"""The method of the 2019 recipe: three verbose patterns tried in turn, a dict and a strptime a line.

Written anew from its idea. Extended only so that it is a fair baseline: request ids are any capitals and digits (or it would
miss most real lines, and be slower for it), and a line that none of the patterns matches is counted, not an exception.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from benchmarks.methods._exact_lines import WIRE_SCHEMA
from etl.schema import WIRE_FIELDS, Kind

_HEAD = r"""
    ^ (?P<bucket_owner_id> \S+ ) [ ]
    (?P<bucket_name> \S+ ) [ ]
    \[ (?P<request_time> [^]]+ ) \] [ ]
    (?P<remote_ip> \S+ ) [ ]
    (?P<requester> \S+ ) [ ]
    (?P<request_id> [0-9A-Z]+ ) [ ]
    (?P<operation> [A-Z0-9._]+ ) [ ]
    (?P<key_name> \S+ ) [ ]
"""
_NUMBERS = r"""
    (?P<http_status> [0-9]{3} | - ) [ ]
    (?P<error_code> [A-Za-z]+ | - ) [ ]
    (?P<bytes_sent_size> [0-9]+ | - ) [ ]
    (?P<object_size> [0-9]+ | - ) [ ]
    (?P<total_duration> [0-9]+ | - ) [ ]
    (?P<turn_around_duration> [0-9]+ | - ) [ ]
"""
_VERSION = r"(?P<version_id> [A-Za-z0-9._]+ | - )"
_TAIL = r"""
    [ ] (?P<host_id> [A-Za-z0-9/+=]+ | - )
    [ ] (?P<signature_version> SigV2 | SigV4 | - )
    [ ] (?P<cipher_suite> [A-Z0-9_-]+ )
    [ ] (?P<authentication_type> AuthHeader | QueryString | - )
    [ ] (?P<host_header> \S+ )
    (?P<rest> [ ] .* )?
"""
_QUOTED = _HEAD + r'"(?P<request_uri> .* )" [ ]' + _NUMBERS + r'"(?P<referer> .* )" [ ] "(?P<user_agent> .* )" [ ]'
_FIRST_OF_REST = 24
_BARE = _HEAD + r"(?P<request_uri> \S* ) [ ]" + _NUMBERS + r"(?P<referer> \S* ) [ ] (?P<user_agent> \S* ) [ ]"

PATTERNS = tuple(
    re.compile(text, re.VERBOSE) for text in (_QUOTED + _VERSION + _TAIL, _QUOTED + _VERSION, _BARE + _VERSION + _TAIL)
)
"""Long lines, short lines, lines without quotes; tried in this order."""

Row = dict[str, str | None]


@dataclass(frozen=True)
class Dicts:
    """A dict for each line that a pattern matched, and how many lines none did."""

    rows: list[Row]
    unmatched: int


def to_dicts(data: bytes) -> Dicts:
    """The recipe itself: decode, split, three patterns, a dict a line, the time through strptime and strftime."""
    rows: list[Row] = []
    unmatched = 0
    long, short, bare = PATTERNS
    for line in data.decode("utf-8", "ignore").splitlines():
        match = long.match(line)
        if match is None:
            match = short.match(line)
        if match is None:
            match = bare.match(line)
        if match is None:
            unmatched += 1
            continue
        row: Row = match.groupdict()
        when = datetime.strptime(match["request_time"], "%d/%b/%Y:%H:%M:%S %z")
        row["request_time"] = when.strftime("%Y-%m-%d %H:%M:%S")
        rows.append(row)
    return Dicts(rows, unmatched)


def to_json_lines(data: bytes) -> bytes:
    """The dicts as the recipe sends them on: one JSON text a row."""
    return b"".join([json.dumps(row).encode() + b"\n" for row in to_dicts(data).rows])


def to_table(data: bytes) -> pa.Table:
    """The dicts as the same 27 typed columns that the other methods give; what follows the host header split on spaces."""
    rows = to_dicts(data).rows
    after_host = [(row.get("rest") or "").split() for row in rows]
    columns: list[pa.Array] = []
    for field in WIRE_FIELDS:
        place = (field.wire or 0) - _FIRST_OF_REST
        if place >= 0:
            texts: list[str | None] = [rest[place] if len(rest) > place else None for rest in after_host]
        else:
            texts = [row.get(field.name) for row in rows]
        known = [None if text == "-" else text for text in texts]
        if field.kind in (Kind.INT, Kind.BIGINT):
            columns.append(pa.array([None if text is None else int(text) for text in known], field.kind.arrow))
        else:
            columns.append(pa.array(known, pa.string()).cast(field.kind.arrow))
    return pa.Table.from_arrays(columns, schema=WIRE_SCHEMA)
