"""The generated logs: exact, the same everywhere, and as odd as they claim to be."""

from __future__ import annotations

import ast
import datetime
import hashlib
import ipaddress
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import BadParameter, LakeUnusable
from etl.generate import GENERATED_SHARES, LogObject, generate, write_objects
from etl.generate._agents import AGENTS
from etl.parse import Reading, Rejected, read_line

END = datetime.date(2026, 11, 20)
LINES = 50_000

PLAIN = re.compile(
    r"(?P<owner>\S+) (?P<bucket>\S+) \[(?P<time>[^]]+)\] (?P<ip>\S+) (?P<requester>[^\"]+) (?P<request>[A-Z0-9]{16})"
    r" (?P<operation>[\w.]+) (?P<key>\S+) (?P<uri>-|\"[^\"]*\") (?P<status>\S+) (?P<error>\S+) (?P<sent>\S+) (?P<size>\S+)"
    r" (?P<total>\S+) (?P<turn>\S+) (?P<referer>-|\"[^\"]*\") (?P<agent>-|\"[^\"]*\") (?P<tail>[^\"]+)"
)
"""A line of S3's own making: its three texts are quoted without quotes in them, or bare."""

FLAT = re.compile(r"(?:logs/|backup-access-|site/)(\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)-[0-9A-F]{16}")
PARTITIONED = re.compile(
    r"(?:|access/|audit/)(?P<account>\d{12})/(?P<region>[a-z0-9-]+)/(?P<bucket>[a-z0-9.-]+)/(?P<day>\d{4}/\d\d/\d\d)"
    r"/(?P<written>\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d)-[0-9A-F]{16}"
)


@cache
def sample() -> tuple[LogObject, ...]:
    return tuple(generate(lines=LINES, seed=11, end=END))


def text(log: LogObject) -> list[str]:
    return log.body.decode().removesuffix("\n").split("\n")


@cache
def sample_lines() -> tuple[tuple[str, str], ...]:
    return tuple((log.key, line) for log in sample() for line in text(log))


@cache
def plain_lines() -> tuple[re.Match[str], ...]:
    return tuple(match for _, line in sample_lines() if (match := PLAIN.fullmatch(line)))


def moment(line: str) -> datetime.datetime:
    return _parsed(line[line.index("[") + 1 : line.index("]")], "%d/%b/%Y:%H:%M:%S %z")


@cache
def _parsed(time: str, form: str) -> datetime.datetime:
    return datetime.datetime.strptime(time, form)


def delivered(key: str) -> datetime.datetime | None:
    """When the name says that the object was delivered; None if it only says a day of events."""
    if not FLAT.fullmatch(key) and not key.startswith("access/"):
        return None
    return _parsed(f"{key[-36:-17]} +0000", "%Y-%m-%d-%H-%M-%S %z")


def fields(match: re.Match[str]) -> int:
    return 17 + len(match["tail"].split(" "))


def near(found: int, share: float) -> bool:
    """Within 5 % of what the share promises, or within 3 lines."""
    return abs(found - share * LINES) <= max(3, 0.05 * share * LINES)


def digest(objects: Iterable[LogObject]) -> str:
    total = hashlib.sha256()
    for log in objects:
        total.update(log.key.encode() + b"\n" + log.body)
    return total.hexdigest()


@settings(max_examples=60, deadline=None)
@given(
    lines=st.integers(0, 2000),
    seed=st.integers(),
    days=st.integers(1, 5),
    lines_per_object=st.one_of(st.integers(1, 40), st.integers(41, 6000)),
)
def test_whatever_is_asked_for_is_met_exactly(lines: int, seed: int, days: int, lines_per_object: int) -> None:
    objects = list(generate(lines=lines, seed=seed, end=END, days=days, lines_per_object=lines_per_object))
    assert sum(1 for log in objects for line in text(log) if line.strip()) == lines
    assert len({log.key for log in objects}) == len(objects)
    first = END - datetime.timedelta(days=days - 1)
    for log in objects:
        assert log.body.endswith(b"\n")
        assert b"\r" not in log.body
        assert 1 <= len(text(log)) <= lines_per_object
        assert len({line.split(" ")[1] for line in text(log)}) == 1
        assert all(first <= moment(line).date() <= END for line in text(log))
        assert delivered(log.key) or len({moment(line).date() for line in text(log)}) == 1


def test_the_same_arguments_give_the_same_bytes_on_every_machine() -> None:
    assert digest(generate(lines=3000, seed=1, end=END, lines_per_object=200)) == (
        "e4dd33aec81b688e520bd3edde55546b0cfb8a2339c8ceedd37106bac6fa765d"
    )


