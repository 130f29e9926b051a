"""The command line as a user meets it: exit codes, one clear line for bad input, JSON on stdout."""

import gzip
import importlib
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl import SCHEMA
from etl.cli import main

CORPUS = Path(__file__).parent / "corpus"


def accesslake(*arguments: str | Path, stdin: bytes = b"") -> tuple[int, str, str]:
    """Run the command line in this process; what a process adds is tested by those that start one."""
    streams = [io.TextIOWrapper(io.BytesIO(data), encoding="utf-8") for data in (stdin, b"", b"")]
    kept = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = streams
    try:
        with pytest.raises(SystemExit) as exit_:
            main([*map(str, arguments)])
    finally:
        sys.stdin, sys.stdout, sys.stderr = kept
    out, err = (stream.buffer for stream in streams[1:])
    for stream in streams[1:]:
        stream.flush()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, out.getvalue().decode(), err.getvalue().decode()


def as_json(*arguments: str | Path) -> dict[str, object]:
    code, out, err = accesslake(*arguments, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def one_line(err: str) -> str:
    assert "Traceback" not in err
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("accesslake: ")
    return lines[0]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    assert as_json("generate", "--lines", "3000", "-o", folder / "logs")["lines"] == 3000
    as_json("ingest", folder / "logs", CORPUS / "synthetic-edge.log", "--lake", folder / "lake", "--workers", "2")
    return folder / "lake"


class TestParse:
    def test_reads_one_log_object_and_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "one.log").write_bytes((CORPUS / "synthetic-edge.log").read_bytes())
        assert accesslake("parse", tmp_path)[0] == 0
        (tmp_path / "two.log").touch()
        code, out, err = accesslake("parse", tmp_path)
        assert (code, out) == (2, "")
        assert f"{tmp_path}: names several log objects" in one_line(err)

    def test_prints_rows_and_rejects_in_input_order(self) -> None:
        code, out, err = accesslake("parse", CORPUS / "synthetic-edge.log")
        records = [json.loads(line) for line in out.splitlines()]
        assert (code, err) == (0, "")
        assert [record["line_no"] for record in records] == sorted(set(range(1, 97)) - {88, 89})
        rows = [record for record in records if "quarantined" not in record]
        rejects = {record["line_no"]: record for record in records if "quarantined" in record}
        assert all(list(row) == SCHEMA.names for row in rows)
        assert sorted(rejects) == [87, 90, 92, 94, 95, 96]
        assert set(rejects[90]) == {"quarantined", "line_no", "raw_line"}
        assert rejects[90]["raw_line"] == "this is not a valid log entry"
        first = rows[0]
        assert first["request_time"] == "2026-07-01T10:20:30.000Z"
        assert (first["http_status"], first["error_code"]) == (200, None)
        assert first["source_key"] == str(CORPUS / "synthetic-edge.log")

    def test_reads_standard_input_plain_or_gzip(self) -> None:
        line = (CORPUS / "aws-docs-2026-27fields.log").read_bytes()
        plain = accesslake("parse", "-", stdin=line)
        assert plain == accesslake("parse", "-", stdin=gzip.compress(line))
        assert plain[0] == 0
        assert json.loads(plain[1].splitlines()[0])["source_key"] == "-"

    def test_invalid_utf8_is_replaced_in_fields_and_escaped_in_the_line(self) -> None:
        line = (CORPUS / "synthetic-edge.log").read_bytes().split(b"\n")[55]
        row = json.loads(accesslake("parse", "-", stdin=line)[1])
        assert row["user_agent"] == "caf\N{REPLACEMENT CHARACTER}"
        assert '"caf\\xe9"' in row["raw_line"]
        reject = json.loads(accesslake("parse", "-", stdin=b"\xff no log\n")[1])
        assert reject["raw_line"] == "\\xff no log"

    def test_output_is_ascii_whatever_a_line_holds(self) -> None:
        line = (CORPUS / "synthetic-edge.log").read_bytes().split(b"\n")[54]
        _, out, _ = accesslake("parse", "-", stdin=line.replace(b"caf", b"\x1b[2J\xe2\x80\xae"))
        assert out.isascii()
        assert "\x1b" not in out

    @pytest.mark.parametrize("verb", [["parse", "/no/such.log"]])
    def test_missing_file(self, verb: Sequence[str]) -> None:
        code, out, err = accesslake(*verb)
        assert (code, out) == (1, "")
        assert "/no/such.log: no such file" in one_line(err)

    def test_a_closed_pipe_is_no_error_message(self) -> None:
        command = f"{sys.executable} -m etl.cli parse {CORPUS}/synthetic-edge.log | head -c 10 > /dev/null"
        done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60)
        assert done.stderr == b""


