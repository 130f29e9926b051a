"""Names, what a lake is, and what its snapshot shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lake_records import COMMIT, INPUT, OUTPUT
from small_lakes import put_raw, raw_row, read_lake

from etl.errors import AccessLakeError, LakeError, LakeMismatch, LakeNotFound, LakeUnusable
from etl.lake import (
    Commit,
    Input,
    Lake,
    create_lake,
    create_record,
    open_lake,
    read_commits,
    read_plan,
    read_winner,
)
from etl.lake._layout import (
    batch_of_commit,
    commit_key,
    compacted_key,
    day_of,
    name_of,
    next_batch,
    plan_key,
    quarantine_key,
    raw_key,
    raw_name,
    staged_key,
    winner_key,
)

# --- Names ------------------------------------------------------------------------------------------------------------


def test_batches_are_counted_in_ten_digits_that_sort_as_text() -> None:
    batches = [""]
    for _ in range(120):
        batches.append(next_batch(batches[-1]))
    assert batches[1:3] == ["0000000001", "0000000002"]
    assert batches == sorted(set(batches))
    assert next_batch("0999999999") == "1000000000"


def test_keys_are_those_of_the_design() -> None:
    compacted = compacted_key("0000000012", "2024-05-02", 3)
    assert compacted == "compacted/event_date=2024-05-02/0000000012-0003.parquet"
    assert "=" not in compacted.rsplit("/", 1)[1], "some readers take it for a partition"
    assert staged_key("0000000012", "tries", compacted).startswith("staging/0000000012/tries/")
    assert plan_key("0000000012") == "meta/plan/0000000012.json"
    assert winner_key("0000000012") == "meta/winner/0000000012.json"
    assert commit_key("0000000012") == "meta/commit/0000000012.json"
    assert raw_key("n", "2024-05-02") == "raw/ingest_date=2024-05-02/n.parquet"
    assert quarantine_key("n", "2024-05-02") == "quarantine/ingest_date=2024-05-02/n.parquet"


@pytest.mark.parametrize("make", [raw_key, quarantine_key])
def test_a_key_gives_its_name_and_day_back(make: Callable[[str, str], str]) -> None:
    key = make("name", "2024-05-02")
    assert (name_of(key), day_of(key)) == ("name", "2024-05-02")


@pytest.mark.parametrize(
    "key", ["raw/a.parquet", "raw/ingest_date=2024/a", "raw/ingest_date=2024-05-02", "", "x=2024-05-02/a"]
)
def test_a_key_outside_of_a_day_s_folder_has_no_day(key: str) -> None:
    assert day_of(key) == ""


objects = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.text("0123456789abcdef-", max_size=9)
)


@given(one=objects, other=objects)
def test_a_raw_name_tells_objects_and_contents_apart(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (raw_name(*one) == raw_name(*other)) == (one == other)
    assert raw_name(*one).isalnum()


def test_a_raw_name_never_changes() -> None:
    """Another name for the same object would have every lake ingest all of it again."""
    assert raw_name("s3://logs/a", "etag") == "df4641cc7a372264d22da867c3c0ee54"


@pytest.mark.parametrize(
    ("name", "batch"),
    [
        ("0000000007.json", "0000000007"),
        ("0000000007.json~", ""),
        (".0000000007.json.swp", ""),
        ("0000000007.json.bak", ""),
        ("0000000007 (1).json", ""),
        ("7.json", ""),
        (".DS_Store", ""),
        ("notes.json", ""),
        ("more/0000000007.json", ""),
    ],
)
def test_only_a_commit_is_a_commit(name: str, batch: str) -> None:
    assert batch_of_commit(f"meta/commit/{name}") == batch


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A new lake in a folder, and one in a bucket."""
    if request.param == "folder":
        return create_lake(str(tmp_path / "lake"))
    bucket = request.getfixturevalue("new_bucket")()
    return create_lake(f"s3://{bucket}/some/lake")


# --- What a lake is ---------------------------------------------------------------------------------------------------


def test_a_lake_says_who_keeps_its_state_and_is_made_once(lake: Lake) -> None:
    assert json.loads(lake.store.read("meta/lake.json")) == {"format": 1, "state": "file"}
    assert open_lake(lake.uri) == open_lake(lake.uri + "/") or lake.uri.startswith("s3://")
    assert create_lake(lake.uri).uri == open_lake(lake.uri + "/").uri == lake.uri


def test_rivals_make_one_lake(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        lakes = list(pool.map(lambda _: create_lake(str(tmp_path / "new" / "lake")), range(8)))
    assert len(set(lakes)) == 1


def test_the_address_of_a_lake_in_a_folder_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert create_lake("lake").uri == str(tmp_path.resolve() / "lake")


def one_line(caught: pytest.ExceptionInfo[AccessLakeError], *words: str) -> None:
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("uri", ["{}/none", "{}", "{}/folder"])
def test_where_no_lake_is_none_is_opened_and_none_is_made(tmp_path: Path, uri: str) -> None:
    (tmp_path / "folder" / "meta").mkdir(parents=True)
    with pytest.raises(LakeNotFound) as caught:
        open_lake(uri.format(tmp_path))
    one_line(caught, str(tmp_path), "ingest")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder"]


@pytest.mark.parametrize("act", [open_lake, create_lake])
@pytest.mark.parametrize("uri", ["{}/file", "{}/file/below", "", "a\0b", "s3://", "{}/" + "x" * 300])
def test_what_can_be_no_lake_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[str], Lake], uri: str
) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(LakeError) as caught:
        act(uri.format(tmp_path))
    one_line(caught)
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_where_a_folder_of_the_lake_must_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "meta").write_bytes(b"mine")
    for act in (create_lake, open_lake):
        with pytest.raises(LakeUnusable) as caught:
            act(str(tmp_path))
        one_line(caught, "meta")


