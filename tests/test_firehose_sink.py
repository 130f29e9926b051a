"""The Firehose sink keeps the limits, puts what is no document into the lake, and brings every row through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from firehose_stand_in import EVERY, THROTTLE, TIMEOUT, Answer
from firehose_world import DAY, START, World, comparable, documents_of, read_raw, write_all
from small_lakes import line, log_text, text

from etl import Parsed, parse
from etl.errors import LakeUnusable
from etl.generate import generate
from etl.lake._folder_store import FolderStore
from etl.parse import parse_stream
from etl.schema import QUARANTINE_SCHEMA
from etl.sinks import Written, _pack, to_documents
from etl.sinks._firehose import CALL_BYTES, CALL_RECORDS

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.log"))


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., World]:
    def make(*script: Answer, **settings: Any) -> World:
        return World(tmp_path, script, **settings)

    return make


# --- Limits -----------------------------------------------------------------------------------------------------------


def test_large_records_are_spread_over_calls(world: Callable[..., World]) -> None:
    own = world()
    agent = "x" * 900_000
    rows = parse(text(*[line(agent=agent, request_id=f"R{number}") for number in range(5)]), source_key="s3://logs/0")
    own.sink.write([rows], name="0", owner="a")
    assert own.sink.finish() == frozenset()
    assert [len(call) for call in own.firehose.calls] == [3, 2]
    assert comparable(own.raw()).equals(comparable(rows.table))


def test_many_records_are_spread_over_calls(world: Callable[..., World]) -> None:
    own = world()
    with mock.patch.object(_pack, "RECORD_DOCUMENTS", 1):
        write_all(own, [("a", CALL_RECORDS + 1)])
        own.sink.finish()
    assert [len(call) for call in own.firehose.calls] == [CALL_RECORDS, 1]
    assert not own.firehose.violations


def test_small_objects_share_a_record_and_a_call(world: Callable[..., World]) -> None:
    """That is what packing is for."""
    own = world()
    write_all(own, [(f"owner {number}", 2) for number in range(100)])
    own.sink.finish()
    assert [len(call) for call in own.firehose.calls] == [1]
    assert own.sink.delivered.documents == 200


def test_a_call_stays_below_the_limit_even_in_base64() -> None:
    assert CALL_BYTES * 4 // 3 <= 4 << 20
    assert CALL_RECORDS <= 500


# --- The lake ---------------------------------------------------------------------------------------------------------


def test_unreadable_lines_and_rows_too_large_for_a_record_are_in_the_lake(world: Callable[..., World]) -> None:
    own = world()
    large = line(agent="y" * 1_100_000, request_id="LARGE")
    data = text(line(request_id="R1"), b"no log line", large, line(request_id="R4"), b"\xff\x00 neither")
    parsed = parse(data, source_key="s3://logs/x")
    assert own.sink.write([parsed], name="NAME", owner="a") == Written(5, 3, 2)
    assert own.sink.finish() == frozenset()

    direct = read_raw(own.folder / f"raw/ingest_date={DAY}/NAME.parquet")
    assert direct["request_id"].to_pylist() == ["LARGE"]
    assert direct.equals(parsed.table.slice(1, 1))
    quarantine = pq.ParquetFile(own.folder / f"quarantine/ingest_date={DAY}/NAME.parquet").read()
    assert quarantine.schema.equals(QUARANTINE_SCHEMA)
    assert quarantine.equals(parsed.quarantine)
    assert documents_of(own.firehose.taken) == {("s3://logs/x", 1): 1, ("s3://logs/x", 4): 1}
    assert own.sink.delivered.documents == 2
    assert comparable(own.raw()).equals(comparable(parsed.table))


@pytest.mark.parametrize("excess", [0, 1])
def test_the_largest_document_of_a_record(world: Callable[..., World], excess: int) -> None:
    """At the limit Firehose takes it; one byte more and it is no record."""

    def object_of(size: int) -> Parsed:
        return parse(text(line(agent="z" * size)), source_key="s3://logs/x")

    bare = len(_document(object_of(1000).table)) - 1000
    own = world()
    own.sink.write([object_of(_pack.MAX_RECORD_BYTES - bare + excess)], name="NAME", owner="a")
    assert own.sink.finish() == frozenset()
    assert [len(record) for record in own.firehose.taken] == [[_pack.MAX_RECORD_BYTES], []][excess]
    assert (own.folder / f"raw/ingest_date={DAY}/NAME.parquet").exists() == bool(excess)
    assert not own.firehose.violations


def _document(rows: pa.Table) -> bytes:
    document: str = to_documents(rows)[0].as_py()
    return document.encode()


def test_without_them_nothing_is_in_the_lake(world: Callable[..., World]) -> None:
    own = world()
    write_all(own, [("a", 3), ("b", 0)])
    own.sink.finish()
    assert not list(own.folder.rglob("*.parquet"))
    assert not list(FolderStore(own.folder).scratch().iterdir())


def test_a_source_that_breaks_off_leaves_the_rows_of_others_to_be_delivered(world: Callable[..., World]) -> None:
    def parts() -> Iterator[Parsed]:
        yield parse(log_text(2), source_key="s3://logs/broken")
        raise EOFError("cut")

    own = world()
    write_all(own, [("a", 2)])
    with pytest.raises(EOFError):
        own.sink.write(parts(), name="broken", owner="b")
    assert own.sink.finish() == frozenset()
    assert {("s3://logs/0", 1), ("s3://logs/0", 2)} <= set(documents_of(own.firehose.taken))
    assert not list(FolderStore(own.folder).scratch().iterdir())


def test_a_lake_that_takes_nothing_is_an_error(tmp_path: Path) -> None:
    own = World(tmp_path)
    (tmp_path / "quarantine").write_text("in the way")
    with pytest.raises(LakeUnusable):
        own.sink.write([parse(b"bad\n", source_key="k")], name="NAME", owner="a")


# --- There and back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_corpus_comes_back_as_it_was_parsed(world: Callable[..., World], path: Path) -> None:
    own = world()
    parsed = parse(path.read_bytes(), source_key=f"s3://logs/{path.name}")
    own.sink.write([parsed], name=path.name, owner="a")
    assert own.sink.finish() == frozenset()
    assert comparable(own.raw()).equals(comparable(parsed.table))


def test_generated_lines_come_back_as_they_were_parsed(world: Callable[..., World]) -> None:
    own = world(Answer({0, 3}), THROTTLE, Answer({1}), Answer(EVERY, TIMEOUT))
    tables: list[pa.Table] = []
    for log in generate(lines=20_000, seed=3, end=START.date(), lines_per_object=700):
        source_key = f"s3://logs/{log.key}"
        own.sink.write(parse_stream([log.body], source_key=source_key), name=str(len(tables)), owner=source_key)
        tables.append(parse(log.body, source_key=source_key).table)
    assert own.sink.finish() == frozenset()
    parsed = pa.concat_tables(tables)
    assert own.sink.delivered.documents == parsed.num_rows
    raw = own.raw()
    assert raw["object_key"].null_count == raw.num_rows
    assert comparable(raw).equals(comparable(parsed))