class TestIngest:
    def test_counts_and_a_second_run_adds_nothing(self, tmp_path: Path) -> None:
        first = as_json("ingest", CORPUS, "--lake", tmp_path / "lake")
        assert first["lines"] == first["rows"] + first["quarantined"]  # type: ignore[operator]
        assert (first["skipped"], first["failed"]) == (0, 0)
        second = as_json("ingest", CORPUS, "--lake", tmp_path / "lake")
        assert second == {**first, "objects": 0, "skipped": first["objects"], "lines": 0, "rows": 0, "quarantined": 0}

    def test_everything_readable_is_taken_and_the_rest_named(self, tmp_path: Path) -> None:
        logs = tmp_path / "logs"
        logs.mkdir()
        good = (CORPUS / "dandi-s3-log-parser.log").read_bytes()
        (logs / "good.log").write_bytes(good)
        (logs / "cut.gz").write_bytes(gzip.compress(good)[:-20])
        (logs / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(2000))
        code, out, err = accesslake("ingest", logs, "/no/such", "--lake", tmp_path / "lake", "--json")
        found = json.loads(out)
        assert code == 1
        assert (found["objects"], found["rows"], found["failed"]) == (1, 11, 3)
        assert len(found["errors"]) == 3
        lines = err.splitlines()
        assert len(lines) == 3
        assert any("cut.gz: damaged gzip" in line for line in lines)
        assert any("picture.png: is no text log" in line for line in lines)
        assert any("/no/such: no such file" in line for line in lines)
        assert as_json("audit", "--lake", tmp_path / "lake")["ok"] is True

    def test_many_failures_are_cut_short(self, tmp_path: Path) -> None:
        for number in range(15):
            (tmp_path / f"{number}.png").write_bytes(b"\x89PNG" + bytes(100))
        code, _, err = accesslake("ingest", tmp_path, "--lake", tmp_path / "lake")
        assert code == 1
        assert len(err.splitlines()) == 11
        assert "5 more" in err.splitlines()[-1]

    def test_a_lake_path_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        code, out, err = accesslake("ingest", CORPUS, "--lake", tmp_path / "file")
        assert (code, out) == (1, "")
        assert f"{tmp_path}/file: is a file" in one_line(err)

    def test_hostile_file_names_cannot_drive_the_terminal(self, tmp_path: Path) -> None:
        (tmp_path / "\x1b[31mred.png").write_bytes(b"\x89PNG")
        _, _, err = accesslake("ingest", tmp_path, "--lake", tmp_path / "lake")
        assert "red.png" in one_line(err)
        assert "\x1b" not in err

    def test_progress_on_a_terminal_only(self, tmp_path: Path) -> None:
        lake = ["--lake", str(tmp_path / "lake")]
        for verb, counted in ((["ingest", str(CORPUS)], "objects"), (["compact"], "rows")):
            ours, theirs = pty.openpty()
            command = [sys.executable, "-m", "etl.cli", *verb, *lake]
            with open(theirs, "wb", buffering=0) as terminal:
                subprocess.run(command, stderr=terminal, stdout=subprocess.PIPE, check=True, timeout=60)
            shown = os.read(ours, 65536).decode()
            os.close(ours)
            assert counted in shown
            assert shown.endswith("\r\x1b[K")


class TestCompactAndAudit:
    def test_the_counts_of_both_agree(self, tmp_path: Path) -> None:
        lake = tmp_path / "lake"
        taken = as_json("ingest", CORPUS, "--lake", lake)
        done = as_json("compact", "--lake", lake, "--target-size", "64")
        assert done["rows_in"] == taken["rows"]
        assert done["rows_out"] == done["rows_in"] - done["duplicates"]  # type: ignore[operator]
        assert {"batch", "files", "bytes"} <= set(done)
        assert as_json("compact", "--lake", lake)["batch"] is None
        found = as_json("audit", "--lake", lake)
        assert found["ok"] is True
        assert found["days"][0]["lines"] == taken["lines"]  # type: ignore[index]

    def test_audit_exits_1_when_lines_are_missing(self, tmp_path: Path) -> None:
        lake = tmp_path / "lake"
        as_json("ingest", CORPUS, "--lake", lake)
        next((lake / "quarantine").rglob("*.parquet")).unlink()
        code, out, _ = accesslake("audit", "--lake", lake, "--json")
        assert code == 1
        assert json.loads(out)["ok"] is False

    def test_no_lake(self, tmp_path: Path) -> None:
        for verb in ("audit", "compact", "query"):
            more = ["top_requesters"] if verb == "query" else []
            code, out, err = accesslake(verb, *more, "--lake", tmp_path)
            assert (code, out) == (1, "")
            assert "no lake here" in one_line(err)


