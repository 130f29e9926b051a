"""The report's numbers, and the page they become; what a browser makes of it is in test_report_browser.py."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from report_cases import HOSTILE, NOW, SIGNATURE, make_hostile_lake
from small_lakes import (
    DAY_1,
    DAY_2,
    MUCH_LATER,
    add_logs,
    all_files,
    line,
    log_text,
    make_lake,
    put_raw,
    raw_row,
    text,
    write_logs,
)
from test_cli import accesslake, as_json, one_line

from etl.audit import audit
from etl.compact import compact
from etl.detect import detect
from etl.ingest import ingest
from etl.lake import create_lake
from etl.report import ReportData, read_report, render_report
from etl.report._data import Day
from etl.report._headlines import find_headlines
from etl.report._spans import choose_days
from etl.report._text import show, show_bytes, show_share, show_usd

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lake(tmp_path_factory.mktemp("report"))


def sigv2(time: str, **values: Any) -> bytes:
    return line(time, **values).replace(b" SigV4 ", b" SigV2 ")


# --- Numbers ----------------------------------------------------------------------------------------------------------


def test_every_number_is_that_of_the_lake(lake: Path) -> None:
    data = read_report(str(lake), now=NOW)
    assert (data.totals.requests, sum(day.requests for day in data.days)) == (68, 68)
    assert [day.day for day in data.days] == ["2024-05-01", "2024-05-02"]
    assert data.totals.first_request == dt.datetime(2024, 5, 1)
    assert data.totals.last_request == dt.datetime(2024, 5, 2, 23, 59, 59)
    assert [(each.name, each.requests) for each in data.agents] == [("curl/8", 68)]
    assert [(table.name, table.files, table.rows) for table in data.lake.tables[:3]] == [
        ("compacted", 0, 0),
        ("raw", 3, 68),
        ("quarantine", 1, 4),
    ]
    assert [(each.lines, each.source_key[-5:]) for each in data.quality.quarantine] == [(4, "a.log")]
    assert data.quality.is_ok
    assert data.is_settled
    assert {each.name: each.findings for each in data.detections}["unauthenticated_reads"] == 2


def test_days_limit_requests_and_findings_and_not_the_lake(lake: Path) -> None:
    data = read_report(str(lake), since="2024-05-02", until="today", now=NOW)
    assert (data.period.since, data.period.until) == ("2024-05-02", "2024-05-02")
    assert [day.day for day in data.days] == ["2024-05-02"]
    assert {each.name: each.findings for each in data.detections}["unauthenticated_reads"] == 1
    assert data.lake.tables[1].rows == 68
    assert "2 May 2024" in render_report(data)


def test_compaction_changes_nothing_that_is_about_requests(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    logs = text(*(sigv2(f"2024-05-02T0{hour}:00:00", agent="Boto/2.40 x") for hour in range(5)))
    add_logs(lake, d=logs, e=logs)
    before = read_report(str(lake), now=NOW)
    compact(str(lake), now=MUCH_LATER)
    after = read_report(str(lake), now=NOW)
    assert after.lake.batches == 1
    # Two log objects with the same lines are one that S3 delivered twice; only a rewrite can tell.
    assert (before.totals.requests, after.totals.requests, after.quality.folded) == (78, 73, 5)
    assert [each.requests for each in after.migrations] == [5]
    assert sum(day.sigv2 for day in after.days) == 5
    assert after.failing_keys == before.failing_keys
    assert after.quality.quarantine == before.quality.quarantine


def test_what_firehose_delivered_twice_counts_once(tmp_path: Path) -> None:
    create_lake(str(tmp_path))
    rows = [raw_row("s3://logs/a", 1, signature_version="SigV2", user_agent="Boto/2.40", bytes_sent_size=5)]
    for name in ("one", "two"):
        put_raw(tmp_path, name, rows, drop=["object_key", "event_date"], int96=True)
    data = read_report(str(tmp_path), now=NOW)
    assert (data.totals.requests, data.totals.bytes_sent) == (1, 5)
    assert [each.requests for each in data.migrations] == [1]
    assert {each.name: each.findings for each in data.detections}["sigv2"] == 1


def test_a_log_object_that_changed_counts_as_compaction_would_leave_it(tmp_path: Path) -> None:
    """Taken twice under one name: the same lines of the same log object are the same rows, whichever file they are in."""
    lake = make_lake(tmp_path)
    assert read_report(str(lake), now=NOW).totals.requests == 68
    grown = (tmp_path / "logs" / "b.log").read_bytes() + text(line(key="more"))
    (tmp_path / "logs" / "b.log").write_bytes(grown)
    add_logs(lake)
    data = read_report(str(lake), now=NOW)
    assert data.lake.tables[1].rows == 68 + 31
    assert data.totals.requests == 69


def test_findings_are_those_of_detect_and_are_not_written_down(tmp_path: Path) -> None:
    lake = make_hostile_lake(tmp_path)
    before = all_files(lake)
    data = read_report(str(lake), now=NOW)
    assert all_files(lake) == before
    found = detect(str(lake))
    names = found.findings.column("detection").to_pylist()
    assert {each.name: each.findings for each in data.detections} == {
        name: names.count(name) for name in found.detections
    }
    assert data.migrations == found.migrations
    assert [each.name for each in data.detections] == list(found.detections)


def test_late_rows_are_counted_where_files_tell(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    assert read_report(str(lake), now=NOW).quality.late == 0
    add_logs(lake, now=MUCH_LATER, late=text(line("2024-05-02T11:00:00", key="late")))
    assert read_report(str(lake), now=NOW).quality.late == 1
    compact(str(lake), now=MUCH_LATER)
    add_logs(lake, now=MUCH_LATER, later=text(line("2024-05-02T12:00:00", key="later")))
    compact(str(lake), now=MUCH_LATER)
    # In the first batch most rows were in time, and its files do not tell which was not.
    assert read_report(str(lake), now=NOW).quality.late == 1


def test_a_damaged_file_is_named_and_costs_its_own_rows_only(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    damaged = sorted((lake / "raw").rglob("*.parquet"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-9])
    data = read_report(str(lake), now=NOW)
    assert 0 < data.totals.requests < 68
    assert not data.quality.is_ok
    assert [Path(name).name for name in data.quality.left_out] == [damaged.name]
    assert damaged.name in render_report(data)


def test_a_damaged_file_whose_log_was_taken_again_is_not_lost(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    logs = write_logs(tmp_path / "more", {"more.log": log_text(20, seed="more")})
    before = set((lake / "raw").rglob("*.parquet"))
    assert ingest([str(logs)], lake=str(lake), now=DAY_2).rows == 20
    (damaged,) = set((lake / "raw").rglob("*.parquet")) - before
    damaged.write_bytes(b"")
    assert compact(str(lake), now=DAY_2).left_out == (damaged.relative_to(lake).as_posix(),)
    assert [Path(name).name for name in read_report(str(lake), now=NOW).quality.left_out] == [damaged.name]
    assert ingest([str(logs)], lake=str(lake), now=MUCH_LATER).rows == 20
    data = read_report(str(lake), now=NOW)
    assert (data.quality.left_out, data.quality.is_ok) == ((), True)


def test_a_lake_that_changes_while_it_is_read_is_audited_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = make_lake(tmp_path)
    calls = []

    def meanwhile(uri: str, **options: Any) -> Any:
        found = audit(uri, **options)
        calls.append(found)
        if len(calls) <= changes:
            add_logs(lake, now=DAY_2, **{f"n{len(calls)}": text(line(key=f"n{len(calls)}"))})
        return found

    monkeypatch.setattr(sys.modules["etl.report._read"], "audit", meanwhile)
    changes = 1
    data = read_report(str(lake), now=NOW)
    assert (len(calls), data.is_settled, data.totals.requests) == (2, True, 69)
    assert sum(each.rows for each in data.quality.arrivals) == 69
    changes = 99
    data = read_report(str(lake), now=NOW)
    assert not data.is_settled
    assert "The lake changed while it was read" in render_report(data)


# --- Headlines --------------------------------------------------------------------------------------------------------


def headlines(data: ReportData) -> list[tuple[str, str]]:
    return [(each.level, each.title) for each in find_headlines(data)]


def test_what_needs_action_comes_first(tmp_path: Path) -> None:
    data = read_report(str(make_hostile_lake(tmp_path)), now=NOW)
    levels = [level for level, _ in headlines(data)]
    assert levels == ["critical", "critical", "warning", "notice", "notice"]
    assert [title for _, title in headlines(data)][2] == "Signature Version 2 is still in use"
    quiet = replace(
        data,
        migrations=tuple(replace(each, status="gone") for each in data.migrations),
        detections=tuple(replace(each, findings=0) for each in data.detections),
        quality=replace(data.quality, quarantine=(), is_ok=True),
    )
    assert headlines(quiet) == []
    assert "Nothing. Every line is accounted for" in render_report(quiet)


def test_requests_that_are_over_are_told_where_there_is_nothing_to_do(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    create_lake(str(lake))
    old = [sigv2(f"2024-04-01T0{hour}:00:00", agent="Boto/2.40 x") for hour in range(2)]
    signed = text(*old, line("2024-05-02T10:00:00")).replace(b" - R1 ", b" arn:aws:iam::1:user/a R1 ")
    add_logs(lake, now=DAY_1, a=signed)
    data = read_report(str(lake), now=NOW)
    assert [(each.status, each.requests) for each in data.migrations] == [("gone", 2)]
    assert headlines(data) == []
    page = render_report(data)
    said = "nobody has signed with Signature Version 2 for 31 days up to 2 May 2024 (2 requests before that)"
    assert said in page
    assert "the detections found nothing else above severity info" in page
    assert "gone, which means not seen in the 30 days before 2 May 2024" in page
    doubtful = replace(data, migrations=(), undecidable=3)
    assert (
        "no request of these days is signed with Signature Version 2, but of 3 lines nobody can tell; and the detections "
        "found nothing above severity info." in render_report(doubtful)
    )


def test_what_to_do_is_said_for_each_version_of_a_client(tmp_path: Path) -> None:
    create_lake(str(tmp_path))
    agents = ("Boto3/1.4.0", "Boto3/1.4.1", "Boto3/1.34.0")
    put_raw(
        tmp_path,
        "a",
        [raw_row("s3://logs/a", n, signature_version="SigV2", user_agent=a) for n, a in enumerate(agents)],
    )
    page = render_report(read_report(str(tmp_path), now=NOW))
    assert page.count('<p class="action">Upgrade, and set Config(') == 1
    assert page.count('<p class="action">1.4.6 and later are new enough. Set Config(') == 1


def test_who_is_gone_is_counted_from_the_last_day_that_was_asked_for(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    create_lake(str(lake))
    add_logs(lake, now=MUCH_LATER, a=text(sigv2("2024-05-02T01:00:00"), line("2024-06-02T10:00:00")))
    asked = "2024-05-10"
    assert [each.status for each in read_report(str(lake), now=MUCH_LATER).migrations] == ["gone"]
    data = read_report(str(lake), now=MUCH_LATER, until=asked)
    assert ([each.status for each in data.migrations], data.last_day) == (["active"], "2024-05-10")
    assert ("warning", "Signature Version 2 was still in use up to 10 May 2024") in headlines(data)
    beyond = read_report(str(lake), now=MUCH_LATER, until="2031-01-01")
    assert ([each.status for each in beyond.migrations], beyond.last_day) == (["gone"], "2024-06-02")
    found = [detect(str(lake), until=until) for until in (None, asked, "2031-01-01")]
    assert [each.migrations[0].status for each in found] == ["gone", "active", "gone"]
    assert [each.last_day for each in found] == ["2024-06-02", "2024-05-10", "2024-06-02"]


# --- Days that are drawn ----------------------------------------------------------------------------------------------


def days(*counts: tuple[str, int]) -> list[Day]:
    return [Day(day, count, count * 10, 0, 0) for day, count in counts]


def test_gaps_are_days_without_requests() -> None:
    drawn = choose_days(days(("2024-05-01", 5), ("2024-05-04", 7)), today="2024-05-20")
    assert [(each.day[-2:], each.requests) for each in drawn.days] == [("01", 5), ("02", 0), ("03", 0), ("04", 7)]
    assert (drawn.step, drawn.requests_left_out) == ("day", 0)


def test_a_few_far_lines_do_not_flatten_the_rest() -> None:
    listed = days(("2012-01-01", 1), ("2019-01-01", 3), ("2024-05-01", 600), ("2024-05-02", 600), ("2099-01-01", 2))
    drawn = choose_days(listed, today="2024-05-20")
    assert [each.day for each in drawn.days] == ["2024-05-01", "2024-05-02"]
    assert drawn.requests_left_out == 6
    busy = choose_days(days(("2019-01-01", 300), ("2024-05-01", 600)), today="2024-05-20")
    assert busy.days[0].day == "2019-01-01"
    assert busy.step == "month"


@pytest.mark.parametrize(("last", "step"), [("2024-05-01", "day"), ("2024-12-31", "week"), ("2027-01-01", "month")])
def test_many_days_are_gathered_and_none_is_lost(last: str, step: str) -> None:
    first, final = dt.date(2024, 1, 1), dt.date.fromisoformat(last)
    listed = days(*((f"{first + dt.timedelta(n)}", 1) for n in range((final - first).days + 1)))
    drawn = choose_days(listed, today="2030-01-01")
    assert drawn.step == step
    assert sum(each.requests for each in drawn.days) == len(listed)
    assert sum(each.bytes_sent for each in drawn.days) == len(listed) * 10
    assert len(drawn.days) <= 125


def test_days_to_come_are_not_drawn() -> None:
    drawn = choose_days(days(("9999-12-31", 4)), today="2024-05-20")
    assert (drawn.days, drawn.requests_left_out) == ((), 4)
    assert choose_days([], today="2024-05-20").days == ()


# --- Texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (96_981_241, "97.0 MB"),
        (10**21, "1000 EB"),
    ],
)
def test_bytes(size: int, shown: str) -> None:
    assert show_bytes(size) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "0 %"),
        (0, 5, "0 %"),
        (1, 10**6, "< 0.01 %"),
        (5, 1000, "0.50 %"),
        (1, 3, "33.3 %"),
        (99_999, 100_000, "> 99.9 %"),
        (7, 7, "100 %"),
    ],
)
def test_shares_are_never_rounded_to_nothing_or_all(part: int, whole: int, shown: str) -> None:
    assert show_share(part, whole) == shown


def test_prices() -> None:
    assert [show_usd(usd) for usd in (0.00005, 0.000485, 12.5)] == ["$0.00005", "$0.00049", "$12.50"]


def test_a_text_is_masked_before_it_is_cut() -> None:
    shown = show(f"/{'a' * 50}?X-Amz-Signature={SIGNATURE}", width=64)
    assert len(shown.text) == 64
    assert SIGNATURE[:4] not in shown.text + shown.full
    assert shown.full.endswith("=***")
    assert show("short") == show("short", width=5)
    assert show("a\u202eb\0").text == r"a\u202eb\x00"
    assert len(show("x" * 50_000).full) == 10_000


# --- The page ---------------------------------------------------------------------------------------------------------


def test_the_page_is_made_of_its_data_alone(lake: Path) -> None:
    data = read_report(str(lake), now=NOW)
    page = render_report(data)
    assert page == render_report(data)
    assert page.startswith("<!DOCTYPE html>")
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=[\"'](?!#|data:,)", page)
    assert not re.search(r"url\(|@import", page)


def test_hostile_text_never_leaves_its_place(tmp_path: Path) -> None:
    page = render_report(read_report(str(make_hostile_lake(tmp_path)), now=NOW))
    assert not any(text in page for text in HOSTILE if "<" in text)
    assert "&lt;script&gt;window.pwned = 1" in page
    assert page.count("<script") == 0
    assert page.count("</style>") == page.count("</title>") == 1
    assert SIGNATURE not in page
    assert not re.search("[\0-\x09\x0b-\x1f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", page)


def test_a_lake_of_quarantined_lines_alone_says_so(tmp_path: Path) -> None:
    create_lake(str(tmp_path / "lake"))
    (tmp_path / "logs").mkdir()
    add_logs(tmp_path / "lake", now=DAY_2, bad=b"no log line\n")
    page = render_report(read_report(str(tmp_path / "lake"), now=NOW))
    assert "The lake is empty" in page
    assert "1 line could not be read" in page


# --- The command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_one_file(lake: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    found = as_json("report", "--lake", lake, "--output", output)
    assert found["rows"] == 68
    assert found["bytes"] == output.stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    code, out, err = accesslake("report", "--lake", lake, "-o", output, "--since", "2024-05-02")
    assert (code, err) == (0, "")
    assert out.startswith(f"{output}: ")


def test_the_command_writes_the_page_to_standard_output(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = accesslake("report", "--lake", lake, "-o", "-")
    assert (code, err) == (0, "")
    assert out.startswith("<!")
    assert out.rstrip().endswith("</html>")
    assert not list(tmp_path.iterdir())


def test_the_command_says_in_a_line_what_is_wrong(lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases: list[tuple[list[str | Path], int, str]] = [
        (["--lake", lake], 2, "output"),
        (["--lake", tmp_path / "none", "-o", tmp_path / "r.html"], 1, "no lake here"),
        (["--lake", lake, "-o", tmp_path / "no" / "r.html"], 1, "No such file"),
        (["--lake", lake, "-o", tmp_path / "r.html", "--since", "yesterday"], 2, "is no date"),
        (
            ["--lake", lake, "-o", tmp_path / "r.html", "--since", "today", "--until", "2020-01-01"],
            2,
            "--until 2020-01-01",
        ),
        (["--lake", lake, "-o", "-", "--json"], 2, "cannot both go to standard output"),
    ]
    for arguments, code, reason in cases:
        found, out, err = accesslake("report", *arguments)
        assert (found, out) == (code, "")
        assert reason in one_line(err)
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    code, out, err = accesslake("report", "--lake", lake, "-o", tmp_path / "r.html", "--json")
    assert (code, out) == (2, "")
    assert "accesslake[report]" in one_line(err)
    assert not list(tmp_path.iterdir())


def test_the_numbers_of_the_command_are_those_of_the_page(lake: Path, tmp_path: Path) -> None:
    found = as_json("report", "--lake", lake, "-o", tmp_path / "r.html")
    data = read_report(str(lake))
    assert json.dumps(found["findings"]) == json.dumps(sum(each.findings for each in data.detections))


def test_a_lake_in_a_bucket_gives_the_same_numbers(s3: S3Client, tmp_path: Path) -> None:
    here = make_lake(tmp_path)
    s3.create_bucket(Bucket="report")
    for name, data in all_files(here).items():
        s3.put_object(Bucket="report", Key=f"lake/{name}", Body=data)
    there = read_report("s3://report/lake", now=NOW)
    local = read_report(str(here), now=NOW)
    assert there.lake.uri == "s3://report/lake"
    assert replace(there, lake=local.lake) == local
