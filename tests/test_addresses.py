"""What is refused as an address of a lake or of logs, before anything is written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from small_lakes import DAY_1, line, text, write_logs

from etl.audit import audit
from etl.compact import compact
from etl.errors import BadParameter, LakeUnusable
from etl.ingest import ingest
from etl.lake import create_lake, open_lake, open_store
from etl.sources import find_logs

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OTHER_SCHEMES = {
    "s3a://bkt/p": "s3://bkt/p",
    "S3://bkt/p": "s3://bkt/p",
    "s3n://bkt": "s3://bkt",
    "file:///srv/lake": "/srv/lake",
    "File:///srv/lake": "/srv/lake",
    "file://host/lake": "s3://bucket/prefix",
    "gs://bkt/p": "s3://bucket/prefix",
    "git+ssh-2.0://x": "s3://bucket/prefix",
}
ODD_PREFIXES = ("a//b", "a/./b", "./a", "a/..", "a/../b", "..", "a\\b")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return write_logs(tmp_path / "logs", {"a.log": text(line())})


def one_line(caught: pytest.ExceptionInfo[BadParameter], *words: str) -> None:
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(("address", "instead"), OTHER_SCHEMES.items())
def test_another_scheme_is_no_lake_and_no_log_and_makes_no_folder(
    tmp_path: Path, logs: Path, monkeypatch: pytest.MonkeyPatch, address: str, instead: str
) -> None:
    monkeypatch.chdir(tmp_path)
    acts: list[Callable[[], object]] = [
        *(lambda act=act: act(address) for act in (create_lake, open_lake, compact, audit)),
        lambda: ingest([str(logs)], lake=address),
        lambda: find_logs([str(logs), address]),
        lambda: find_logs([], inventories=[f"{address}/manifest.json"]),
    ]
    for act in acts:
        with pytest.raises(BadParameter) as caught:
            act()
        one_line(caught, address, instead)
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


@pytest.mark.parametrize("name", ["a:b", "s3:", "a_b://x", "1a://x", "-a://x", "./s3a://x", "s3a:/x"])
def test_a_path_that_only_looks_so_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert create_lake(name).uri == str((tmp_path / name).resolve())


def test_the_command_line_says_what_to_write(tmp_path: Path, logs: Path) -> None:
    lake = str(tmp_path / "lake")
    for arguments in ([str(logs), "--lake", "s3a://bkt/p"], ["s3a://bkt/p", "--lake", lake]):
        command = [sys.executable, "-m", "etl.cli", "ingest", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "accesslake: s3a://bkt/p: s3a:// is no address that is understood (write s3://bkt/p)\n"
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


@pytest.mark.parametrize("prefix", ODD_PREFIXES)
def test_a_prefix_that_servers_make_another_one_of_is_refused(
    s3: S3Client, new_bucket: Callable[[], str], logs: Path, prefix: str
) -> None:
    """Such a lake took all rows, showed none of them, and took them again the next time."""
    bucket = new_bucket()
    uri = f"s3://{bucket}/{prefix}"
    for act in (open_store, open_lake, create_lake, compact, audit, lambda lake: ingest([str(logs)], lake=lake)):
        with pytest.raises(BadParameter) as caught:
            act(uri)
        one_line(caught, uri)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("prefix", ["", "/", "a/", "a//", "a/b", "...", ".a", "a b/ü%2F", "a..b"])
def test_any_other_prefix_holds_a_lake(s3: S3Client, new_bucket: Callable[[], str], logs: Path, prefix: str) -> None:
    uri = f"s3://{new_bucket()}/{prefix}"
    assert ingest([str(logs)], lake=uri, now=DAY_1).rows == 1
    assert ingest([str(logs)], lake=uri, now=DAY_1).skipped == 1
    assert compact(uri, now=DAY_1).rows_out == 1
    assert json.loads(open_lake(uri).store.read("meta/lake.json"))["state"] == "file"


def test_a_server_that_lists_other_keys_than_it_was_asked_for_is_not_believed(
    new_bucket: Callable[[], str], logs: Path
) -> None:
    """Cut at the length of the prefix they would be names that nobody knows."""
    lake = create_lake(f"s3://{new_bucket()}/some/lake")
    client = lake.store.client  # type: ignore[attr-defined]

    def answer(parsed: dict[str, object], **_: object) -> None:
        parsed["Contents"] = [{"Key": "other/lake/raw/a.parquet", "Size": 1, "ETag": '"x"'}]

    client.meta.events.register("after-call.s3.ListObjectsV2", answer)
    for act in (lake.snapshot, lambda: ingest([str(logs)], lake=lake.uri) and lake.ingested_names()):
        with pytest.raises(LakeUnusable, match=r"the server lists 'other/lake/raw/a\.parquet'") as caught:
            act()
        assert "\n" not in str(caught.value)
