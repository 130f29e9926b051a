"""What a user names becomes log objects, each once; what cannot be read becomes one clear error, and never a hang."""

from __future__ import annotations

import gzip
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from etl.errors import CorruptSource, SourceError, SourceNotFound, SourceUnreadable
from etl.sources import LogSource, _decompress, _local, find_logs, read_parts, version_of

LINES = b"".join(f"line {number}\n".encode() for number in range(2000))


def files_in(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode(errors="surrogateescape"))


def found(sources: Iterable[str | Path], *, exclude: str | None = None) -> list[LogSource | SourceError]:
    return list(find_logs([str(source) for source in sources], exclude=exclude))


def keys(sources: Iterable[str | Path], *, exclude: str | None = None) -> list[str]:
    """The source keys; fails if anything is an error."""
    logs = found(sources, exclude=exclude)
    assert not [log for log in logs if not isinstance(log, LogSource)]
    return [log.source_key for log in logs if isinstance(log, LogSource)]


def relative(folder: Path, names: Iterable[str]) -> list[str]:
    return [str(Path(name).relative_to(folder.resolve())) for name in names]


def the_log(path: Path) -> LogSource:
    (log,) = found([path])
    assert isinstance(log, LogSource)
    return log


def the_error(source: str | Path) -> SourceError:
    (error,) = found([source])
    assert isinstance(error, SourceError)
    assert "\n" not in str(error)
    return error


def read(path: Path) -> bytes:
    return b"".join(read_parts(the_log(path)))


# --- Finding ----------------------------------------------------------------------------------------------------------


def test_a_file_is_named_by_its_resolved_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files_in(tmp_path, "logs/a.log")
    monkeypatch.chdir(tmp_path)
    assert keys(["logs/../logs/./a.log"]) == [str(tmp_path.resolve() / "logs/a.log")]
    assert the_log(Path("logs/a.log")).size == len("logs/a.log")


def test_a_folder_gives_all_files_below_it_in_order_and_passes_over_hidden_ones(tmp_path: Path) -> None:
    files_in(tmp_path, "b/2.log", "b/1.log", "a/z/9.gz", "c", ".hidden", ".git/config", "b/.DS_Store")
    assert relative(tmp_path, keys([tmp_path])) == ["c", "a/z/9.gz", "b/1.log", "b/2.log"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.log", ["a.log", "b.log"]),
        ("?.log", ["a.log", "b.log"]),
        ("[b-z].log", ["b.log"]),
        ("**/*.log", ["a.log", "b.log", "x/c.log", "x/y/d.log"]),
        ("**", ["a.log", "b.log", "notes", "x/c.log", "x/y/d.log"]),
        ("**/y", ["x/y/d.log"]),
        ("x*", ["x/c.log", "x/y/d.log"]),
        ("*", ["a.log", "b.log", "notes", "x/c.log", "x/y/d.log"]),
    ],
)
def test_a_glob_gives_what_it_matches_and_all_below_a_folder(tmp_path: Path, pattern: str, expected: list[str]) -> None:
    files_in(tmp_path, "a.log", "b.log", "notes", "x/c.log", "x/y/d.log", ".hidden.log", "x/.hidden/e.log")
    assert sorted(relative(tmp_path, keys([tmp_path / pattern]))) == expected


def test_a_path_that_exists_is_no_glob(tmp_path: Path) -> None:
    files_in(tmp_path, "a[1].log", "a1.log", "b*/x.log", "bb/y.log")
    assert relative(tmp_path, keys([tmp_path / "a[1].log"])) == ["a[1].log"]
    assert relative(tmp_path, keys([tmp_path / "b*"])) == ["b*/x.log"]
    assert relative(tmp_path, keys([tmp_path / "a*"])) == ["a1.log", "a[1].log"]


