"""What no quote hides from the detections, and what they say of rows whose status is a guess."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from detect_rows import make_rows
from query_lake import connect_rows
from test_detections import ANONYMOUS, DELETE, NEWEST, find, guess, presigned

from etl.parse import parse
from etl.query import bind, find_query, run_query, to_duckdb

FRAGMENTS = (
    *(
        '"',
        " ",
        "-",
        '" ',
        '" "',
        "a",
        "HTTP/1.1",
        ' HTTP/1.1"',
        '"-"',
        "- - - -",
        ' 200 - 1 - 7 - "-" "x',
        "GET /",
        "\u00a0",
        "\r",
    ),
    *(
        '" 403 AccessDenied 1 - 7 - "',
        ' 403 E 1 - 7 - "-" "x" - h SigV4 c AuthHeader h TLSv1.2 - - -',
        '" - h -',
        "SigV4",
    ),
    *(
        '" - - - - - - TLSv1.2 - - - "',
        '" 204 - - - 7 - "-" "-" - ',
        "\x0b",
        "\u2028",
        "404",
        ' " 304 - 1 - 7 - "-" "-" - h -',
    ),
)


def hostile(pick: random.Random) -> str:
    return "".join(pick.choice(FRAGMENTS) for _ in range(pick.randrange(7)))


@pytest.mark.parametrize("seed", range(3))
def test_no_quote_hides_what_s3_did(seed: int, tmp_path: Path) -> None:
    """Whatever a client writes into the three fields that are its own, what S3 answered is found, or its line is no row."""
    pick, owner = random.Random(seed), "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"
    lines, statuses = [], []
    for number in range(2500):
        status = pick.choice(("200", "204", "206", "307", "403", "404"))
        uri, referer, agent = (pick.choice((hostile(pick), plain)) for plain in ("PUT /k HTTP/1.1", "-", "aws-cli/2"))
        head = f"{owner} b1 [02/May/2024:10:00:00 +0000] 10.0.{number // 250}.{number % 250} - 3E57427F3EXAMPLE REST.PUT.OBJECT k"
        lines.append(f'{head} "{uri}" {status} - 1 - 7 - "{referer}" "{agent}" - h= SigV4 c AuthHeader h TLSv1.2 - - -')
        statuses.append(status)
    parsed = parse("\n".join(lines).encode(), source_key="s3://logs/a").table
    kinds = dict(zip(parsed.column("line_no").to_pylist(), parsed.column("parse_status").to_pylist(), strict=True))
    connection = connect_rows(tmp_path, parsed.to_pylist())
    for name, wanted, values in (
        ("unauthenticated_writes", {"200", "204", "206"}, {}),
        ("access_denied_bursts", {"403"}, {"requests": "1"}),
    ):
        found = {line for line, _ in find(connection, name, **values)}
        true = {line for line in kinds if statuses[line - 1] in wanted}
        assert true <= found
        assert {kinds[line] for line in found - true} <= {"ambiguous"}
        assert sum(kinds[line] == "ambiguous" for line in true) > 100
        refused = {line for line, kind in kinds.items() if kind == "ambiguous"} - true
        assert len(refused & found) < len(refused) / 2


def test_what_is_a_guess_is_said_to_be_one(tmp_path: Path) -> None:
    requests = [DELETE, DELETE | guess(403, 204), DELETE | guess(204)]
    rows = make_rows(*(ANONYMOUS | row | {"bytes_sent_size": 7} for row in requests))
    reads = [
        ANONYMOUS | row | {"bytes_sent_size": size} for row, size in (({}, 7), (guess(200), 2**62), (guess(200), 2**62))
    ]
    connection = connect_rows(tmp_path, [*rows, *make_rows(*reads, source_key="s3://logs/b")])
    for name, values in (
        ("unauthenticated_writes", {}),
        ("mass_deletion", {"deletes": "3"}),
        ("unauthenticated_reads", {}),
    ):
        sql = to_duckdb(bind(find_query(f"detections/{name}"), values, newest_day=NEWEST))
        (row,) = run_query(connection, sql).read_all().to_pylist()
        assert (row["requests"], row["ambiguous"], row["parse_status"]) == (3, 2, "clean")
        # How much was sent is not taken from a guess.
        assert row.get("bytes_sent", 7) == 7


@pytest.mark.parametrize(
    ("query", "temporary"),
    [
        ("X-Amz-Expires=604800", False),
        ("X-Amz-Expires=604800&X-Amz-Security-Token=abc", True),
        ("AWSAccessKeyId=ASIA&Expires=1814730412&x-amz-security-token=abc", True),
        ("X-Amz-Expires=604800&X-Amz-Security-Token=", False),
        ("X-Amz-Expires=604800&response-X-Amz-Security-Token=abc", False),
    ],
)
def test_a_url_of_temporary_credentials_is_told_apart(query: str, temporary: bool, tmp_path: Path) -> None:
    connection = connect_rows(tmp_path, make_rows(presigned(query)))
    sql = to_duckdb(bind(find_query("detections/long_lived_presigned_urls"), {}, newest_day=NEWEST))
    (row,) = run_query(connection, sql).read_all().to_pylist()
    assert row["temporary"] is temporary