def test_seed_end_and_days_all_matter() -> None:
    eve = END - datetime.timedelta(days=1)
    variants = [(1, END, 3), (2, END, 3), (1, eve, 3), (1, END, 2)]
    assert len({digest(generate(lines=500, seed=seed, end=end, days=days)) for seed, end, days in variants}) == 4


def test_objects_are_made_one_at_a_time() -> None:
    assert len(text(next(generate(lines=10**12, seed=1, end=END, lines_per_object=10)))) <= 10


BEFORE_S3, TOO_FAR = datetime.date(2006, 3, 15), datetime.date(9999, 12, 31)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("lines", -1), ("days", 0), ("lines_per_object", 0), ("end", BEFORE_S3), ("end", TOO_FAR)],
)
def test_a_number_or_a_day_out_of_range_is_refused_before_the_first_object(argument: str, value: object) -> None:
    arguments: dict[str, object] = {"lines": 1, "seed": 1, "end": END, "days": 3} | {argument: value}
    with pytest.raises(BadParameter) as caught:
        generate(**arguments)  # type: ignore[arg-type]
    assert caught.value.subject == argument
    assert next(generate(lines=1, seed=1, end=BEFORE_S3, days=2)).body


def test_both_name_styles_occur_and_say_what_is_in_the_object() -> None:
    styles: Counter[str] = Counter()
    for log in sample():
        if FLAT.fullmatch(log.key):
            styles["flat"] += 1
            continue
        match = PARTITIONED.fullmatch(log.key)
        assert match, log.key
        assert match["written"].startswith(match["day"].replace("/", "-"))
        assert {match["bucket"]} == {line.split(" ")[1] for line in text(log)}
        if delivered(log.key) is None:
            styles["event time"] += 1
            assert {f"{moment(line):%Y/%m/%d}" for line in text(log)} == {match["day"]}
        else:
            styles["delivery time"] += 1
    assert set(styles) == {"flat", "event time", "delivery time"}
    assert min(styles.values()) >= 5


def test_each_layout_has_its_share_and_objects_of_its_own() -> None:
    lines: Counter[int] = Counter()
    for log in sample():
        counts = Counter(fields(match) for line in text(log) if (match := PLAIN.fullmatch(line)))
        assert len(counts) == 1 or set(counts) <= {19, 20, 21, 22, 27, 28}
        lines += counts if len(counts) > 1 else Counter({next(iter(counts)): len(text(log))})
    shares = asdict(GENERATED_SHARES)
    for layout in (18, 23, 24, 25, 26):
        assert near(lines[layout], shares[f"layout_{layout}"]), layout
    assert near(lines[28], GENERATED_SHARES.extra_field)
    assert near(sum(lines[cut] for cut in (19, 20, 21, 22)), GENERATED_SHARES.short)
    assert lines[27] > 0.8 * LINES
    assert set(lines) <= {18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28}


def test_every_line_is_read_as_what_it_was_made_to_be() -> None:
    found: Counter[str] = Counter()
    for raw in (line.encode() for _, line in sample_lines()):
        read = read_line(raw)
        quotes = raw.count(b'"')
        if b"forged.example" in raw:
            found["forged"] += 1
            assert isinstance(read, Reading)
        elif not isinstance(read, Reading):
            found["cut"] += 1
            assert 1 <= quotes <= 5
        elif read.status == "short":
            found["short"] += 1
        else:
            found["stray_quotes"] += quotes > 6
            assert read.status == "clean", raw
            texts = {"in URI": read.spans[8], "in referer": read.spans[15], "in agent": read.spans[16]}
            found.update(place for place, (start, end) in texts.items() if quotes > 6 and b'"' in raw[start:end])
    for kind in ("forged", "cut", "short", "stray_quotes"):
        assert near(found[kind], asdict(GENERATED_SHARES)[kind]), kind
    assert min(found["in URI"], found["in referer"], found["in agent"]) > 50


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_twenty_thousand_lines_hold_one_that_cannot_be_read(seed: int) -> None:
    objects = generate(lines=20_000, seed=seed, end=END)
    broken = [line for log in objects for line in text(log) if 0 < line.count('"') < 6]
    assert any(isinstance(read_line(line.encode()), Rejected) for line in broken)


def test_late_lines_come_one_to_two_days_after_their_time() -> None:
    late = 0
    for key, line in sample_lines():
        at = delivered(key)
        if at is None:
            continue
        assert datetime.timedelta(0) < at - moment(line) <= datetime.timedelta(days=2)
        late += at - moment(line) >= datetime.timedelta(days=1)
    assert near(late, GENERATED_SHARES.late)