class TestQuery:
    @pytest.mark.parametrize("format_name", ["table", "csv", "json", "parquet"])
    def test_formats(self, lake: Path, format_name: str) -> None:
        command = [
            sys.executable,
            "-m",
            "etl.cli",
            "query",
            "top_requesters",
            "--lake",
            str(lake),
            "--format",
            format_name,
        ]
        done = subprocess.run(command, capture_output=True, timeout=60, check=True)
        if format_name == "json":
            assert json.loads(done.stdout)[0]["requests"] > 0
        elif format_name == "parquet":
            assert pq.read_table(pa.BufferReader(done.stdout)).num_rows > 0
        else:
            assert done.stdout.startswith(b"requester")

    def test_sql_parameters_and_days(self, lake: Path) -> None:
        sql = "SELECT count(*) AS n FROM access_logs WHERE bucket_name = :bucket"
        parameters = ["--param", "bucket=amzn-s3-demo-media", "--since", "2026-06-29", "--until", "2026-06-29"]
        _, out, _ = accesslake("query", "--sql", sql, "--lake", lake, *parameters, "--json")
        (row,) = json.loads(out)
        assert 0 < row["n"] < 3000

    def test_no_rows_says_why(self, lake: Path) -> None:
        code, _, err = accesslake(
            "query", "top_requesters", "--lake", lake, "--since", "2019-01-01", "--until", "2019-01-02"
        )
        assert code == 0
        assert "no rows" in one_line(err)

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["no_such"], 2, "no query of that name"),
            (["top_requesters", "--since", "tomorrow"], 2, "tomorrow"),
            (["top_requesters", "--since", "today", "--until", "2019-01-01"], 2, "is after --until 2019-01-01"),
            (
                ["--sql", "SELECT 1", "--since", "2019-01-02", "--until", "2019-01-01"],
                2,
                "--since 2019-01-02: is after",
            ),
            (["top_requesters", "--param", "x"], 2, "NAME=VALUE"),
            (["top_requesters", "--param", "x=1"], 2, "no such parameter"),
            ([], 2, "--sql"),
            (["--sql", "SELECT no_such FROM access_logs"], 1, "no_such"),
            (["--sql", "DROP TABLE access_logs"], 1, ""),
            (["--sql", "SELECT * FROM '/etc/passwd'"], 1, ""),
        ],
    )
    def test_bad_input(self, lake: Path, arguments: list[str], code: int, said: str) -> None:
        found, out, err = accesslake("query", *arguments, "--lake", lake)
        assert (found, out) == (code, "")
        assert said in one_line(err)

    def test_queries_lists_them_all(self) -> None:
        listed = as_json("queries")["queries"]
        names = {query["name"] for query in listed}  # type: ignore[attr-defined]
        folder = CORPUS.parents[1] / "queries"
        assert names == {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.sql")}
        _, out, _ = accesslake("queries")
        assert all(name in out for name in names)


class TestOthers:
    def test_ddl_refuses_a_first_day_that_is_none(self) -> None:
        code, _, err = accesslake("ddl", "--first-day", "2026-02-30")
        assert code == 2
        assert "2026-02-30" in one_line(err)
        assert "2026-02-03,NOW" in accesslake("ddl", "--first-day", "2026-02-03")[1]

    def test_ddl(self) -> None:
        statements = as_json("ddl", "--database", "logs", "--location", "s3://amzn-s3-demo-bucket/x/")["statements"]
        assert len(statements) == 8  # type: ignore[arg-type]
        assert "'s3://amzn-s3-demo-bucket/x/raw/'" in statements[1]  # type: ignore[index]
        assert accesslake("ddl")[1].count(";\n") == 8

    def test_generate_is_deterministic(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            as_json("generate", "--lines", "500", "--seed", "7", "-o", tmp_path / name)
        files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
        assert files
        assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)

    def test_demo_runs_twice(self, tmp_path: Path) -> None:
        first = as_json("demo", "--lake", tmp_path / "lake", "--lines", "2000")
        assert first["audit"] == {"ok": True}
        assert first["ingest"]["rows"] > 1900  # type: ignore[index]
        assert first["findings"] > 0  # type: ignore[operator]
        assert (tmp_path / "lake.html").read_text().startswith("<!DOCTYPE html>")
        code, out, err = accesslake("demo", "--lake", tmp_path / "lake", "--lines", "2000")
        assert (code, err) == (0, "")
        assert "nothing to do" in out

    def test_help_and_version(self) -> None:
        code, out, _ = accesslake("--help")
        assert code == 0
        verbs = (
            *("attach", "audit", "compact", "cost", "ddl", "demo", "detect", "doctor"),
            *("generate", "ingest", "parse", "queries", "query", "replay", "report", "smoke"),
        )
        for verb in verbs:
            assert verb in out
            assert accesslake(verb, "--help")[0] == 0
        assert accesslake("--version")[0] == 0

    @pytest.mark.parametrize("arguments", [["frobnicate"], ["ingest"], ["ingest", "x"], ["compact", "--lake"]])
    def test_usage(self, arguments: list[str]) -> None:
        code, out, err = accesslake(*arguments)
        assert (code, out) == (2, "")
        one_line(err)

    def test_an_unexpected_error_is_one_line_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.import_module("etl.cli._parse"), "parse_stream", None)
        code, _, err = accesslake("parse", CORPUS / "dandi-s3-log-parser.log")
        assert code == 1
        assert "internal error" in one_line(err)
        monkeypatch.setenv("ACCESSLAKE_DEBUG", "1")
        with pytest.raises(TypeError):
            main(["parse", str(CORPUS / "dandi-s3-log-parser.log")])

    def test_as_a_process(self) -> None:
        command = [sys.executable, "-W", "error", "-m", "etl.cli", "parse", str(CORPUS / "dandi-s3-log-parser.log")]
        done = subprocess.run(command, capture_output=True, timeout=60, check=True)
        assert len(done.stdout.splitlines()) == 11
        assert done.stderr == b""
