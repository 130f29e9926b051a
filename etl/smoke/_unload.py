"""One rewrite by Athena, into a folder of staging that nobody looks at: what UNLOAD writes, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow.parquet as pq
from botocore.exceptions import BotoCoreError, ClientError

from etl.athena import Source, kept_rows_sql, listed, read_manifest
from etl.errors import first_line
from etl.lake import raw_key
from etl.smoke._account import Account
from etl.smoke._delivery import TIME
from etl.smoke._finding import Finding, judged
from etl.smoke._own_file import own_file

_SECONDS: Final = 180.0
_NO_BATCH: Final = "0000000000"


def unload_findings(account: Account, delivered: Sequence[str], left: list[str]) -> Iterator[Finding]:
    """Rewrite our rows, those in objects that Firehose `delivered` too; what could not be deleted goes to `left`.

    The statement is the one that `accesslake compact --engine athena` runs: Athena has to take its SQL.
    """
    day = account.days(account.clock())[-1]
    own = f"{account.lake_prefix}{raw_key(f'smoke-unload-{account.run}', day)}"
    folder = f"{account.lake_prefix}staging/smoke-{account.run}/"
    results: list[str] = []
    try:
        account.s3.put_object(Bucket=account.lake_bucket, Key=own, Body=own_file(account.source_key))
        inputs = [own, *delivered]
        execution = account.execute(_statement(account, inputs, folder), seconds=_SECONDS)
        manifest = execution.get("Statistics", {}).get("DataManifestLocation", "")
        results = _keys_of_results(account, execution, manifest)
        written = [_key(account, address) for address in read_manifest(account.read(_key(account, manifest)))]
        yield from _findings(account, inputs, folder, written, manifest)
    finally:
        left += account.delete([own, *results])
        left += _cleared(account, folder)


def _findings(
    account: Account, inputs: Sequence[str], folder: str, written: Sequence[str], manifest: str
) -> Iterator[Finding]:
    present = {
        key
        for key in account.list_since(folder.removeprefix(account.lake_prefix), 0.0)
        if f"/event_date={TIME[:10]}/" in key
    }
    yield judged(
        "place of UNLOAD's files",
        bool(written) and set(written) <= present,
        f"{len(written)} listed, {len(present)} in the folder that the statement names; the manifest is at {manifest}",
    )
    files = [account.read_parquet(key) for key in written]
    sent = sum(account.read_parquet(key).metadata.num_rows for key in inputs)
    rows = sum(file.metadata.num_rows for file in files)
    yield judged("rows of UNLOAD", rows == sent, f"{rows} of {sent}")
    if files:
        yield _shape(files[0])


def _shape(file: pq.ParquetFile) -> Finding:
    """INT96 is what a rewrite converts; files with INT64 it would only copy."""
    metadata = file.metadata
    names = [metadata.schema.column(place).name for place in range(metadata.num_columns)]
    place = names.index("request_time")
    physical, column = metadata.schema.column(place).physical_type, metadata.row_group(0).column(place)
    return judged(
        "Parquet of UNLOAD",
        physical in ("INT96", "INT64") and column.compression == "ZSTD",
        f"times are {physical}, statistics {column.is_stats_set}; {column.compression}; {metadata.created_by}",
    )


def _cleared(account: Account, folder: str) -> Iterator[str]:
    try:
        yield from account.delete(list(account.list_since(folder.removeprefix(account.lake_prefix), 0.0)))
    except (ClientError, BotoCoreError) as error:
        yield f"s3://{account.lake_bucket}/{folder}: {first_line(error)}"


def _statement(account: Account, inputs: Sequence[str], folder: str) -> str:
    bucket = f"s3://{account.lake_bucket}"
    days = tuple(sorted({key.rpartition("ingest_date=")[2][:10] for key in inputs}))
    source = Source(account.outputs["DatabaseName"], days, listed([f"{bucket}/{key}" for key in inputs]))
    return (
        f"UNLOAD ({kept_rows_sql(source, None, batch=_NO_BATCH, again=())}) TO '{bucket}/{folder}' "
        "WITH (format='PARQUET', compression='ZSTD', partitioned_by=ARRAY['event_date'])"
    )


def _keys_of_results(account: Account, execution: Mapping[str, Any], manifest: str) -> list[str]:
    """What Athena leaves at the place of its results: the manifest, and a file that describes the result."""
    name = execution["QueryExecutionId"]
    place = _key(account, manifest).rpartition("/")[0]
    return [f"{place}/{name}-manifest.csv", f"{place}/{name}.metadata"]


def _key(account: Account, address: str) -> str:
    """The key of an address in the lake's bucket. Raises `LookupError` for one elsewhere."""
    bucket = f"s3://{account.lake_bucket}/"
    if not address.startswith(bucket):
        raise LookupError(f"not in the lake's bucket: {address or 'no manifest'}")
    return address.removeprefix(bucket)