def test_doubled_lines_are_identical_and_in_another_object_of_their_bucket() -> None:
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for key, line in sample_lines():
        homes[line].append(key)
    doubled = {line: keys for line, keys in homes.items() if len(keys) > 1}
    assert near(len(doubled), GENERATED_SHARES.doubled)
    for keys in doubled.values():
        assert len(keys) == len(set(keys)) == 2
        assert len({key.rpartition("/")[0] if key[0].isdigit() else key[:5] for key in keys}) == 1


def test_lines_stand_roughly_by_time_but_not_strictly() -> None:
    seen: set[str] = set()
    inversions = 0
    for log in sample():
        at = delivered(log.key)
        fresh = [moment(line) for line in text(log) if line not in seen]
        times = [time for time in fresh if not at or at - time < datetime.timedelta(days=1)]
        seen.update(text(log))
        for latest, time in zip(accumulate(times, max), times, strict=True):
            assert latest - time <= datetime.timedelta(seconds=60)
            inversions += time < latest
    assert inversions > 100


def test_a_batch_delete_is_one_request_and_its_keys_with_the_same_ids() -> None:
    batches: defaultdict[str, list[tuple[str, re.Match[str]]]] = defaultdict(list)
    for key, line in sample_lines():
        match = PLAIN.fullmatch(line)
        if match and match["operation"] in ("REST.POST.MULTI_OBJECT_DELETE", "BATCH.DELETE.OBJECT"):
            batches[match["request"]].append((key, match))
    assert near(sum(map(len, batches.values())), GENERATED_SHARES.batch_delete)
    for members in batches.values():
        operations = [match["operation"] for _, match in members]
        assert operations == ["REST.POST.MULTI_OBJECT_DELETE", *["BATCH.DELETE.OBJECT"] * (len(members) - 1)]
        assert len(members) > 1
        assert len({key for key, _ in members}) == 1
        assert len({match["time"] for _, match in members}) == 1
        assert len({match["key"] for _, match in members}) == len(members)
        assert len({match["tail"].split(" ")[1] for _, match in members if fields(match) > 18}) <= 1
        for _, match in members[1:]:
            assert {match[name] for name in ("uri", "error", "sent", "total", "turn", "referer", "agent")} == {"-"}
    assert any(len(members) > 8 for members in batches.values())


def test_a_copy_is_two_lines_with_the_same_ids() -> None:
    copies: defaultdict[str, list[re.Match[str]]] = defaultdict(list)
    for match in plain_lines():
        if match["operation"].startswith("REST.COPY."):
            copies[match["request"]].append(match)
    assert near(sum(map(len, copies.values())), GENERATED_SHARES.copy)
    for written, read in copies.values():
        assert read["operation"] == f"{written['operation']}_GET"
        assert (read["uri"], read["referer"], read["agent"]) == ("-", "-", "-")
        assert written["tail"].split(" ")[1:] == read["tail"].split(" ")[1:]


def test_lifecycle_lines_have_no_client() -> None:
    actions = [match for match in plain_lines() if match["operation"].startswith("S3.")]
    assert near(len(actions), GENERATED_SHARES.lifecycle)
    assert len({match["operation"] for match in actions}) >= 6
    for match in actions:
        assert (match["ip"], match["requester"], match["uri"], match["agent"]) == ("-", "AmazonS3", '"-"', '"-"')
        assert (match["status"], match["total"], match["turn"]) == ("-", "-", "-")
        assert set(match["tail"].split(" ")[2:]) <= {"-"}


def test_a_few_old_clients_sign_their_headers_with_sigv2() -> None:
    old = [match for match in plain_lines() if "SigV2" in match["tail"] and "AuthHeader" in match["tail"]]
    assert near(len(old), GENERATED_SHARES.sigv2_header)
    assert len({(match["ip"], match["agent"]) for match in old}) <= 20


