"""The findings of a lake: what is written down, and writing down what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from etl.detect._findings import (
    FINDINGS_SCHEMA,
    IDENTITY,
    findings_key,
    findings_name,
    fold_findings,
    identify,
    no_rows,
    object_findings_name,
    without_known,
)
from etl.detect._sigv2 import OBJECT_DETECTIONS
from etl.errors import LakeUnusable, first_line
from etl.lake._layout import name_of

if TYPE_CHECKING:
    from etl.lake import Lake, ObjectStore
    from etl.lake._snapshot import Snapshot


def read_findings(lake: Lake) -> pa.Table:
    """All findings of a lake, each once. Raises `LakeUnusable` for a file of them that cannot be read."""
    return fold_findings(_read(lake.snapshot(), FINDINGS_SCHEMA.names))


def write_findings(store: ObjectStore, findings: pa.Table, key: str) -> bool:
    """Create a file of findings; False if it is there, and then it is left as it is."""
    sink = pa.BufferOutputStream()
    pq.write_table(findings, sink, compression="zstd", store_schema=False)
    return store.create(key, sink.getvalue().to_pybytes())


class FindingsBook:
    """What is known of a lake's findings while one run adds to them."""

    def __init__(self, lake: Lake, snapshot: Snapshot, *, day: str) -> None:
        """`day` (`YYYY-MM-DD`) is the one under which new findings are kept."""
        self._store = lake.store
        self._day = day
        self._names = {name_of(file.path) for file in snapshot.findings}
        self._known = set(identify(_read(snapshot, list(IDENTITY))))
        self.new = 0
        """Findings that nobody had written down before."""

    def enter_object(self, path: str, findings: pa.Table) -> None:
        """Write down all that was found in one data file, unless its file of findings is there or nothing is new in it."""
        if not findings.num_rows:
            return
        name = object_findings_name(path, OBJECT_DETECTIONS)
        if name not in self._names:
            self._enter(findings, name)

    def enter(self, findings: pa.Table) -> None:
        """Write down what of findings in no single file is new."""
        new = without_known(findings, self._known)
        if new.num_rows:
            self._enter(new, findings_name(new))

    def _enter(self, findings: pa.Table, name: str) -> None:
        new = without_known(findings, self._known)
        if not new.num_rows:
            return
        # Somebody else may create it first: then it holds the same.
        write_findings(self._store, findings, findings_key(name, self._day))
        self._names.add(name)
        self._known.update(identify(new))
        self.new += new.num_rows


def _read(snapshot: Snapshot, columns: list[str]) -> pa.Table:
    schema = pa.schema([FINDINGS_SCHEMA.field(name) for name in columns])
    tables = [no_rows(schema)]
    for file in snapshot.findings:
        try:
            with pq.ParquetFile(file.path, filesystem=snapshot.filesystem) as parquet:
                tables.append(parquet.read(columns=columns).select(columns).cast(schema))
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            raise LakeUnusable(file.path, first_line(error), hint="no file of findings; move it away") from error
    return pa.concat_tables(tables)
