"""Detections over a lake: each finding counted once, wherever and however often it is looked for; nothing told that is secret."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from detect_rows import SECRET, make_lake, make_rows
from glue_lakes import make_glue_lake
from hypothesis import given, settings
from hypothesis import strategies as st
from small_lakes import DAY_1, DAY_2, DAY_3, MUCH_LATER, all_files, log_text, put_raw, text, write_logs

from etl.compact import compact
from etl.detect import (
    FINDINGS_SCHEMA,
    OBJECT_DETECTIONS,
    build_findings,
    build_sigv2_findings,
    detect,
    detect_file,
    findings_key,
    fold_findings,
    mask_secrets,
    object_findings_name,
    read_findings,
    write_findings,
)
from etl.detect._findings import identify
from etl.errors import BadParameter, LakeNotFound
from etl.ingest import ingest
from etl.lake import create_lake, open_lake
from etl.query import find_query
from etl.schema import FINDINGS_TABLE

CORPUS = Path(__file__).parent / "corpus"


def ids(findings: pa.Table) -> list[tuple[Any, ...]]:
    rows = [tuple(row[name] for name in ("detection", "source_key", "line_no")) for row in findings.to_pylist()]
    assert len(rows) == len(set(rows)), "a finding is there twice"
    return sorted(rows)


def files_of(lake: Path) -> dict[str, bytes]:
    return {name: data for name, data in all_files(lake).items() if name.startswith("findings/")}


def details(findings: pa.Table) -> list[dict[str, Any]]:
    return [json.loads(each) for each in findings.column("details").to_pylist()]


# --- Once -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detect")
    sigv2 = [line.replace(b" SigV4 ", b" SigV2 ") for line in log_text(30, seed="v2").splitlines()]
    files = {path.name: path.read_bytes() for path in sorted(CORPUS.glob("*.log"))}
    return write_logs(folder / "logs", files | {"v2.log": text(*sigv2), "v4.log": log_text(40)})


def test_before_and_after_compaction_a_finding_counts_once(logs: Path, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    ingest([str(logs)], lake=str(lake), now=DAY_1)
    first = detect(str(lake), now=DAY_1)
    written = files_of(lake)
    assert first.new == first.findings.num_rows == len(ids(first.findings)) > 50
    assert sum(each[0] == "sigv2" for each in ids(first.findings)) == 38
    again = detect(str(lake), now=DAY_2)
    assert (ids(again.findings), again.new, files_of(lake)) == (ids(first.findings), 0, written)

    assert compact(str(lake)).batch is not None
    after = detect(str(lake), now=DAY_3)
    assert not open_lake(str(lake)).snapshot().raw
    assert ids(after.findings) == ids(first.findings)
    assert (after.new, files_of(lake)) == (0, written)
    assert sorted(map(str, after.migrations)) == sorted(map(str, first.migrations))
    assert ids(read_findings(open_lake(str(lake)))) == ids(first.findings)


def test_whoever_looks_at_compacted_rows_without_knowing_adds_nothing_that_counts(logs: Path, tmp_path: Path) -> None:
    """As the function on AWS: it reads no findings, and creates a file for each data file it is told of."""
    lake = tmp_path / "lake"
    ingest([str(logs)], lake=str(lake), now=DAY_1)
    opened = open_lake(str(lake))

    def look_at(paths: list[str]) -> int:
        created = 0
        for path in paths:
            findings = build_sigv2_findings(detect_file(path))
            if findings.num_rows:
                name = object_findings_name(path, OBJECT_DETECTIONS)
                created += write_findings(opened.store, findings, findings_key(name, "2024-05-02"))
        return created

    raw = [file.path for file in opened.snapshot().raw]
    assert look_at(raw) > 0
    assert look_at(raw) == 0
    once = ids(read_findings(opened))
    compact(str(lake))
    assert look_at([file.path for file in opened.snapshot().compacted]) > 0
    assert ids(read_findings(opened)) == once
    assert detect(str(lake), detections=["sigv2", "sigv2_undecidable"]).new == 0
    assert files_of(lake).keys() == {name for name in files_of(lake) if "=2024-05-02/" in name}


def test_days_limit_what_is_said_and_not_what_is_written(tmp_path: Path) -> None:
    rows = make_rows(
        *({"signature_version": "SigV2", "time": f"2024-05-0{day}T10:00:00"} for day in (1, 2, 2, 3)),
    )
    lake = make_lake(tmp_path, rows)
    some = detect(str(lake), since="2024-05-02", until="2024-05-02", detections=["sigv2"])
    assert [each[2] for each in ids(some.findings)] == [2, 3]
    assert some.new == 4
    assert [each.requests for each in some.migrations] == [2]
    assert len(ids(read_findings(open_lake(str(lake))))) == 4
    late = detect(str(lake), since="-0d", detections=["sigv2"])
    assert [each[2] for each in ids(late.findings)] == [4]
    assert detect(str(lake), since="2031-01-01").findings.num_rows == 0


def test_rows_that_firehose_wrote_twice_count_once(tmp_path: Path) -> None:
    rows = make_rows({"signature_version": "SigV2"}, {"signature_version": "SigV2", "http_status": 403})
    lake = make_lake(tmp_path, rows, int96=True, drop=("object_key", "event_date"))
    put_raw(lake, "b", rows, int96=True, drop=("object_key", "event_date"))
    found = detect(str(lake))
    assert [each for each in ids(found.findings) if each[0] == "sigv2"] == [
        ("sigv2", "s3://logs/a", 1),
        ("sigv2", "s3://logs/a", 2),
    ]
    assert [each.requests for each in found.migrations] == [2]


def test_names_depend_on_the_input_alone() -> None:
    name = object_findings_name("raw/ingest_date=2024-05-02/a.parquet", ["sigv2", "x"])
    assert object_findings_name("/some/where/raw/ingest_date=2024-05-02/a.parquet", ["x", "sigv2"]) == name
    assert object_findings_name("raw/ingest_date=2024-05-03/a.parquet", ["sigv2", "x"]) != name
    assert object_findings_name("raw/ingest_date=2024-05-02/a.parquet", ["sigv2"]) != name
    assert findings_key(name, "2024-05-04") == f"findings/detected_date=2024-05-04/{name}.parquet"
    assert "=" not in name


def test_files_of_findings_have_the_columns_of_their_table(tmp_path: Path) -> None:
    lake = make_lake(tmp_path, make_rows({"signature_version": "SigV2"}))
    detect(str(lake), now=DAY_2)
    (name,) = files_of(lake)
    assert name.startswith("findings/detected_date=2024-05-03/")
    table = pq.read_table(lake / name, partitioning=None)
    assert table.schema.names == [column for column, _, _ in FINDINGS_TABLE.columns]
    assert table.schema.equals(FINDINGS_SCHEMA)


def test_the_function_grades_as_its_files_do() -> None:
    assert {name: find_query(f"detections/{name}").severity for name in OBJECT_DETECTIONS} == OBJECT_DETECTIONS


def test_a_lake_whose_state_glue_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = tmp_path / "lake"
    make_glue_lake(str(lake), monkeypatch)
    put_raw(lake, "a", make_rows({"signature_version": "SigV2"}, {}))
    put_raw(
        lake,
        "b",
        make_rows({"signature_version": "SigV2", "key_name": "other"}, source_key="s3://logs/b"),
        day="2024-05-03",
    )
    found = detect(str(lake), detections=["sigv2"], now=DAY_1)
    assert [each[1] for each in ids(found.findings)] == ["s3://logs/a", "s3://logs/b"]
    assert compact(str(lake), now=MUCH_LATER).batch is not None
    again = detect(str(lake), detections=["sigv2"], now=DAY_2)
    assert (ids(again.findings), again.new) == (ids(found.findings), 0)


# --- Bad input --------------------------------------------------------------------------------------------------------


def test_an_empty_lake(tmp_path: Path) -> None:
    create_lake(str(tmp_path / "lake"))
    for days in ({}, {"since": "2024-01-01", "until": "today"}):
        found = detect(str(tmp_path / "lake"), **days)  # type: ignore[arg-type]
        assert (found.findings.num_rows, found.unsure.num_rows, found.migrations, found.new) == (0, 0, (), 0)
    assert not files_of(tmp_path / "lake")


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(LakeNotFound):
        detect(str(tmp_path))
    lake = make_lake(tmp_path / "lake", make_rows({}))
    with pytest.raises(BadParameter, match=r"no detection of that name \(did you mean .*sigv2"):
        detect(str(lake), detections=["sigv3"])
    with pytest.raises(BadParameter, match="--since: 'soon' is no date"):
        detect(str(lake), since="soon")


def test_a_file_that_cannot_be_read_is_named_and_costs_no_other(tmp_path: Path) -> None:
    lake = make_lake(tmp_path, make_rows({"signature_version": "SigV2"}))
    put_raw(lake, "b", make_rows({"signature_version": "SigV2"}, source_key="s3://logs/b"), drop=["raw_line"])
    found = detect(str(lake), detections=["sigv2"])
    assert [each[1] for each in ids(found.findings)] == ["s3://logs/a"]
    assert [line.endswith("b.parquet: is no table of log lines") for line in found.failed] == [True]


# --- Secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        f"GET /k?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature={SECRET}&Expires=1 HTTP/1.1",
        f"GET /k?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20240502&X-Amz-Signature={SECRET} HTTP/1.1",
        f"GET /k?X-Amz-Security-Token={SECRET} HTTP/1.1",
        f"GET /k?a=b&api_key={SECRET} HTTP/1.1",
        f"GET /k?refresh_token={SECRET} HTTP/1.1",
        f"GET /k?x%26my-secret%3D{SECRET} HTTP/1.1",
        f"GET /k?passwd={SECRET};x=1 HTTP/1.1",
        f'GET /k?"PassWord={SECRET}" HTTP/1.1',
        # A page that shows what a presigned URL gives has it in a parameter.
        f"GET /k?url=https%3A%2F%2Fh%2Fk%3FAWSAccessKeyId%3DAKIAIOSFODNN7EXAMPLE%26Expires%3D1%26Signature%3D{SECRET} HTTP/1.1",
        f"GET /k?url=https%3A%2F%2Fh%2Fk%3FX-Amz-Credential%3DAKIAIOSFODNN7EXAMPLE%252F20240502%26Signature%3D{SECRET}&a=b",
        f"GET /k?next=/x?api_key={SECRET} HTTP/1.1",
        f"GET /k?next=/x;api_key={SECRET} HTTP/1.1",
        f"/k?%253FAWSAccessKeyId%253DAKIAIOSFODNN7EXAMPLE%2526Expires%253D1%2526Signature%253D{SECRET}",
        f"/k?a%25253Fb%25253D%252526token%25253D{SECRET}",
        "GET /k?users%2FAKIAIOSFODNN7EXAMPLE HTTP/1.1",
        f"GET /k?X%2DAmz%2DSig%6Eature={SECRET} HTTP/1.1",
        f"GET /k?%73ignature={SECRET} HTTP/1.1",
        f"GET /k?user[password]={SECRET} HTTP/1.1",
        f"GET /k?password=a%26{SECRET};{SECRET}?{SECRET} HTTP/1.1",
    ],
)
def test_secrets_are_masked_in_findings(uri: str, tmp_path: Path) -> None:
    rows = make_rows(
        {"signature_version": "SigV2", "request_uri": uri, "user_agent": uri, "requester": None},
        {"parse_status": "ambiguous", "request_uri": uri, "raw_line": f'{uri} "x" - H SigV2 -'},
    )
    lake = make_lake(tmp_path, rows)
    found = detect(str(lake))
    assert found.findings.num_rows >= 3
    told = json.dumps(details(found.findings)) + str(found.migrations)
    assert SECRET not in told
    assert "IOSFODNN7EXAMPLE" not in told
    assert "/k?" in told
    assert SECRET.encode() not in b"".join(files_of(lake).values())


def test_what_is_known_is_not_gone_through_for_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = make_lake(tmp_path, make_rows(*[{"signature_version": "SigV2"}] * 50))
    assert detect(str(lake)).new == 50
    for number in range(20):
        put_raw(lake, f"plain{number}", make_rows({}, source_key=f"s3://logs/plain{number}"))
    put_raw(lake, "more", make_rows({"signature_version": "SigV2"}, source_key="s3://logs/more"))
    gone_through: list[int] = []

    def count(findings: pa.Table) -> list[str]:
        gone_through.append(findings.num_rows)
        return identify(findings)

    for module in ("_book", "_findings"):
        monkeypatch.setattr(sys.modules[f"etl.detect.{module}"], "identify", count)
    assert detect(str(lake), detections=["sigv2"]).new == 1
    # The known ones once; then those of the one file that is new, looked for and added.
    assert sorted(gone_through) == [1, 1, 50]


def test_what_is_no_secret_stays() -> None:
    for uri in (
        "GET /k?prefix=a/b&X-Amz-Expires=600&versionId=abc&list-type=2 HTTP/1.1",
        "GET /tokens/session/a=b?x=1&url=https%3A%2F%2Fhost%2Fsecret%2Fx%3Fy%3D1 HTTP/1.1",
        "GET /keys/secret?x HTTP/1.1",
    ):
        assert mask_secrets(uri) == uri


def test_access_key_ids_are_masked_wherever_they_stand() -> None:
    assert mask_secrets("curl ASIAIOSFODNN7EXAMPLE") == "curl ASIAIOSF***"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_masking_never_fails(value: str) -> None:
    mask_secrets(value)


def test_masking_takes_linear_time() -> None:
    """Quadratic time over these would not end within a test's patience."""
    for piece in (
        "key",
        "?key",
        "token=",
        "&a",
        "%3D",
        "secret.",
        "=",
        "%25",
        "%",
        "25",
        "&%25",
        "AKIA",
        "?k%3",
        "key=&",
    ):
        mask_secrets(piece * 400_000)


