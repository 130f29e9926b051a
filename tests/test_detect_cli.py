"""`accesslake detect` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from detect_rows import SECRET, make_lake, make_rows
from small_lakes import put_raw

from etl.cli import main
from etl.ingest import ingest
from etl.lake import create_lake
from etl.query import list_queries

CORPUS = Path(__file__).parent / "corpus"


class Ran:
    """What a run of the command line did."""

    def __init__(self, capture: pytest.CaptureFixture[bytes], *arguments: object) -> None:
        with pytest.raises(SystemExit) as exit_:
            main(["detect", *map(str, arguments)])
        self.code = exit_.value.code
        out, err = capture.readouterr()
        self.out, self.err = out.decode(), err.decode()

    @property
    def json(self) -> dict[str, Any]:
        assert self.err == ""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def test_the_corpus(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    ingest([str(CORPUS)], lake=str(tmp_path / "lake"))
    ran = Ran(capsysbinary, "--lake", tmp_path / "lake", "--json")
    assert ran.code == 0
    found = ran.json
    ids = {(item["detection"], Path(item["source_key"]).name, item["line_no"]) for item in found["findings"]}
    sigv2 = {(name, line) for detection, name, line in ids if detection == "sigv2"}
    assert sigv2 == {
        ("lnav-matomo.log", 2),
        ("logstash-patterns-core.log", 3),
        *(("nekrassov-access-log-parser.log", line) for line in (1, 2, 3, 4)),
        ("synthetic-edge.log", 68),
        ("synthetic-edge.log", 69),
    }
    unsure = {
        kind: {(Path(item["source_key"]).name, item["line_no"], item["undecidable"]) for item in found[kind]}
        for kind in ("ambiguous", "cut")
    }
    assert unsure == {
        "ambiguous": {("synthetic-edge.log", line, False) for line in (47, 51, 52, 54)},
        "cut": {("public-issues.log", 3, True), ("synthetic-edge.log", 91, True)},
    }
    assert found["new"] == len(found["findings"])
    assert {each["name"] for each in found["detections"]} == {
        query.name.removeprefix("detections/") for query in list_queries() if "/" in query.name
    }
    assert sum(each["requests"] for each in found["inventory"]) == len(sigv2)
    again = Ran(capsysbinary, "--lake", tmp_path / "lake", "--json").json
    assert again == found | {"new": 0}


def test_tables_for_people(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    hostile = f"Boto3/1.4.0 \x1b]0;owned\x07 ?token={SECRET}"
    rows = make_rows(
        {"signature_version": "SigV2", "user_agent": hostile, "bucket_name": "b\x1b[2J"},
        {"tls_version": "TLSv1"},
    )
    ran = Ran(capsysbinary, "--lake", make_lake(tmp_path / "lake", rows))
    assert (ran.code, ran.err) == (0, "")
    assert "medium    sigv2                             1         1" in ran.out
    assert "2 findings, 2 of them new; 0 lines are ambiguous and 0 cut, of 0 nobody can tell" in ran.out
    assert "Who signs with Signature Version 2 (gone: not in the 30 days before 2024-05-02):" in ran.out
    assert "active         1  2024-05-02  Boto3 1.4.0  1.4.6" in ran.out
    assert "Boto3: Upgrade" in ran.out
    assert "\x1b" not in ran.out
    assert SECRET not in ran.out


def test_the_inventory_says_how_a_client_authenticated(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    opened = {"signature_version": "SigV2", "authentication_type": "QueryString", "user_agent": "okhttp/4.9"}
    lake = make_lake(tmp_path / "lake", make_rows(opened, {"signature_version": "SigV2"}))
    inventory = Ran(capsysbinary, "--lake", lake, "--json").json["inventory"]
    assert {each["client"]: each["authentication_type"] for each in inventory} == {
        "okhttp": "QueryString",
        "Boto3": "AuthHeader",
    }
    said = Ran(capsysbinary, "--lake", lake).out
    assert "okhttp 4.9   ?                  QueryString" in said
    assert "okhttp: It opens a presigned URL" in said


def test_nothing_secret_and_nothing_that_drives_a_terminal_in_json(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    uri = f'GET /k?X-Amz-Signature={SECRET}\x1b[2J HTTP/1.1" "x'
    rows = make_rows({"parse_status": "ambiguous", "request_uri": uri, "raw_line": uri, "user_agent": uri})
    rows += make_rows(
        {"signature_version": "SigV2", "request_uri": uri, "user_agent": f"a?password={SECRET}"}, source_key="b"
    )
    ran = Ran(capsysbinary, "--lake", make_lake(tmp_path / "lake", rows), "--json")
    assert SECRET not in ran.out
    assert "\x1b" not in ran.out
    assert [item["line_no"] for item in ran.json["ambiguous"]] == [1]


def test_an_empty_lake(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    create_lake(str(tmp_path))
    ran = Ran(capsysbinary, "--lake", tmp_path, "--fail-on-findings")
    assert (ran.code, ran.err) == (0, "")
    assert "0 findings, 0 of them new" in ran.out
    found = Ran(capsysbinary, "--lake", tmp_path, "--json").json
    assert (found["findings"], found["ambiguous"], found["inventory"]) == ([], [], [])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], 0),
        (["--fail-on-findings"], 1),
        (["--fail-on", "medium"], 1),
        (["--fail-on", "high"], 0),
        (["--fail-on", "low", "--since", "2031-01-01"], 0),
        (["--fail-on-findings", "--detection", "mass_deletion"], 0),
        (["--fail-on", "info", "--detection", "sigv2"], 1),
    ],
)
def test_exit_codes(options: list[str], code: int, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    lake = make_lake(tmp_path / "lake", make_rows({"signature_version": "SigV2"}))
    assert Ran(capsysbinary, "--lake", lake, *options).code == code


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--detection", "tls_below_12"], 2, "did you mean tls_below_1_2"),
        (["--since", "yesterday"], 2, "'yesterday' is no date"),
        (["--since", "2026-03-01", "--until", "2026-01-01"], 2, "--since 2026-03-01: is after --until 2026-01-01"),
        (["--fail-on", "grave"], 2, "is not one of"),
        (["--lake", "/nowhere"], 1, "/nowhere: no lake here"),
    ],
)
def test_bad_input_gets_one_line(
    options: list[str], code: int, said: str, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    create_lake(str(tmp_path))
    ran = Ran(capsysbinary, "--lake", tmp_path, *options)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_damaged_file_is_named_beside_the_findings(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    lake = make_lake(tmp_path / "lake", make_rows({"tls_version": "TLSv1"}))
    put_raw(lake, "b", make_rows({})).write_bytes(b"PAR1")
    ran = Ran(capsysbinary, "--lake", lake, "--json")
    assert ran.code == 1
    found = json.loads(ran.out)
    assert [item["detection"] for item in found["findings"]] == ["tls_below_1_2"]
    (failed,) = found["failed"]
    assert "b.parquet: " in failed
    assert ran.err == f"accesslake: {failed}\n"


def test_named_detections_only(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    lake = make_lake(tmp_path / "lake", make_rows({"signature_version": "SigV2", "tls_version": "TLSv1"}))
    found = Ran(capsysbinary, "--lake", lake, "--detection", "tls_below_1_2", "--json").json
    assert [item["detection"] for item in found["findings"]] == ["tls_below_1_2"]
    assert [each["name"] for each in found["detections"]] == ["tls_below_1_2"]


def test_nothing_is_said_of_what_was_not_looked_at(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    cut = {
        "parse_status": "short",
        "signature_version": None,
        "raw_line": 'o b "GET / HTTP/1.1" 200 - 1 2 3 4 "-" "a" -',
    }
    lake = make_lake(tmp_path / "lake", make_rows({"signature_version": "SigV2"}, cut))
    for names, known in ((["mass_deletion"], False), (["mass_deletion", "sigv2_undecidable"], True)):
        options = [part for name in names for part in ("--detection", name)]
        found = Ran(capsysbinary, "--lake", lake, *options, "--json").json
        assert (found["ambiguous"], found["inventory"] is not None) == ([] if known else None, known)
        assert [item["line_no"] for item in found["cut"] or ()] == [2] * known
        said = Ran(capsysbinary, "--lake", lake, *options).out
        assert ("0 lines are ambiguous and 1 cut, of 1 nobody can tell" in said) is known
        assert ("ambiguous" in said) is known
        assert ("Signature Version 2" in said.partition("findings, ")[2]) is known
