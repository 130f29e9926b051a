"""Everything readable is taken, what is not is named, and nothing half-written is ever seen."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import random
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from ingest_cases import PNG, assert_holds, take
from ingest_cases import lake as lake
from ingest_cases import logs as logs
from small_lakes import (
    DAY_1,
    DAY_2,
    all_files,
    difference,
    line,
    local_truth,
    log_text,
    read_lake,
    text,
    visible_files,
    write_logs,
)

from etl.audit import audit
from etl.errors import CorruptSource, LakeUnusable, NotALog, SourceError, SourceNotFound, SourceUnreadable
from etl.ingest import _ingest, ingest
from etl.lake import create_lake
from etl.sources._sniff import is_binary

ROOT = Path(__file__).parent.parent


# --- What cannot be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_everything_readable_is_taken_and_the_rest_named(
    logs: Path, lake: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(_ingest, "_TASK_OBJECTS", 2)
    whole = local_truth(logs)
    write_logs(
        logs,
        {
            "picture.png": PNG,
            "archive.zip": b"PK\x03\x04" + bytes(300),
            "photo.jpg": b"\xff\xd8\xff\xe0" + bytes(range(256)) * 30,
            "unknown": bytes(range(256)) * 30,
            "packed-picture.gz": gzip.compress(PNG),
            "cut.gz": gzip.compress(log_text(5000))[:-100],
            "damaged.gz": gzip.compress(log_text(500))[:50] + b"\xff" * 50,
        },
    )
    os.mkfifo(logs / "pipe")
    (logs / "nowhere").symlink_to(logs / "gone")
    done = ingest([str(logs), str(logs / "missing.log"), "/proc/self/mem"], lake=str(lake), workers=workers, now=DAY_1)
    kinds = sorted(type(error).__name__ for error in done.failed)
    assert kinds == sorted(
        [*["NotALog"] * 5, *["CorruptSource"] * 2, *["SourceUnreadable"] * 2, *["SourceNotFound"] * 2]
    )
    assert all("\n" not in str(error) for error in done.failed)
    assert done.objects == 5
    assert difference(read_lake(lake), whole) == ""
    assert audit(str(lake)).ok
    assert take(logs / "cut.gz", lake).failed, "what failed is tried again"


def test_a_folder_of_pictures_is_an_error_for_each_and_adds_nothing(tmp_path: Path, lake: Path) -> None:
    write_logs(tmp_path / "pictures", {f"{number}.png": PNG + bytes([number]) for number in range(3)})
    done = take(tmp_path / "pictures", lake)
    assert (done.objects, done.lines) == (0, 0)
    assert [type(error) for error in done.failed] == [NotALog] * 3
    assert visible_files(lake) == ["meta/lake.json"]


def test_a_source_that_is_mended_is_taken_the_next_time(tmp_path: Path, lake: Path) -> None:
    packed = gzip.compress(log_text(50))
    logs = write_logs(tmp_path / "logs", {"a.gz": packed[:-20]})
    assert [type(error) for error in take(logs, lake).failed] == [CorruptSource]
    (logs / "a.gz").write_bytes(packed)
    assert take(logs, lake).rows == 50


def test_what_a_killed_run_left_is_removed_a_day_later(logs: Path, lake: Path) -> None:
    take(logs, lake)
    incoming = lake / "staging" / "incoming"
    old, new = incoming / "old-rows", incoming / "new-rows"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))
    take(logs, lake)
    assert list(incoming.iterdir()) == [new]


@pytest.mark.parametrize("kind", [NotALog, CorruptSource, SourceUnreadable, SourceNotFound, LakeUnusable])
def test_an_error_survives_the_way_back_from_a_worker(kind: type[SourceError]) -> None:
    error = pickle.loads(pickle.dumps(kind("s3://b/k", "is broken", hint="mend it")))
    assert type(error) is kind
    assert str(error) == "s3://b/k: is broken (mend it)"
    assert (error.subject, error.reason, error.hint) == ("s3://b/k", "is broken", "mend it")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        line(),
        b"\x89PNG\n" * 3 + text(line()),
        text(b"PK\x03\x04" + line()),
        text(line(agent="\x01\x02\x03" * 400)),
        text(line(agent="x")) + bytes(5000),
        b"any old text\nof several lines\n",
        "tökenized \u2028 prose\n".encode(),
        b'{"bucket": "b"}\n',
    ],
)
def test_what_may_be_a_log_is_read_as_one(data: bytes) -> None:
    assert not is_binary(data)


@pytest.mark.parametrize("data", [PNG, b"\x1f\x00" * 99, b"%PDF-1.7\nx\n", b"PAR1" + b"x" * 50, "log".encode("utf-16")])
def test_what_is_no_text_is_not(data: bytes) -> None:
    assert is_binary(data)


# --- The lake cannot take it ------------------------------------------------------------------------------------------


def test_a_lake_that_is_a_file_is_left_alone(logs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    for name in ("file", "file/below"):
        with pytest.raises(LakeUnusable) as caught:
            take(logs, tmp_path / name)
        assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_lake_that_cannot_be_written_is_one_error(
    logs: Path, lake: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(_ingest, "_TASK_OBJECTS", 1)
    create_lake(str(lake))
    (lake / "raw").write_bytes(b"a file where a folder must be")
    with pytest.raises(LakeUnusable) as caught:
        take(logs, lake, workers=workers)
    assert "\n" not in str(caught.value)
    assert caught.value.retryable


def test_a_worker_that_dies_is_one_error(
    logs: Path, lake: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_ingest, "_TASK_OBJECTS", 1)
    monkeypatch.setattr(_ingest, "_start_worker", os._exit)
    with pytest.raises(LakeUnusable, match="worker"):
        take(logs, lake, workers=2)
    monkeypatch.undo()
    capfd.readouterr()
    take(logs, lake, now=DAY_2)
    assert_holds(lake, logs)


def run_limited(limit: str, source: Path, lake: Path) -> dict[str, str]:
    """An ingest in a process of its own, under a limit; the error that it raised."""
    script = f"""
        import json, resource
        from etl.errors import AccessLakeError
        from etl.ingest import ingest
        {limit}
        try:
            ingest([{str(source)!r}], lake={str(lake)!r})
        except AccessLakeError as error:
            print(json.dumps({{"kind": type(error).__name__, "text": str(error)}}))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return dict(json.loads(done.stdout)) if done.stdout else {}