@pytest.mark.parametrize(
    ("identity", "word"),
    [
        (b'{"format": 2, "state": "file"}', "upgrade"),
        (b'{"format": 1, "state": "glue", "database": "logs"}', "glue"),
        (b"", "lake.json"),
        (b"[]", "lake.json"),
        (b'{"state": "file"}', "lake.json"),
        (b'{"format": "x", "state": "file"}', "lake.json"),
        (b"\xff", "lake.json"),
    ],
)
def test_another_s_lake_is_refused_and_left_alone(tmp_path: Path, identity: bytes, word: str) -> None:
    path = tmp_path / "meta" / "lake.json"
    path.parent.mkdir()
    path.write_bytes(identity)
    for act in (open_lake, create_lake):
        with pytest.raises(LakeMismatch) as caught:
            act(str(tmp_path))
        one_line(caught, word)
    assert path.read_bytes() == identity


# --- Snapshots --------------------------------------------------------------------------------------------------------


def test_a_new_lake_shows_nothing(lake: Lake) -> None:
    snapshot = lake.snapshot()
    assert (snapshot.batch_id, snapshot.compacted, snapshot.raw, snapshot.quarantine, snapshot.findings) == (
        "",
        (),
        (),
        (),
        (),
    )


def test_what_is_committed_is_shown_in_its_new_place_only(tmp_path: Path) -> None:
    lake = create_lake(str(tmp_path))
    for name in "abc":
        put_raw(tmp_path, name, [raw_row(name, 1)])
    put_raw(tmp_path, "published", [raw_row("a", 1)]).rename(_make(tmp_path, OUTPUT.key))
    put_raw(tmp_path, "not-committed", [raw_row("b", 1)]).rename(
        _make(tmp_path, compacted_key("0000000002", "2024-05-01", 1))
    )
    left_out = Input("raw/ingest_date=2024-05-02/c.parquet", "etag", 1, 0, 0, 0)
    commit = Commit("0000000001", (INPUT,), (left_out,), (OUTPUT,), {}, "2024-05-02T00:00:00+00:00")
    create_record(lake.store, commit_key("0000000001"), commit)
    snapshot = lake.snapshot()
    assert snapshot.batch_id == "0000000001"
    assert [(file.path, file.day, file.size) for file in snapshot.compacted] == [
        (str(tmp_path / OUTPUT.key), "2024-05-01", 20)
    ]
    assert [Path(file.path).name for file in snapshot.raw] == ["b.parquet"]
    assert [stored.key for stored in lake.uncompacted()] == ["raw/ingest_date=2024-05-02/b.parquet"]
    assert lake.ingested_names() == {"a", "b"}, "what was left out may come again"
    assert lake.ingested_and_left_out()[1] == {left_out.key: "0000000001"}


def _make(root: Path, key: str) -> Path:
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.mark.parametrize(
    "name", ["0000000001.json~", ".0000000001.json.swp", "0000000001.json.bak", "notes.json", ".DS_Store"]
)
def test_what_lies_beside_a_commit_is_none(tmp_path: Path, name: str) -> None:
    lake = create_lake(str(tmp_path))
    create_record(lake.store, commit_key(COMMIT.batch), COMMIT)
    (tmp_path / "meta" / "commit" / name).write_text(json.dumps(asdict(COMMIT)))
    assert list(read_commits(lake.store)) == [COMMIT]
    assert len(lake.snapshot().compacted) == 1


@pytest.mark.parametrize("name", ["._a.parquet", ".a.parquet", "_a.parquet", "a.parquet.tmp", "a.crc", "README"])
def test_what_lies_beside_raw_objects_is_none(tmp_path: Path, name: str) -> None:
    lake = create_lake(str(tmp_path))
    put_raw(tmp_path, "a", [raw_row("a", 1)])
    (tmp_path / "raw" / "ingest_date=2024-05-02" / name).write_bytes(b"x")
    assert sum(read_lake(tmp_path).values()) == 1
    assert lake.ingested_names() == {"a"}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff", b'{"batch": "0000000001", "inputs": [{"key": 1}]}'])
def test_a_damaged_record_is_one_clear_error(tmp_path: Path, data: bytes) -> None:
    lake = create_lake(str(tmp_path))
    for key in (plan_key("0000000001"), winner_key("0000000001"), commit_key("0000000001")):
        lake.store.create(key, data)
    looks: list[Callable[[], object]] = [
        lake.snapshot,
        lambda: read_plan(lake.store, "0000000001"),
        lambda: read_winner(lake.store, "0000000001"),
    ]
    for look in looks:
        with pytest.raises(LakeMismatch) as caught:
            look()
        one_line(caught, "0000000001.json")


def test_a_field_that_a_newer_version_adds_is_an_error_and_never_ignored(tmp_path: Path) -> None:
    lake = create_lake(str(tmp_path))
    newer = asdict(COMMIT)
    newer["inputs"][0]["rows_deleted"] = 1
    lake.store.create(commit_key(COMMIT.batch), json.dumps(newer).encode())
    with pytest.raises(LakeMismatch):
        lake.snapshot()
