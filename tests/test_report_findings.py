"""What the report says of findings and of those who still sign with SigV2: no more than is true of all requests it counts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from detect_rows import make_lake, make_rows
from report_cases import NOW

from etl.detect import Migration
from etl.report import ReportData, read_report, render_report
from etl.report._clients import group_clients
from etl.report._data import Detected, QuarantineReason, Told
from etl.report._text import cut_middle, show
from etl.terminal import cells

ALICE, BOB = "arn:aws:iam::123456789012:user/alice", "arn:aws:iam::123456789012:user/bob"
NOBODY = {"requester": None, "signature_version": None, "authentication_type": None}
SIGV2 = {"signature_version": "SigV2"}


def read(folder: Path, rows: Iterable[dict[str, Any]]) -> ReportData:
    return read_report(str(make_lake(folder / "lake", make_rows(*rows))), now=NOW)


def found(data: ReportData, name: str) -> Detected:
    return next(each for each in data.detections if each.name == name)


def text_of(page: str, anchor: str) -> str:
    """An article of the page as text."""
    article = page.partition(f'id="{anchor}"')[2].partition("</article>")[0]
    return re.sub(r"\s+", " ", re.sub("<wbr>", "", article.replace("</td>", " ")).replace("<br>", " ").strip())


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", "", html))


# --- Who --------------------------------------------------------------------------------------------------------------


def test_nobody_is_blamed_for_what_many_did(tmp_path: Path) -> None:
    data = read(tmp_path, (NOBODY | {"remote_ip": f"192.0.2.{n}"} for n in range(40)))
    (example,) = found(data, "unauthenticated_reads").examples
    assert example.requests == 40
    assert example.requester == Told(None, is_of_all=True)
    assert example.address == Told("192.0.2.0", is_of_all=False)
    said = plain(text_of(render_report(data), "finding-unauthenticated_reads"))
    assert "not authenticated first seen from 192.0.2.0" in said
    assert "others may have sent the rest" in said


def test_who_sent_all_is_named(tmp_path: Path) -> None:
    writes = [NOBODY | {"operation": "REST.PUT.OBJECT", "remote_ip": "192.0.2.7"}] * 3
    data = read(tmp_path, writes)
    (example,) = found(data, "unauthenticated_writes").examples
    assert (example.requests, example.address) == (3, Told("192.0.2.7", is_of_all=True))
    said = plain(text_of(render_report(data), "finding-unauthenticated_writes"))
    assert "not authenticated from 192.0.2.7" in said
    assert "first" not in said


def test_an_address_is_not_named_beside_a_requester_who_had_many(tmp_path: Path) -> None:
    rows = [{"acl_required": "Yes", "remote_ip": f"192.0.2.{n}"} for n in range(3)]
    rows += [{"tls_version": "TLSv1", "remote_ip": f"192.0.2.{n}"} for n in range(3)]
    data = read(tmp_path, rows)
    for name in ("acl_dependent_access", "tls_below_1_2"):
        (example,) = found(data, name).examples
        assert (example.requester, example.address, example.requests) == (Told(ALICE, is_of_all=True), None, 3)
        assert "192.0.2." not in text_of(render_report(data), f"finding-{name}")


def test_a_requester_a_bucket_and_an_operation_of_the_first_say_so(tmp_path: Path) -> None:
    regions = [
        {"requester": who, "source_region": "eu-west-1", "time": f"2024-05-02T10:00:0{n}"}
        for n, who in enumerate((ALICE, BOB))
    ]
    before = {"source_region": "us-east-1", "time": "2024-03-01T10:00:00"}
    denied = {"http_status": 403, "error_code": "AccessDenied", "time": "2024-05-01T10:00:00"}
    rows: list[dict[str, Any]] = [before, *regions, *(denied | {"bucket_name": f"b{n}"} for n in range(50))]
    data = read(tmp_path, rows)
    page = render_report(data)
    (moved,) = found(data, "new_source_regions").examples
    assert moved.requester == Told(ALICE, is_of_all=False)
    assert moved.what == Told("eu-west-1", is_of_all=True)
    assert f"the first: {ALICE} first seen from" in plain(text_of(page, "finding-new_source_regions"))
    (burst,) = found(data, "access_denied_bursts").examples
    assert (burst.bucket, burst.requester) == (Told("b0", is_of_all=False), Told(ALICE, is_of_all=True))
    assert "the first: b0" in plain(text_of(page, "finding-access_denied_bursts"))


def test_a_group_of_one_is_told_whole(tmp_path: Path) -> None:
    (example,) = found(read(tmp_path, [NOBODY]), "unauthenticated_reads").examples
    assert example.address == Told("192.0.2.3", is_of_all=True)
    assert not example.names_first_only


def test_tls_versions_are_spelled_as_s3_does(tmp_path: Path) -> None:
    data = read(tmp_path, [{"tls_version": each} for each in ("TLSv1", "TLSv1.1", "SSLv3")])
    assert {each.what.text for each in found(data, "tls_below_1_2").examples if each.what} == {
        "TLSv1",
        "TLSv1.1",
        "SSLv3",
    }


def test_lines_are_listed_as_the_latest_and_groups_as_the_busiest(tmp_path: Path) -> None:
    doubtful = {"parse_status": "ambiguous", "raw_line": 'x "a" "b" - H SigV4 C'}
    rows: list[dict[str, Any]] = [
        *[SIGV2] * 7,
        *[doubtful] * 7,
        *(NOBODY | {"bucket_name": f"b{n}"} for n in (1, 1, 2, 3, 4, 5, 6)),
    ]
    page = render_report(read(tmp_path, rows))
    sigv2, forged = (text_of(page, f"finding-{name}") for name in ("sigv2", "ambiguous_or_forged_lines"))
    assert "The latest 5" in sigv2
    assert '<a href="#sigv2">' in sigv2
    assert "The latest 5;" in forged
    assert "busiest" not in sigv2 + forged
    assert "The busiest 5;" in text_of(page, "finding-unauthenticated_reads")


def test_a_detection_that_names_nobody_has_no_column_for_it(tmp_path: Path) -> None:
    doubtful = {"parse_status": "ambiguous", "raw_line": 'x "a" "b" - H SigV2 C A'}
    page = render_report(read(tmp_path, [doubtful]))
    assert 'data-label="Who"' not in text_of(page, "finding-sigv2_undecidable")
    assert 'data-label="Who"' in text_of(page, "finding-ambiguous_or_forged_lines")


# --- Who signs with SigV2 ---------------------------------------------------------------------------------------------


def test_there_is_one_entry_for_what_is_to_be_done(tmp_path: Path) -> None:
    opened = SIGV2 | {"authentication_type": "QueryString"}
    rows = [SIGV2 | {"requester": who, "bucket_name": bucket} for who in (ALICE, BOB) for bucket in ("b1", "b2")]
    rows += [opened | {"user_agent": agent} for agent in ("okhttp/4.9", "Mozilla/5.0 x", "python-requests/2.31")] * 2
    data = read(tmp_path, rows)
    opening, boto = group_clients(data.migrations)
    assert (boto.names, boto.requests, boto.requesters, boto.buckets) == (("Boto3 1.4.0",), 4, 2, 2)
    assert (set(opening.names), opening.is_presigned) == ({"okhttp 4.9", "Browser", "python-requests 2.31"}, True)
    page = render_report(data)
    assert page.count("It opens a presigned URL") == 1
    assert "Ask its maintainers" not in page
    section = page.partition('<section id="sigv2"')[2].partition("</section>")[0]
    # What to do comes before who does it, which has to be opened.
    assert section.index('class="action"') < section.index(ALICE.rpartition("/")[2]) < section.index("</details>")
    assert "2 requesters in 2 buckets" in section


def test_versions_of_a_client_with_the_same_advice_are_one_entry(tmp_path: Path) -> None:
    agents = ("Boto3/1.4.0", "Boto3/1.4.1", "Boto3/1.34.0")
    groups = group_clients(read(tmp_path, [SIGV2 | {"user_agent": agent} for agent in agents]).migrations)
    assert sorted((group.names, len(group.rows)) for group in groups) == [(("Boto3",), 2), (("Boto3 1.34.0",), 1)]


def test_every_row_of_the_inventory_is_in_one_entry(tmp_path: Path) -> None:
    agents = ("a/1", "a/2", "Boto3/1.4.0", None, "curl/8", "aws-sdk-java/1.7.4")
    rows: list[dict[str, Any]] = [
        {**SIGV2, "user_agent": agent, "authentication_type": how, "requester": who}
        for agent in agents
        for how in ("AuthHeader", "QueryString", None)
        for who in (ALICE, None)
    ]
    data = read(tmp_path, rows)
    listed: list[Migration] = [each for group in group_clients(data.migrations) for each in group.rows]
    assert sorted(map(repr, listed)) == sorted(map(repr, data.migrations))


# --- Texts and numbers ------------------------------------------------------------------------------------------------


def test_what_is_cut_keeps_both_ends() -> None:
    key = f"warehouse/orders/{'x' * 80}/part-0007.snappy.parquet"
    shown = show(key, width=40)
    assert (len(shown.text), shown.full) == (40, key)
    assert shown.text.startswith("warehouse/orders/")
    assert shown.text.endswith("07.snappy.parquet")
    for text in ("漢字" * 40, "Z\u0301\u0302" * 60, "a" * 42, "ab" * 5000):
        for width in (2, 3, 40, 41):
            short = cut_middle(text, width)
            assert cells(short) <= width
            assert short.count("…") == 1
            assert cells(short.partition("…")[2][:1]) != 0 or short.endswith("…")
    assert cut_middle("a" * 40, 40) == "a" * 40


def test_what_is_cut_opens_to_the_whole_of_it(tmp_path: Path) -> None:
    agent = f"agent/{'y' * 200}<b>end"
    page = render_report(read(tmp_path, [{"user_agent": agent}]))
    whole = re.findall(r'<details class="cut"><summary>(.*?)</summary>(.*?)</details>', page)
    assert any("…" in short and plain(full) == f"agent/{'y' * 200}&lt;b&gt;end" for short, full in whole)
    assert " title=" not in page


def test_lines_break_after_slashes_and_colons_and_texts_stay_escaped(tmp_path: Path) -> None:
    who = "arn:aws:iam::123456789012:user/a&b<i>'\"/c"
    page = render_report(read(tmp_path, [{"requester": who}]))
    escaped = "arn:aws:iam::123456789012:user/a&amp;b&lt;i&gt;&#39;&#34;/c"
    assert re.sub("([/:])", r"\1<wbr>", escaped) in page
    assert "<i>" not in page


def test_an_error_is_a_status_of_400_or_more_everywhere(tmp_path: Path) -> None:
    moved = {"http_status": 301, "error_code": "MovedPermanently"}
    data = read(tmp_path, [moved, moved, {"http_status": 404, "error_code": "NoSuchKey"}, {"http_status": 400}])
    assert [(each.code, each.status) for each in data.errors] == [("NoSuchKey", 404), (None, 400)]
    assert sum(each.requests for each in data.errors) == data.totals.client_errors + data.totals.server_errors


def test_a_command_in_a_headline_is_code_and_a_text_out_of_the_log_is_none(tmp_path: Path) -> None:
    data = read(tmp_path, [{}])
    reason = QuarantineReason("odd `field`", 2, "s3://logs/a", 1)
    page = render_report(replace(data, quality=replace(data.quality, quarantine=(reason,))))
    said = page.partition('<ol class="headlines">')[2].partition("</ol>")[0]
    assert "They are kept; <code>accesslake replay</code> reads them again." in said
    assert "odd `field`" in said