def test_a_log_object_is_found_once_however_often_it_is_named(tmp_path: Path) -> None:
    files_in(tmp_path, "a.log", "x/b.log")
    (tmp_path / "link.log").symlink_to(tmp_path / "a.log")
    named: list[str | Path] = [
        tmp_path,
        tmp_path / "a.log",
        f"{tmp_path}/**",
        tmp_path / "link.log",
        f"{tmp_path}/x/../a.log",
    ]
    assert relative(tmp_path, keys(named)) == ["a.log", "x/b.log"]


def test_a_link_to_a_folder_is_followed_if_it_is_named_and_never_inside_a_folder(tmp_path: Path) -> None:
    files_in(tmp_path, "elsewhere/a.log", "logs/b.log")
    (tmp_path / "logs" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "logs" / "up").symlink_to(tmp_path / "logs")
    (tmp_path / "logs" / "one.log").symlink_to(tmp_path / "elsewhere" / "a.log")
    assert relative(tmp_path, keys([tmp_path / "logs"])) == ["logs/b.log", "elsewhere/a.log"]
    assert relative(tmp_path, keys([tmp_path / "logs" / "more"])) == ["elsewhere/a.log"]


@pytest.mark.parametrize("folder", ["", "folder/", "none/"])
@pytest.mark.parametrize("name", ["gone.log", "no/such", "*.nothing", "**/*.nothing", "a\0b", "a\0*", "x" * 5000])
def test_what_is_not_there_is_one_error(tmp_path: Path, folder: str, name: str) -> None:
    files_in(tmp_path, "folder/a.log")
    assert isinstance(the_error(f"{tmp_path}/{folder}{name}"), SourceNotFound | SourceUnreadable)


@pytest.mark.parametrize("name", ["", "folder/a.log/b"])
def test_a_path_that_cannot_be_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    files_in(tmp_path, "folder/a.log")
    monkeypatch.chdir(tmp_path)
    assert isinstance(the_error(name), SourceNotFound | SourceUnreadable)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    assert isinstance(the_error(tmp_path), SourceNotFound)


@pytest.mark.parametrize("name", ["gone.log", "go[n]e.log", "**"])
def test_a_link_to_nothing_is_one_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    for source in (tmp_path / name, tmp_path / "*", tmp_path):
        assert isinstance(the_error(source), SourceNotFound)


def test_a_link_to_itself_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert isinstance(the_error(tmp_path / "loop"), SourceError)
    assert isinstance(the_error(tmp_path), SourceError)


def test_the_others_are_still_found(tmp_path: Path) -> None:
    files_in(tmp_path, "a.log", "b.log")
    a, gone, b = found([tmp_path / "a.log", tmp_path / "gone", tmp_path / "b.log"])
    assert isinstance(a, LogSource)
    assert isinstance(gone, SourceNotFound)
    assert isinstance(b, LogSource)


def test_a_pipe_or_socket_is_an_error_and_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    files_in(tmp_path, "a.log")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "sock"))
        logs = found([tmp_path])
    assert [type(log) for log in logs] == [LogSource, SourceUnreadable, SourceUnreadable]
    assert isinstance(the_error(tmp_path / "pipe"), SourceUnreadable)
    assert isinstance(the_error("/dev/zero"), SourceUnreadable)


def test_a_folder_that_cannot_be_listed_is_an_error_and_its_neighbours_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files_in(tmp_path, "a/1.log", "b/2.log", "c/3.log")
    list_folder = os.scandir

    def refuse(path: str | os.PathLike[str]) -> object:
        if os.fspath(path).endswith("/b"):
            raise PermissionError(13, "Permission denied", path)
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", refuse)
    logs = found([tmp_path])
    assert sorted(type(log).__name__ for log in logs) == ["LogSource", "LogSource", "SourceUnreadable"]
    (error,) = [log for log in logs if isinstance(log, SourceUnreadable)]
    assert error.subject.endswith("/b")


