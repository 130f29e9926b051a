"""A slow, obvious reader of log lines, written from ``docs/parsing.md`` alone; the headings below are that page's.

It shares no code with the package, tries every triple of quotes, and is what the package is compared with. Where the
page leaves a corner open, a comment starting with "Open:" says what this reader takes it to mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

Value = str | int | datetime | None
Row = dict[str, Value]

_WIRE = """
bucket_owner_id bucket_name request_time remote_ip requester request_id operation key_name request_uri http_status
error_code bytes_sent_size object_size total_duration turn_around_duration referer user_agent version_id host_id
signature_version cipher_suite authentication_type host_header tls_version access_point_arn acl_required source_region
"""
WIRE = tuple(_WIRE.split())
NUMBERS = {
    "http_status": 2**31 - 1,
    "bytes_sent_size": 2**63 - 1,
    "object_size": 2**63 - 1,
    "total_duration": 2**63 - 1,
    "turn_around_duration": 2**63 - 1,
}
BLOCK = WIRE[9:15]
TAIL = WIRE[17:27]
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
S3_BEGAN = datetime(2006, 3, 14)
NO_18_SINCE = datetime(2020, 1, 1)
BOM = b"\xef\xbb\xbf"


class Quarantined(Exception):
    """The line is no row; its only argument is the reason."""


# --- Lines ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OracleObject:
    """A whole log object: (line number, row) and (line number, reason, line), and how many lines were not blank."""

    rows: list[tuple[int, Row]]
    quarantined: list[tuple[int, str, bytes]]
    lines: int


def oracle_object(data: bytes) -> OracleObject:
    """Split on LF only, count every line from 1, skip the blank ones, read the others one by one."""
    found = OracleObject([], [], 0)
    lines = 0
    for number, line in enumerate(data.split(b"\n"), start=1):
        if trim(line).strip() == b"":
            continue
        lines += 1
        result = oracle_line(line)
        if isinstance(result, str):
            found.quarantined.append((number, result, line))
        else:
            found.rows.append((number, result))
    return OracleObject(found.rows, found.quarantined, lines)


def trim(line: bytes) -> bytes:
    """Drop a byte order mark and spaces in front, spaces and CR at the end."""
    # Open: one mark, and in front of the spaces.
    return line.removeprefix(BOM).lstrip(b" ").rstrip(b" \r")


def oracle_line(line: bytes) -> Row | str:
    """The row of one line, or the reason why it goes to quarantine."""
    try:
        head, time, body = read_head(trim(line))
        if is_plain_case(body):
            kept = [read_plain(body)]
        else:
            readings = every_split(body)
            if not readings:
                raise Quarantined("no_reading")
            kept = [reading for reading in readings if could_be_written(reading, time)] if readings[1:] else readings
            kept = kept or readings
    except Quarantined as quarantined:
        return str(quarantined)

    if len(kept) > 1:
        status = "ambiguous"
    elif 19 <= count_fields(kept[0]) <= 22:
        status = "short"
    else:
        status = "clean"
    row = as_row(head, time, best(kept))
    row["parse_status"] = status
    row["raw_line"] = None if status == "clean" and is_utf8(line) else line.decode("utf-8", "backslashreplace")
    return row


def oracle_readings(line: bytes) -> list[Row]:
    """Every reading that is considered, before any is left out; empty for a line that goes to quarantine."""
    try:
        head, time, body = read_head(trim(line))
        readings = [read_plain(body)] if is_plain_case(body) else every_split(body)
    except Quarantined:
        return []
    return [as_row(head, time, reading) for reading in readings]


# --- Head -------------------------------------------------------------------------------------------------------------


def read_head(line: bytes) -> tuple[dict[str, bytes], datetime, bytes]:
    """The head's fields, its time, and the text from the URI on."""
    # Open: the bracket ends at its first "]", and a space must follow.
    start = re.match(rb'([^ "]+) +([^ "]+) +\[([^]"]*)\] +', line)
    if start is None:
        # Open: a cut JSON object is one too.
        raise Quarantined("json_record" if line.startswith(b"{") else "not_a_log_line")
    # Open: a line with both a bad time and no operation is called by its time.
    time = read_time(start[3])

    first_quote = line.find(b'"') if b'"' in line else len(line)
    spans = [match.span() for match in re.finditer(rb'[^ "]+', line[:first_quote])]
    spans = [(begin, end) for begin, end in spans if begin >= start.end()]
    tokens = [line[begin:end] for begin, end in spans]

    def body_after(k: int) -> bytes | None:
        """The text from the URI on, if T[k] can be the operation."""
        if k + 1 >= len(tokens):
            return None
        if k + 2 == len(tokens):
            # Open: a space must stand between the key and the quote.
            quoted = first_quote < len(line) and spans[k + 1][1] < first_quote
            return line[first_quote:] if quoted else None
        return line[spans[k + 2][0] :] if tokens[k + 2] == b"-" else None

    places = [k for k in range(3, len(tokens)) if re.fullmatch(rb"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)+", tokens[k])]
    if tokens[3:4] == [b"-"]:
        places.append(3)
    for k in sorted(places):
        body = body_after(k)
        if body is not None:
            head = {"bucket_owner_id": start[1], "bucket_name": start[2], "remote_ip": tokens[0]}
            head["requester"] = line[spans[1][0] : spans[k - 2][1]]
            head |= {"request_id": tokens[k - 1], "operation": tokens[k], "key_name": tokens[k + 1]}
            return head, time, body
    raise Quarantined("not_a_log_line")


