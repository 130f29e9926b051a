"""Plain-Python answers to the detections that stand for one log line, which is read again by words and quotes."""

from __future__ import annotations

from query_answers_rows import Answer, Day, Row, Seen, each_line, is_ambiguous
from query_answers_traffic import counts_as_sigv2

HEAD = ("bucket_name", "remote_ip", "requester", "operation", "key_name")


def sigv2(seen: Seen, since: Day = "-30d", until: Day = "today") -> Answer:
    rows = [row for row in seen.between(since, until) if counts_as_sigv2(row)]
    return each_line(
        rows, *HEAD, "request_uri", "http_status", "user_agent", "signature_version", "authentication_type"
    )


def sigv2_undecidable(seen: Seen, since: Day = "-30d", until: Day = "today") -> Answer:
    rows = [
        row
        for row in seen.between(since, until)
        if (is_ambiguous(row) and _may_be_sigv2(row["raw_line"]))
        or (row["parse_status"] == "short" and _is_cut_early(row))
    ]
    return each_line(rows, *HEAD, "parse_status", "raw_line")


def ambiguous_or_forged_lines(seen: Seen, since: Day = "-30d", until: Day = "today") -> Answer:
    rows = [
        row
        for row in seen.between(since, until)
        if is_ambiguous(row) or any(_imitates_fields(row[name]) for name in ("user_agent", "referer", "request_uri"))
    ]
    return each_line(rows, *HEAD, "http_status", "user_agent", "referer", "request_uri", "parse_status", "raw_line")


def _after_quotes(line: str) -> list[str]:
    """What follows each quote that may be the end of a field."""
    parts = line.split('"')
    tails = ['"'.join(parts[place:]) for place in range(1, len(parts))]
    return [tail for tail in tails if not tail or tail[0].isspace()]


def _may_be_sigv2(line: str | None) -> bool:
    """Whether a reading is signed with SigV2, or ends before it says: the third word after the user agent's quote."""
    if line is None:
        return True
    for tail in _after_quotes(line):
        words = tail.split()
        if any('"' in word for word in words[:2]):
            continue
        if len(words) < 3:
            return True
        if words[2] == "SigV2" or (len(words) == 3 and "SigV2".startswith(words[2])):
            return True
    return False


def _is_cut_early(row: Row) -> bool:
    """Whether a line was cut in or before its signature version, the 20th field."""
    if row["raw_line"] is None:
        return True
    # The one reading of a cut line ends its last quoted field, the user agent, with the last quote.
    words = row["raw_line"].rpartition('"')[2].split()
    cut_before = len(words) < 3
    cut_within = len(words) == 3 and words[2] != "-" and "SigV2".startswith(words[2])
    return cut_before or cut_within


def _imitates_fields(text: str | None) -> bool:
    """Whether a quote in it is followed by what stands after a user agent, or after a request URI."""
    return any(_is_end_of_line(tail) or _is_status_block(tail) for tail in _after_quotes(text or ""))


def _is_end_of_line(tail: str) -> bool:
    words = tail.split()
    return len(words) >= 3 and words[2].startswith("SigV") and not any('"' in word for word in words[:2])


def _is_status_block(tail: str) -> bool:
    """Status, error code and three numbers, with single spaces as S3 writes them."""
    words = tail.split(" ")[1:6]
    if len(words) < 5 or len(tail.split(" ")) < 7:
        return False
    status, code, *numbers = words
    is_status = len(status) == 3 and status.isdecimal()
    is_code = bool(code) and '"' not in code
    return is_status and is_code and all(number == "-" or number.isdecimal() for number in numbers)