def test_details_are_ascii_without_nulls_and_bounded() -> None:
    row = {"source_key": "s", "line_no": 1, "user_agent": "\x1b[2J\u202e日\n" + "a" * 9000, "key_name": None}
    table = pa.Table.from_pylist([row | {"request_time": dt.datetime(2024, 5, 2, 1, 2, 3, 4000)}])
    (written,) = build_findings(table, detection="d", severity="low").column("details").to_pylist()
    assert written.isascii()
    assert "\n" not in written
    found = json.loads(written)
    assert set(found) == {"user_agent", "request_time"}
    assert found["request_time"] == "2024-05-02T01:02:03.004Z"
    assert len(found["user_agent"]) == 2048


def test_folding_keeps_the_first() -> None:
    def one(detection: str, line_no: int, severity: str) -> dict[str, Any]:
        row = {"detection": detection, "source_key": "s", "line_no": line_no}
        return row | {"severity": severity, "details": "{}"}

    rows = [one("a", 2, "1"), one("a", 1, "2"), one("a", 2, "3"), one("b", 2, "4"), one("a", 1, "5")]
    folded = fold_findings(pa.Table.from_pylist(rows, FINDINGS_SCHEMA))
    assert folded.column("severity").to_pylist() == ["1", "2", "4"]
    assert fold_findings(FINDINGS_SCHEMA.empty_table()).num_rows == 0