# --- Body -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """One reading of the body, still as bytes; `uri`, `referer` and `user_agent` without their quotes."""

    uri: bytes
    block: tuple[bytes, ...]
    referer: bytes
    user_agent: bytes
    tail: tuple[bytes, ...]
    extra: bytes | None


def is_plain_case(body: bytes) -> bool:
    """A bare URI, or at most 6 quotes (there are none before the body)."""
    return not body.startswith(b'"') or body.count(b'"') <= 6


def read_plain(body: bytes) -> Split:
    """Left to right: a quoted string ends at the next quote. (With 6 quotes no other split has enough of them.)"""
    # Open: what has too few quotes to hold a whole line is called cut.
    no_fit = Quarantined("cut_line" if body.count(b'"') < 6 else "no_reading")
    parts: list[bytes] = []
    rest = body
    for name in WIRE[8:17]:
        if name not in BLOCK and rest.startswith(b'"'):
            if rest.count(b'"') == 1:
                raise no_fit
            text, rest = rest[1:].split(b'"', 1)
        else:
            text = rest.split(b" ", 1)[0]
            rest = rest[len(text) :]
            if text == b"" or b'"' in text or (name not in BLOCK and text != b"-"):
                raise no_fit
        if rest and not rest.startswith(b" "):
            raise no_fit
        parts.append(text)
        if name != "user_agent":
            rest = rest.lstrip(b" ")
    tail = read_tail(rest)
    if tail is None:
        raise Quarantined("no_reading")
    block = tuple(parts[1:7])
    if not are_numbers(block):
        raise Quarantined("bad_number")
    return Split(parts[0], block, parts[7], parts[8], *tail)


def every_split(body: bytes) -> list[Split]:
    """All triples (u, r, a) of closing quotes."""
    quotes = [place for place, byte in enumerate(body) if byte == ord('"')]
    readings = []
    for u in quotes[1:]:
        block = re.match(rb' ([^ "]+) ([^ "]+) ([^ "]+) ([^ "]+) ([^ "]+) ([^ "]+) "', body[u + 1 :])
        if block is None or not are_numbers(block.groups()):
            continue
        referer = u + 1 + block.end()
        for r in quotes:
            if r < referer or body[r + 1 : r + 3] != b' "':
                continue
            user_agent = r + 3
            for a in quotes:
                if a < user_agent:
                    continue
                tail = read_tail(body[a + 1 :])
                if tail is not None and is_sequence(tail[1] or b""):
                    texts = (body[1:u], block.groups(), body[referer:r], body[user_agent:a])
                    readings.append(Split(*texts, *tail))
    return readings


def read_tail(text: bytes) -> tuple[tuple[bytes, ...], bytes | None] | None:
    """(up to ten tokens, any text after the tenth) of what follows the user agent; None if it is no tail."""
    if text and not text.startswith(b" "):
        return None
    tokens: list[bytes] = []
    rest = text.lstrip(b" ")
    while rest and len(tokens) < 10:
        token = rest.split(b" ", 1)[0]
        if b'"' in token:
            return None
        tokens.append(token)
        rest = rest[len(token) :].lstrip(b" ")
    return tuple(tokens), rest or None


@lru_cache(maxsize=65536)
def is_sequence(text: bytes) -> bool:
    """Whether the text is tokens and quoted strings, one or more spaces apart."""
    legal = {len(text)}  # the places from which on the text is such a sequence, found from its end to its start
    for start in reversed(range(len(text))):
        if text.startswith(b" ", start):
            ends = [start + 1]
        elif text.startswith(b'"', start):
            ends = [end for end in range(start + 2, len(text) + 1) if text[end - 1 : end] == b'"']
            ends = [end for end in ends if text[end : end + 1] in (b" ", b"")]
        else:
            token = text[start:].split(b" ", 1)[0]
            ends = [start + len(token)] if b'"' not in token else []
        if any(end in legal for end in ends):
            legal.add(start)
    return 0 in legal