def test_a_name_that_is_not_utf_8_becomes_a_key_that_is_and_that_no_other_file_has(tmp_path: Path) -> None:
    names = [b"caf\xe9.log", b"caf\\xe9.log", b"caf%E9.log", "café.log".encode(), b"caf\xe8.log", b"new\nline.log"]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name)
    logs = [log for log in found([tmp_path]) if isinstance(log, LogSource)]
    assert len({log.source_key for log in logs}) == len(names)
    assert {b"".join(read_parts(log)) for log in logs} == set(names)
    for log in logs:
        log.source_key.encode()  # what a text column can hold
    assert f"{tmp_path.resolve()}/café.log" in {log.source_key for log in logs}


# --- A lake among the logs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["{}", "{}/*", "{}/**", "{}/**/*", "{}/l*", "{}/../logs"])
def test_a_lake_among_the_logs_is_not_read(tmp_path: Path, source: str) -> None:
    folder = tmp_path / "logs"
    files_in(folder, "l.log", "lake/meta/lake.json", "lake/raw/ingest_date=2024-05-02/a.parquet", "lakeside/b.log")
    seen = relative(folder, keys([source.format(folder)], exclude=str(folder / "lake")))
    assert seen == ["l.log", "lakeside/b.log"]


def test_the_lake_may_be_named_in_any_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files_in(tmp_path, "a.log", "lake/raw/x.parquet")
    monkeypatch.chdir(tmp_path)
    for lake in ("lake", "./lake", str(tmp_path / "lake"), "lake/../lake/"):
        assert relative(tmp_path, keys(["."], exclude=lake)) == ["a.log"]


def test_a_lake_behind_a_link_is_not_read(tmp_path: Path) -> None:
    files_in(tmp_path, "logs/a.log", "lake/raw/x.parquet")
    (tmp_path / "logs" / "there").symlink_to(tmp_path / "lake")
    assert relative(tmp_path, keys([tmp_path / "logs"], exclude=str(tmp_path / "lake"))) == ["logs/a.log"]


def test_logs_below_the_lake_s_own_folder_are_read_when_they_are_named(tmp_path: Path) -> None:
    files_in(tmp_path, "logs/a.log", "logs/x/b.log", "raw/x.parquet")
    for source in ("logs", "logs/*", "logs/**", "logs/a.log"):
        assert keys([tmp_path / source], exclude=str(tmp_path))


def test_the_lake_itself_is_no_log(tmp_path: Path) -> None:
    files_in(tmp_path, "raw/x.parquet")
    (error,) = found([tmp_path], exclude=str(tmp_path))
    assert isinstance(error, SourceNotFound)


# --- Reading ----------------------------------------------------------------------------------------------------------


def test_plain_and_packed_objects_give_the_same_bytes_whatever_their_names(tmp_path: Path) -> None:
    (tmp_path / "plain.gz").write_bytes(LINES)
    (tmp_path / "packed.log").write_bytes(gzip.compress(LINES))
    (tmp_path / "members").write_bytes(
        gzip.compress(LINES[:500]) + gzip.compress(b"", mtime=0) + gzip.compress(LINES[500:])
    )
    (tmp_path / "padded").write_bytes(gzip.compress(LINES[:9]) + bytes(700) + gzip.compress(LINES[9:]) + bytes(2000))
    for name in ("plain.gz", "packed.log", "members", "padded"):
        assert read(tmp_path / name) == LINES