def test_keys_are_skewed_and_some_are_hard() -> None:
    keys = Counter((match["bucket"], match["key"]) for match in plain_lines() if match["key"] != "-")
    ranked = sorted(keys.values(), reverse=True)
    assert len(ranked) > 3000
    assert sum(ranked[: len(ranked) // 100]) > 0.15 * sum(ranked)
    assert any("%25E" in key for _, key in keys)
    assert max(len(key) for _, key in keys) > 500


def test_a_key_names_one_object() -> None:
    sizes: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for match in plain_lines():
        if match["operation"] == "REST.GET.OBJECT" and match["status"] == "200":
            sizes[match["bucket"], match["key"]].add(match["size"])
    assert len(sizes) > 2000
    assert {len(found) for found in sizes.values()} == {1}


def test_clients_are_many_and_of_every_kind() -> None:
    requesters = {match["requester"] for match in plain_lines()}
    arns = (
        r"arn:aws:iam::\d+:user/.+",
        r"arn:aws:sts::\d+:assumed-role/.+",
        r"arn:aws:iam::cloudfront:user/CloudFront .+",
    )
    for kind in ("-", "AmazonS3", "svc:.+", "[0-9a-f]{64}", *arns):
        assert any(re.fullmatch(kind, requester) for requester in requesters), kind
    tails = [match["tail"].split(" ") for match in plain_lines() if fields(match) == 27]
    assert {tail[7] for tail in tails} >= {"-", "arn:aws:s3:us-east-1:123456789012:accesspoint/analytics"}
    assert {tail[8] for tail in tails} == {"-", "Yes"}
    assert {tail[9] for tail in tails} >= {"-", "us-east-1", "eu-central-1"}
    assert {tail[6] for tail in tails} == {"-", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
    statuses = {match["status"] for match in plain_lines()}
    assert statuses >= {"200", "204", "206", "304", "403", "404", "412", "500", "503"}
    assert any(match["operation"].startswith("WEBSITE.") for match in plain_lines())


def test_a_hundred_thousand_lines_come_from_at_least_150_user_agents() -> None:
    seen: set[str] = set()
    for log in generate(lines=100_000, seed=5, end=END):
        seen.update(line.rsplit('"', 2)[1] for line in text(log) if line.count('"') == 6)
    assert len(seen & AGENTS) >= 150
    assert 190 <= len(AGENTS) <= 210


def test_addresses_and_credentials_are_those_of_documentation() -> None:
    documented = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
    networks = [ipaddress.ip_network(network) for network in documented]
    addresses = {ipaddress.ip_address(ip) for match in plain_lines() if (ip := match["ip"]) != "-"}
    assert {address.version for address in addresses} == {4, 6}
    assert all(any(address in network for network in networks) for address in addresses)
    everything = "".join(line for _, line in sample_lines())
    assert set(re.findall(r"A[KS]IA[A-Z0-9]+", everything)) == {"AKIAIOSFODNN7EXAMPLE"}
    assert "&X-Amz-Signature=" in everything
    assert "&Signature=" in everything


def test_ids_have_the_lengths_of_real_ones() -> None:
    hosts = {match["tail"].split(" ")[1] for match in plain_lines() if fields(match) >= 23}
    assert {len(host) for host in hosts} == {76, 96}
    assert all(re.fullmatch(r"[A-Za-z0-9+/]{75}=|[A-Za-z0-9+/]{96}", host) for host in hosts)
    assert 550 <= len("".join(line for _, line in sample_lines())) / LINES <= 700


def test_only_the_writing_module_can_touch_disk_clock_or_environment() -> None:
    forbidden = {"os", "pathlib", "io", "time", "tempfile", "secrets", "locale", "math", "boto3", "contextlib"}
    for path in (Path(__file__).parents[1] / "etl" / "generate").glob("*.py"):
        if path.name == "_write.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not forbidden & {name.partition(".")[0] for name in names}, path.name
            assert not (isinstance(node, ast.Name) and node.id in ("open", "hash", "set")), path.name


def test_objects_are_written_under_their_names(tmp_path: Path) -> None:
    objects = list(generate(lines=1000, seed=3, end=END))
    folder = tmp_path / "new" / "folder"
    for _ in range(2):
        written = write_objects(iter(objects), folder)
        assert (written.objects, written.lines) == (len(objects), 1000)
        assert written.bytes == sum(len(log.body) for log in objects)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert files == {log.key: log.body for log in objects}


@pytest.mark.parametrize("key", ["../outside", "logs/../../outside", "/outside", ""])
def test_a_key_that_leads_out_of_the_folder_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(BadParameter):
        write_objects([LogObject(key, b"x\n")], tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_bytes(b"")
    with pytest.raises(LakeUnusable, match="taken"):
        write_objects([LogObject("logs/a", b"x\n")], taken)


def test_a_file_that_cannot_be_put_in_place_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "logs" / "a").mkdir(parents=True)
    with pytest.raises(LakeUnusable):
        write_objects([LogObject("logs/a", b"x\n")], tmp_path)
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["a"]
