"""The SigV2 detector: no false hit, none missed, and what nobody can tell said apart, whatever a client sends."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_shapes import MODERN, PIECES, Record, forged_records, hostile_text, render

from etl.detect import SHOWN, Detected, _read, detect_file, detect_sigv2
from etl.detect._sigv2 import CERTAIN, JUDGED
from etl.errors import LakeUnusable, ObjectNotFound
from etl.parse import parse
from etl.schema import COMPACTED_SCHEMA, SCHEMA

CORPUS = Path(__file__).parent / "corpus"
SIGNATURE = 2
"""Place of the signature version among the ten fields of the tail."""

EXPECTED = {
    "lnav-matomo.log": ({2}, set(), set()),
    "logstash-patterns-core.log": ({3}, set(), set()),
    "nekrassov-access-log-parser.log": ({1, 2, 3, 4}, set(), set()),
    # Cut to 19 fields by who published it: its signature version is gone.
    "public-issues.log": (set(), {3}, {3}),
    # 91 is cut within its host id; no reading of the ambiguous ones is signed with SigV2.
    "synthetic-edge.log": ({68, 69}, {47, 51, 52, 54, 91}, {91}),
}
"""Line numbers of hits, of all that is unsure, and of what may be SigV2."""


def lines_of(rows: pa.Table) -> set[int]:
    return set(rows.column("line_no").to_pylist())


def detect_lines(lines: Iterable[bytes]) -> Detected:
    return detect_sigv2(parse(b"\n".join(lines) + b"\n", source_key="s3://logs/a").table)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.log")), ids=lambda path: path.stem)
def test_corpus(path: Path) -> None:
    found = detect_sigv2(parse(path.read_bytes(), source_key=path.name).table)
    hits, unsure, undecidable = EXPECTED.get(path.name, (set(), set(), set()))
    assert lines_of(found.hits) == hits
    assert lines_of(found.unsure) == unsure
    assert lines_of(found.undecidable) == undecidable


def test_corpus_lines_that_imitate_sigv2_are_no_hits() -> None:
    """53 fakes a tail that says SigV2, 70 is a user agent that says it: both read in one way, and it is not that."""
    table = parse((CORPUS / "synthetic-edge.log").read_bytes(), source_key="x").table
    rows = {row["line_no"]: row for row in table.to_pylist()}
    assert [(rows[line]["parse_status"], rows[line]["signature_version"]) for line in (53, 70)] == [
        ("clean", "SigV4"),
        ("clean", None),
    ]


# --- Forged lines -----------------------------------------------------------------------------------------------------


def signed(record: Record, version: str | None) -> Record:
    return replace(record, tail=(*record.tail[:SIGNATURE], version, *record.tail[SIGNATURE + 1 :]))


def check(record: Record) -> None:
    """A whole line is a hit exactly if it is signed with SigV2, or nobody can tell."""
    line = render(record)
    parsed = parse(line + b"\n", source_key="s3://logs/a")
    found = detect_sigv2(parsed.table)
    if not parsed.table.num_rows:
        assert parsed.quarantine.num_rows == 1
        return
    is_sigv2 = record.tail[SIGNATURE] == "SigV2"
    if found.undecidable.num_rows:
        assert found.hits.num_rows == 0
        assert found.unsure.num_rows == 1
    else:
        assert found.hits.num_rows == is_sigv2, line
    if parsed.table.column("parse_status")[0].as_py() == "ambiguous":
        assert found.unsure.num_rows == 1


versions = st.sampled_from(["SigV2", "SigV4", None])


@settings(max_examples=400, deadline=None)
@given(forged_records(), versions)
def test_what_a_client_sends_neither_hides_a_request_nor_invents_one(record: Record, version: str | None) -> None:
    check(signed(record, version))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["request_uri", "referer", "user_agent"]),
    st.lists(hostile_text() | st.just(b" SigV2 "), min_size=1, max_size=4).map(b"".join),
    versions,
    st.sampled_from(["REST.GET.OBJECT", "REST.PUT.OBJECT", "WEBSITE.GET.OBJECT"]),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
)
def test_hostile_text_in_one_field_and_in_the_key(
    field: str, text: bytes, version: str | None, operation: str, key: str
) -> None:
    record = replace(MODERN, operation=operation, object_name=f'{key}" - H SigV2 C')
    check(signed(replace(record, **{field: text}), version))  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["SigV2", "SigV4", None])
@pytest.mark.parametrize("field", ["request_uri", "referer", "user_agent"])
def test_every_pair_of_forged_pieces(field: str, version: str | None) -> None:
    """All pairs at once: the truth of each line is known, so each must be a hit or not, or be listed as undecidable."""
    texts = [one + other for one in PIECES for other in PIECES if b"\n" not in one + other]
    lines = [render(signed(replace(MODERN, **{field: text}), version)) for text in texts]  # type: ignore[arg-type]
    parsed = parse(b"\n".join(lines) + b"\n", source_key="s3://logs/a")
    found = detect_sigv2(parsed.table)
    undecidable, hits = lines_of(found.undecidable), lines_of(found.hits)
    assert undecidable | hits <= lines_of(parsed.table)
    assert not undecidable & hits
    decided = lines_of(parsed.table) - undecidable
    assert hits == (decided if version == "SigV2" else set())
    assert len(decided) > len(texts) / 2


def test_ambiguous_lines_that_may_be_sigv2_are_undecidable() -> None:
    """The same words, forged in a SigV4 line and true in a SigV2 line: both have both readings."""
    forged_tail = b'u" - H %s C AuthHeader h.example TLSv1 - - us-east-1 "x'
    forged = signed(replace(MODERN, user_agent=forged_tail % b"SigV2"), "SigV4")
    hidden = signed(replace(MODERN, user_agent=forged_tail % b"SigV4"), "SigV2")
    harmless = signed(replace(MODERN, user_agent=forged_tail % b"SigV4"), "SigV4")
    found = detect_lines(render(record) for record in (forged, hidden, harmless))
    assert lines_of(found.hits) == set()
    assert lines_of(found.undecidable) == {1, 2}
    assert lines_of(found.unsure) == {1, 2, 3}


@pytest.mark.parametrize("agent", [b"curl", b'a "b" c'])
@pytest.mark.parametrize("version", ["SigV2", "SigV4", None])
@pytest.mark.parametrize("fields", range(19, 23))
def test_a_cut_line_tells_from_its_21st_field_on(fields: int, version: str | None, agent: bytes) -> None:
    record = signed(replace(MODERN, user_agent=agent), version)
    found = detect_lines([render(replace(record, tail=record.tail[: fields - 17]))])
    tells = fields >= 21 or (fields == 20 and version != "SigV2")
    assert found.hits.num_rows == (tells and version == "SigV2")
    assert found.undecidable.num_rows == (not tells)


@pytest.mark.parametrize("cut", range(1, len("SigV2") + 1))
def test_a_line_cut_within_its_signature_version_is_undecidable(cut: int) -> None:
    line = render(replace(MODERN, tail=MODERN.tail[:2])) + b" " + b"SigV2"[:cut]
    for end in (b"", b" ", b"\r", b"  \r"):
        found = detect_lines([line + end])
        assert (found.hits.num_rows, found.undecidable.num_rows) == (0, 1), end


def test_an_ambiguous_line_that_is_cut_before_it_says_is_undecidable() -> None:
    agent = b'a" - H SigV4 C A h T - - r "b'
    whole = signed(replace(MODERN, user_agent=agent), "SigV4")
    for width, expected in ((2, 1), (3, 0), (4, 0), (10, 0)):
        found = detect_lines([render(replace(whole, tail=whole.tail[:width]))])
        assert found.undecidable.num_rows == expected, width


@pytest.mark.parametrize("status", ["short", "ambiguous", "something new"])
def test_a_row_that_lost_its_line_is_undecidable(status: str) -> None:
    columns = {"signature_version": ["SigV2", "SigV4"], "parse_status": [status] * 2, "line_no": [1, 2]}
    found = detect_sigv2(pa.table(columns))
    assert (found.hits.num_rows, found.undecidable.num_rows) == (0, 2)


def test_only_the_exact_value_counts() -> None:
    versions = ["SigV2", "sigv2", "SigV2 ", "SigV2A", "SigV4", "", None]
    table = pa.table({"signature_version": versions, "line_no": range(7)})
    assert detect_sigv2(table).hits.column("line_no").to_pylist() == [0]
    assert detect_sigv2(table.slice(0, 0)).hits.num_rows == 0


# --- Files ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """The whole corpus, and a few thousand honest lines around it."""
    plain = b"".join(
        render(signed(replace(MODERN, user_agent=b"agent/%d" % number), ("SigV4", None)[number % 2])) + b"\n"
        for number in range(2000)
    )
    parts = [plain, *(path.read_bytes() for path in sorted(CORPUS.glob("*.log"))), plain]
    return pa.concat_tables(parse(data, source_key=f"s3://logs/{number}").table for number, data in enumerate(parts))


def ids(rows: pa.Table) -> list[tuple[Any, ...]]:
    return sorted(zip(rows.column("source_key").to_pylist(), rows.column("line_no").to_pylist(), strict=True))


def as_firehose(rows: pa.Table) -> pa.Table:
    """Without what can be derived, and the status of clean rows null."""
    status = ["" if each == "clean" else each for each in rows.column("parse_status").to_pylist()]
    place = rows.column_names.index("parse_status")
    rows = rows.set_column(place, "parse_status", pa.array([each or None for each in status], pa.string()))
    return rows.drop_columns(["object_key", "event_date"])


def as_compacted(rows: pa.Table) -> pa.Table:
    batch = pa.array(["0000000001"] * rows.num_rows, pa.string())
    return rows.drop_columns(["event_date"]).append_column("batch_id", batch).select(COMPACTED_SCHEMA.names)


KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "direct": (lambda rows: rows, {"compression": "zstd"}),
    "firehose": (as_firehose, {"compression": "snappy", "use_deprecated_int96_timestamps": True}),
    "compacted": (as_compacted, {"compression": "zstd"}),
    "no statistics": (lambda rows: rows, {"write_statistics": False}),
    "no dictionaries": (lambda rows: rows, {"use_dictionary": False}),
}


@pytest.mark.parametrize("group", [97, 1000, 10_000])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_what_its_rows_give(kind: str, group: int, rows: pa.Table, tmp_path: Path) -> None:
    shape, options = KINDS[kind]
    pq.write_table(shape(rows), tmp_path / "a.parquet", row_group_size=group, **options)
    expected = detect_sigv2(rows)
    found = detect_file(str(tmp_path / "a.parquet"))
    assert ids(found.hits) == ids(expected.hits)
    assert len(ids(found.hits)) == sum(len(hits) for hits, _, _ in EXPECTED.values())
    assert ids(found.unsure) == ids(expected.unsure)
    assert ids(found.undecidable) == ids(expected.undecidable)
    assert found.rows == rows.num_rows
    shown = [name for name in found.hits.column_names if name != "parse_status"]
    assert found.hits.select(shown).to_pylist() == expected.hits.select(shown).to_pylist()
    assert all(SCHEMA.field(field.name).equals(field) for field in found.hits.schema)
    remote = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    assert detect_file("a.parquet", filesystem=remote).hits.equals(found.hits)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_keys_and_uris_that_come_in_batches_stay_with_their_rows(
    batch: int, rows: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_read, "_BATCH", batch)
    pq.write_table(rows, tmp_path / "a.parquet", row_group_size=1500)
    found, expected = detect_file(str(tmp_path / "a.parquet")).hits, detect_sigv2(rows).hits
    assert found.to_pylist() == expected.to_pylist()
    assert len(set(found.column("request_uri").to_pylist())) > 4


@pytest.mark.parametrize("together", [1, 3, 8])
def test_lines_of_several_row_groups_are_judged_together_or_apart(
    together: int, rows: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_read, "_TOGETHER", together)
    rows = pa.concat_tables([rows] * 3)
    pq.write_table(rows, tmp_path / "a.parquet", row_group_size=13)
    found, expected = detect_file(str(tmp_path / "a.parquet")), detect_sigv2(rows)
    assert found.hits.to_pylist() == expected.hits.to_pylist()
    assert found.unsure.to_pylist() == expected.unsure.to_pylist()
    assert found.unsure.num_rows > 2 * together


def test_only_what_is_to_be_shown_is_read(rows: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(rows, path, row_group_size=1500)
    shown = ("line_no", "request_uri", "source_key")
    whole, some = detect_file(str(path)), detect_file(str(path), shown=shown)
    assert some.hits.equals(whole.hits.select(["source_key", "line_no", "request_uri"]))
    assert some.unsure.equals(whole.unsure.drop_columns(["request_time", "bucket_name"]))
    assert some.undecidable.num_rows == whole.undecidable.num_rows
    assert bytes_read(path, shown=CERTAIN) < bytes_read(path, shown=shown) < bytes_read(path)


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.uint64()])
def test_a_dictionary_may_hold_a_word_twice_or_a_null(kind: pa.DataType) -> None:
    def codes(words: list[str | None], *places: int | None) -> pa.DictionaryArray:
        # A slice, whose first place is not that of its memory.
        every = pa.DictionaryArray.from_arrays(pa.array([0, *places], kind), pa.array(words, pa.string()))
        return every.slice(1)

    versions = codes(["SigV2", "SigV4", "SigV2", None], 0, 1, 2, 3, None, 2)
    for statuses in (
        codes(["clean", None, "clean"], 0, 0, 2, 1, None, 1),
        codes(["clean", *"abcdef"], 0, 0, 0, 0, 0, None),
    ):
        table = pa.table({"signature_version": versions, "parse_status": statuses, "line_no": range(6)})
        found = detect_sigv2(table)
        assert (lines_of(found.hits), found.unsure.num_rows) == ({0, 2, 5}, 0)
    doubted = codes(["clean", *"abcdef"], 0, 1, 6, 0, 5, None)
    found = detect_sigv2(pa.table({"signature_version": versions, "parse_status": doubted, "line_no": range(6)}))
    assert (lines_of(found.hits), lines_of(found.unsure)) == ({0, 5}, {1, 2, 4})


def test_an_empty_file(tmp_path: Path) -> None:
    pq.write_table(SCHEMA.empty_table(), tmp_path / "a.parquet")
    assert detect_file(str(tmp_path / "a.parquet")).rows == 0


def test_what_is_no_table_of_log_lines(tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFound):
        detect_file(str(tmp_path / "none.parquet"))
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(LakeUnusable):
        detect_file(str(tmp_path / "a.parquet"))
    pq.write_table(pa.table({"a": [1]}), tmp_path / "b.parquet")
    with pytest.raises(LakeUnusable, match="no table of log lines"):
        detect_file(str(tmp_path / "b.parquet"))


class Counting(io.FileIO):
    """A file that counts what is read of it."""

    taken = 0

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer) or 0
        self.taken += count
        return count

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        self.taken += len(data)
        return data


def bytes_read(path: Path, *, shown: Collection[str] = SHOWN) -> int:
    with Counting(str(path)) as file:
        detect_file(file, shown=shown)
        return file.taken


def test_only_row_groups_and_columns_that_tell_are_read(tmp_path: Path) -> None:
    """Without SigV2 the footer is enough; with it in one row group, that one is read and no other."""
    lines = [render(signed(replace(MODERN, user_agent=b"a" * 90), "SigV4")) for _ in range(6000)]
    honest = parse(b"\n".join(lines) + b"\n", source_key="s3://logs/a").table
    host_ids = pa.array([f"{number * 7919 % 1_000_003:060d}" for number in range(6000)])
    honest = honest.set_column(honest.column_names.index("host_id"), "host_id", host_ids)
    pq.write_table(honest, tmp_path / "none.parquet", row_group_size=1000)
    pq.write_table(honest.slice(0, 0), tmp_path / "empty.parquet")
    with Counting(str(tmp_path / "none.parquet")) as file:
        pq.ParquetFile(file).close()
        assert bytes_read(tmp_path / "none.parquet") == file.taken
    versions = ["SigV2" if number == 3500 else "SigV4" for number in range(6000)]
    place = honest.column_names.index("signature_version")
    one = honest.set_column(place, "signature_version", pa.array(versions))
    pq.write_table(one, tmp_path / "one.parquet", row_group_size=1000)
    metadata = pq.read_metadata(tmp_path / "one.parquet")
    more = bytes_read(tmp_path / "one.parquet") - bytes_read(tmp_path / "none.parquet")
    assert 0 < more < metadata.row_group(3).total_byte_size
    assert lines_of(detect_file(str(tmp_path / "one.parquet")).hits) == {3501}


def test_keys_and_uris_are_not_read_for_rows_that_are_only_in_doubt(tmp_path: Path) -> None:
    lines = [render(signed(replace(MODERN, user_agent=b"a" * 90), "SigV4")) for _ in range(2000)]
    lines.append(render(replace(MODERN, user_agent=b'a "b" "c'))[:-30] + b' "x" "y" z')
    rows = parse(b"\n".join(lines) + b"\n", source_key="s3://logs/a").table
    statuses = ["clean"] * (rows.num_rows - 1) + ["ambiguous"]
    rows = rows.set_column(rows.column_names.index("parse_status"), "parse_status", pa.array(statuses))
    uris = pa.array([f"GET /{sha256(b'%d' % number).hexdigest()} HTTP/1.1" for number in range(rows.num_rows)])
    rows = rows.set_column(rows.column_names.index("request_uri"), "request_uri", uris)
    pq.write_table(rows, tmp_path / "a.parquet", use_dictionary=["parse_status", "source_key"])
    group = pq.read_metadata(tmp_path / "a.parquet").row_group(0)
    needed = {*CERTAIN, *JUDGED}
    columns = [group.column(place) for place in range(group.num_columns)]
    wanted = sum(each.total_compressed_size for each in columns if each.path_in_schema in needed)
    uris_take = group.column(rows.column_names.index("request_uri")).total_compressed_size
    with Counting(str(tmp_path / "a.parquet")) as file:
        pq.ParquetFile(file).close()
        assert bytes_read(tmp_path / "a.parquet") < file.taken + wanted + uris_take / 2
    assert detect_file(str(tmp_path / "a.parquet")).unsure.num_rows == 1


@pytest.mark.parametrize("name", ["source_key", "bucket_name", "requester"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_is_the_same_everywhere_is_not_read(kind: str, name: str, rows: pa.Table, tmp_path: Path) -> None:
    shape, options = KINDS[kind]
    is_signed = [each == "SigV2" for each in rows.column("signature_version").to_pylist()]
    for number, other in enumerate(("one", "two", None)):
        path = tmp_path / f"{number}.parquet"
        values = pa.array([other if each else "one" for each in is_signed], pa.string())
        changed = with_column(rows, name, values)
        pq.write_table(shape(changed), path, **options)
        found, expected = detect_file(str(path)), detect_sigv2(changed)
        assert found.hits.column(name).to_pylist() == expected.hits.column(name).to_pylist()
        assert ids(found.unsure) == ids(expected.unsure)
    if "write_statistics" not in options:
        read = [bytes_read(tmp_path / "0.parquet", shown=shown) for shown in (["line_no"], ["line_no", name])]
        assert read[0] == read[1]


@pytest.mark.parametrize("name", ["bucket_name", "requester", "signature_version", "parse_status"])
def test_text_that_is_no_utf8_is_not_judged_by_statistics(name: str, rows: pa.Table, tmp_path: Path) -> None:
    rows = rows.filter(pc.equal(rows.column("parse_status"), "clean"))
    bad = pa.array([b"\xff\xfe"] * rows.num_rows, pa.binary())
    pq.write_table(with_column(rows, name, bad.view(pa.string())), tmp_path / "text.parquet")
    pq.write_table(with_column(rows, name, bad), tmp_path / "bytes.parquet")
    for path in tmp_path.iterdir():
        with suppress(LakeUnusable):  # where it is to be shown; nothing else is raised
            assert detect_file(str(path)).rows == rows.num_rows


def with_column(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), pa.field(name, values.type), values)


def test_a_version_that_sorts_before_sigv2_hides_nothing(tmp_path: Path) -> None:
    """The statistics are of all values of a row group."""
    lines = [render(signed(MODERN, version)) for version in ("ASig", "SigV2", "SigV4", "Z")]
    rows = parse(b"\n".join(lines) + b"\n", source_key="s3://logs/a").table
    pq.write_table(rows, tmp_path / "a.parquet")
    assert lines_of(detect_file(str(tmp_path / "a.parquet")).hits) == {2}