def are_numbers(block: tuple[bytes, ...]) -> bool:
    """Whether all but the error code are a dash, or at most 19 digits within their width."""

    def is_number(text: bytes, largest: int) -> bool:
        return text == b"-" or (re.fullmatch(rb"[0-9]{1,19}", text) is not None and int(text) <= largest)

    texts = dict(zip(BLOCK, block, strict=True))
    return all(is_number(texts[name], largest) for name, largest in NUMBERS.items())


def count_fields(reading: Split) -> int:
    """17 to 27, and 28 for any number more."""
    return 17 + len(reading.tail) + (reading.extra is not None)


def could_be_written(reading: Split, time: datetime) -> bool:
    """Whether S3 wrote lines with so many fields at that time."""
    count = count_fields(reading)
    if count == 18:
        return time < NO_18_SINCE
    return count >= 19


def best(readings: list[Split]) -> Split:
    """The one that the row shows."""
    with_extra = {reading.uri for reading in readings if reading.extra is not None}

    def rank(reading: Split) -> tuple[bool, bool, bool, int, int, int]:
        # Open: the target is any text, spaces and quotes included; n is one digit.
        is_request_line = re.fullmatch(rb"[A-Z]+ .+ HTTP/[0-9]\.[0-9]", reading.uri, re.DOTALL) is not None
        lengths = (len(reading.uri), len(reading.referer), -len(reading.user_agent))
        return (reading.extra is not None, reading.uri in with_extra, not is_request_line, *lengths)

    return min(readings, key=rank)


# --- Values -----------------------------------------------------------------------------------------------------------


def as_row(head: dict[str, bytes], time: datetime, reading: Split) -> Row:
    """The reading as column values; parse_status and raw_line are the line's, not the reading's."""
    texts = dict(head)
    texts |= {"request_uri": reading.uri, "referer": reading.referer, "user_agent": reading.user_agent}
    texts |= dict(zip(BLOCK, reading.block, strict=True))
    texts |= dict(zip(TAIL, reading.tail, strict=False))
    row: Row = {}
    for name in WIRE:
        text = texts.get(name, b"-")
        if name == "request_time":
            row[name] = time
        elif text == b"-":
            row[name] = None
        elif name in NUMBERS:
            row[name] = int(text)
        else:
            row[name] = text.decode("utf-8", "replace")
    row["object_key"] = decode_key(head["operation"], head["key_name"])
    # Open: one further field that is a dash is kept as the text "-".
    row["extra_fields"] = None if reading.extra is None else reading.extra.decode("utf-8", "replace")
    row["event_date"] = time.strftime("%Y-%m-%d")
    return row


def read_time(text: bytes) -> datetime:
    """UTC, without a zone."""
    match = re.fullmatch(
        rb"([0-9]{2})/([A-Z][a-z]{2})/([0-9]{4}):([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})", text
    )
    if match is None or match[2].decode() not in MONTHS:
        raise Quarantined("bad_time")
    day, year, hour, minute, second, zone_hours, zone_minutes = (int(match[i]) for i in (1, 3, 4, 5, 6, 8, 9))
    month = MONTHS.index(match[2].decode()) + 1
    if zone_minutes > 59:
        raise Quarantined("bad_time")
    offset = timedelta(hours=zone_hours, minutes=zone_minutes)
    if offset >= timedelta(days=1):
        raise Quarantined("bad_time")
    try:
        local = datetime(year, month, day, hour, minute, 59 if second == 60 else second)
    except ValueError:
        raise Quarantined("bad_time") from None
    try:
        utc = local + offset if match[7] == b"-" else local - offset
        if second == 60:
            if (utc.hour, utc.minute) != (23, 59):
                raise Quarantined("bad_time")
            utc += timedelta(seconds=1)
    except OverflowError:  # Open: a year of five digits is no time, one before the year 1 is before S3.
        raise Quarantined("time_before_s3" if year == 1 else "bad_time") from None
    if utc < S3_BEGAN:
        raise Quarantined("time_before_s3")
    return utc


def decode_key(operation: bytes, key: bytes) -> str | None:
    """Once for S3.* and BATCH.*, twice for all others."""
    if key == b"-":
        return None
    if operation.startswith((b"S3.", b"BATCH.")):
        decoded = percent_decode(key.replace(b"+", b" "))
    else:
        decoded = percent_decode(key)
        decoded = None if decoded is None else percent_decode(decoded)
    return decoded.decode("utf-8") if decoded is not None and is_utf8(decoded) else None


def percent_decode(text: bytes) -> bytes | None:
    """One pass over the escapes; None if one of them is malformed."""
    parts = text.split(b"%")
    decoded = parts[0]
    for part in parts[1:]:
        if re.match(rb"[0-9A-Fa-f]{2}", part) is None:
            return None
        decoded += bytes([int(part[:2], 16)]) + part[2:]
    return decoded


def is_utf8(text: bytes) -> bool:
    """Whether the bytes are UTF-8."""
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