@pytest.mark.parametrize("data", [b"", b"\x1f", b"\x1f\x8c", b"x", gzip.compress(b"", mtime=0)])
def test_objects_of_almost_nothing_are_read(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert read(tmp_path / "a") == (b"" if data.startswith(b"\x1f\x8b") else data)


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(LINES)[:-1],
        gzip.compress(LINES)[:-8],
        gzip.compress(LINES)[:100],
        gzip.compress(LINES)[:10],
        gzip.compress(LINES)[:3],
        b"\x1f\x8b",
        gzip.compress(LINES) + gzip.compress(LINES)[:40],
        gzip.compress(LINES) + b"rubbish",
        gzip.compress(LINES)[:-8] + bytes(8),
        gzip.compress(LINES)[:60] + b"\xff" * 20 + gzip.compress(LINES)[80:],
    ],
    ids=[
        "last byte",
        "trailer",
        "most",
        "header only",
        "in header",
        "magic",
        "second",
        "rubbish",
        "checksum",
        "middle",
    ],
)
def test_a_cut_or_damaged_stream_is_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.gz").write_bytes(data)
    with pytest.raises(CorruptSource) as caught:
        read(tmp_path / "a.gz")
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 2000, 4321])
def test_a_file_of_several_parts_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(_local, "PART_BYTES", 1000)
    monkeypatch.setattr(_decompress, "PART_BYTES", 1000)
    data = os.urandom(size).replace(b"\x1f", b"x")
    (tmp_path / "plain").write_bytes(data)
    (tmp_path / "packed").write_bytes(gzip.compress(data))
    for name in ("plain", "packed"):
        parts = list(read_parts(the_log(tmp_path / name)))
        assert b"".join(parts) == data
        assert all(len(part) <= 1000 for part in parts)
    whole = version_of(the_log(tmp_path / "plain"))
    monkeypatch.undo()
    assert version_of(the_log(tmp_path / "plain")) == whole


def test_a_file_that_cannot_be_read_is_an_error() -> None:
    unreadable = Path("/proc/self/mem")  # opens, and gives EIO
    if not unreadable.exists():
        pytest.skip("needs Linux's /proc")
    log = the_log(unreadable)
    for attempt in (lambda: b"".join(read_parts(log)), lambda: version_of(log)):
        with pytest.raises(SourceUnreadable) as caught:
            attempt()
        assert caught.value.retryable


def test_a_file_that_is_gone_since_it_was_listed_is_an_error(tmp_path: Path) -> None:
    files_in(tmp_path, "a.log")
    log = the_log(tmp_path / "a.log")
    (tmp_path / "a.log").unlink()
    with pytest.raises(SourceNotFound):
        version_of(log)
    with pytest.raises(SourceNotFound):
        list(read_parts(log))


@pytest.mark.parametrize("change", ["grown", "cut", "replaced"])
def test_a_file_that_changes_under_the_reader_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Its rows would stand under the digest of another content, and come a second time with the next ingest."""
    monkeypatch.setattr(_local, "PART_BYTES", 1000)
    path = tmp_path / "a.log"
    path.write_bytes(LINES)

    def alter() -> None:
        if change == "grown":
            with path.open("ab") as file:
                file.write(b"more\n")
        elif change == "cut":
            os.truncate(path, 1500)
        else:
            path.write_bytes(LINES[::-1])
            os.utime(path, ns=(1, 1))

    log = the_log(path)
    version_of(log)
    parts = read_parts(log)
    next(parts)
    alter()
    with pytest.raises(SourceUnreadable, match="changed"):
        list(parts)
    with pytest.raises(SourceUnreadable, match="changed"):
        version_of(log)
    assert version_of(the_log(path)) != ""


def test_equal_content_has_an_equal_version_and_other_content_another(tmp_path: Path) -> None:
    for name, data in {"a": LINES, "b": LINES, "c": LINES + b"\n", "d": b""}.items():
        (tmp_path / name).write_bytes(data)
    versions = {name: version_of(the_log(tmp_path / name)) for name in "abcd"}
    assert versions["a"] == versions["b"]
    assert len(set(versions.values())) == 3


def test_a_version_from_the_store_is_taken_as_it_is() -> None:
    assert version_of(LogSource("s3://b/k", "s3://b/k", 1, "etag")) == "etag"


def test_reading_is_lazy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_local, "PART_BYTES", 10)
    (tmp_path / "a").write_bytes(LINES)
    parts: Iterator[bytes] = read_parts(the_log(tmp_path / "a"))
    assert len(next(parts)) <= 10
