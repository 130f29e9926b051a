"""SigV2 findings as the lines that CloudWatch Logs keeps: the recipe's fields, and no bill that a client can run up. Pure.

The fields are those of the 2019 recipe, so that its saved queries run on; with `Count` they are summed, not counted.
CloudWatch takes events of up to 256 KB
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html): every value is cut well below.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

LINE_FIELDS: Final = {
    "Bucket": "bucket_name",
    "Timestamp": "request_time",
    "RemoteIP": "remote_ip",
    "Requester": "requester",
    "Operation": "operation",
    "Key": "key_name",
    "RequestURI": "request_uri",
    "UserAgent": "user_agent",
    "SignatureVersion": "signature_version",
    "AuthenticationType": "authentication_type",
    "LastTimestamp": "request_time",
}
"""Field of a line to the detail of a finding; `Count` comes after them. A line of several requests has the first's time and the
last's."""
COUNT: Final = "Count"
UNDECIDABLE: Final = "Undecidable"
"""Field that only lines about undecidable requests have: they say no signature version, so no saved query counts them."""
WHOLE_LINES: Final = 20
MOST_LINES: Final = 1000
_GROUPS_PER_CLIENT: Final = 5
_LONGEST: Final = 1024
_OF_ANYBODY: Final = ("Bucket", "SignatureVersion", "AuthenticationType")
_OF_A_GROUP: Final = (*_OF_ANYBODY, "RemoteIP", "Requester", "Operation", "UserAgent")
_TOLD: Final = ("Timestamp", "LastTimestamp", COUNT)

Line = dict[str, Any]


def write_lines(findings: pa.Table, *, cap: int = WHOLE_LINES, most: int = MOST_LINES) -> Iterator[Line]:
    """Lines for a run's findings: whole ones with `Count` 1, and for the rest one a group with its `Count`.

    A client (requester and address) gets `cap` whole lines; what it sends beyond is grouped by bucket, operation,
    authentication type and user agent, and, since it can vary its user agent, without that after its fifth group. No more than
    `most` lines are whole and as many grouped; what is left then, of clients without number, is one line a bucket and
    authentication type. Counts add up to the number of findings. The values were masked when the findings were made.
    """
    whole: Counter[tuple[Any, ...]] = Counter()
    groups_of: Counter[tuple[Any, ...]] = Counter()
    grouped: dict[tuple[Any, ...], Line] = {}
    written = 0
    for details in findings.column("details").to_pylist():
        line = _read_line(details)
        client = (line["Requester"], line["RemoteIP"])
        if whole[client] < cap and written < most:
            whole[client] += 1
            written += 1
            yield line
            continue
        line |= {"Key": None, "RequestURI": None}
        key = tuple(line[name] for name in _OF_A_GROUP)
        if key not in grouped and groups_of[client] >= _GROUPS_PER_CLIENT:
            line["UserAgent"] = None
            key = tuple(line[name] for name in _OF_A_GROUP)
        if key not in grouped and len(grouped) >= most:
            line = dict.fromkeys(line) | {name: line[name] for name in (*_OF_ANYBODY, *_TOLD)}
            key = tuple(line[name] for name in _OF_A_GROUP)
        if key in grouped:
            _add(grouped[key], line)
        else:
            grouped[key] = line
            groups_of[client] += 1
    yield from grouped.values()


def write_undecidable_lines(findings: pa.Table, *, most: int = MOST_LINES) -> Iterator[Line]:
    """For findings of lines that may be SigV2 while nobody can tell: one line a bucket, the first and last time, and how many.

    Nothing of such a line is told but what no client can forge. After `most` buckets the others share one without a name.
    """
    buckets: dict[str | None, Line] = {}
    for details in findings.column("details").to_pylist():
        line = _read_line(details)
        bucket = line["Bucket"] if line["Bucket"] in buckets or len(buckets) < most else None
        line = dict.fromkeys(line) | {name: line[name] for name in _TOLD} | {"Bucket": bucket, UNDECIDABLE: True}
        if bucket in buckets:
            _add(buckets[bucket], line)
        else:
            buckets[bucket] = line
    yield from buckets.values()


def render_line(line: Line) -> str:
    """A line as CloudWatch gets it: one JSON object of ASCII, without a line end, whatever a client sent."""
    return json.dumps(line)


def _read_line(details: str) -> Line:
    found = json.loads(details)
    line: Line = {field: _cut(found.get(name)) for field, name in LINE_FIELDS.items()}
    return line | {COUNT: found.get("requests", 1)}


def _add(line: Line, other: Line) -> None:
    """Times are texts of one form, which sort as times do; a file's rows are in no order of time."""
    line[COUNT] += other[COUNT]
    for name, choose in (("Timestamp", min), ("LastTimestamp", max)):
        line[name] = choose((each[name] for each in (line, other) if each[name] is not None), default=None)


def _cut(value: Any) -> Any:
    return value[: _LONGEST - 1] + "…" if isinstance(value, str) and len(value) > _LONGEST else value