def test_a_full_disk_is_one_error_and_shows_nothing_half_written(tmp_path: Path, lake: Path) -> None:
    noise = random.Random(7)
    big = text(*(line(key=noise.randbytes(200).hex()) for _ in range(2000)))
    bad = b"".join(noise.randbytes(300).hex().encode() + b"\n" for _ in range(2000))
    logs = write_logs(tmp_path / "logs", {"1-small.log": log_text(20), "2-big.log": big, "3-bad.log": bad})
    for source in (logs, logs / "3-bad.log"):
        error = run_limited("resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))", source, lake)
        assert error["kind"] == "LakeUnusable"
        assert "too large" in error["text"]
        assert "\n" not in error["text"]
        assert len([name for name in all_files(lake) if name.endswith(".parquet")]) == 1
        assert [name for name in all_files(lake) if name.startswith("staging/")] == []
        assert sum(read_lake(lake).values()) == 20
        assert audit(str(lake)).ok
    assert take(logs, lake, now=DAY_2).objects == 2
    assert_holds(lake, logs)


# --- Memory -----------------------------------------------------------------------------------------------------------


MEASURE = """
    import json, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from etl.ingest import ingest
    done = ingest([{source!r}], lake={lake!r})
    # Not getrusage: a new process starts with its parent's peak.
    status = dict(each.split(":", 1) for each in Path("/proc/self/status").read_text().splitlines())
    print(json.dumps([done.rows, done.quarantined, int(status["VmHWM"].split()[0]) >> 10]))
"""


def long_lines(file: Path) -> int:
    """90 MB of lines of 8 KB, half of them bad."""
    block = text(*(row for number in range(20) for row in (line(agent=f"{number}" + "x" * 8000), b"bad" + b"y" * 8000)))
    with file.open("wb") as out:
        for _ in range(270):
            out.write(block)
    return 20 * 270


def many_lines(file: Path) -> int:
    """300 MB of ordinary lines."""
    block = log_text(20_000, seed="m" * 120)
    times = (300 << 20) // len(block)
    with file.open("wb") as out:
        for _ in range(times):
            out.write(block)
    return 20_000 * times


@pytest.mark.parametrize("make", [many_lines, long_lines])
def test_memory_does_not_grow_with_the_object(tmp_path: Path, make: Callable[[Path], int]) -> None:
    expected = make(tmp_path / "a.log")
    script = MEASURE.format(tests=str(ROOT / "tests"), source=str(tmp_path / "a.log"), lake=str(tmp_path / "lake"))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (tmp_path / "a.log").unlink()
    rows, quarantined, megabytes = json.loads(done.stdout)
    assert rows == expected
    assert quarantined == (expected if make is long_lines else 0)
    assert megabytes < 600
