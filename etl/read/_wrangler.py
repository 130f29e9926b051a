"""A lake on AWS through awswrangler, with the options that fit it: Athena's answers, and one day's files without Athena.

Each is one or two calls, to be copied where more is wanted. Arrow types throughout: with NumPy's a column of whole numbers
of which one is missing becomes one of floats. `session` is a `boto3.Session`; without one, boto3's default is used.
"""

from __future__ import annotations

import datetime as dt
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from etl.errors import BadParameter, UsageError
from etl.read._frames import to_frame
from etl.schema import BATCH_ID, COMPACTED_TABLE, EVENT_DATE, SCHEMA

if TYPE_CHECKING:
    import boto3
    import pandas as pd  # type: ignore[import-untyped]


def read_athena(
    sql: str,
    *,
    database: str,
    workgroup: str = "primary",
    output: str | None = None,
    session: boto3.Session | None = None,
) -> pd.DataFrame:
    """The answer of Athena to one SELECT, through the CSV file that it writes anyway: right for answers of up to some 100 MB.

    Not as a table made for the answer (`ctas_approach=True`, awswrangler's default), which needs leave to make and drop tables in
    the lake's database, leaves one behind when a process dies, and takes no result with two columns of a name. CSV cannot tell an
    empty text from none: both come as null (`read_unloaded` keeps them apart). `output` is where on S3 the answer is to be,
    unless the workgroup says. Raises what awswrangler raises, and `UsageError` where that is not installed.
    """
    return _select(sql, database=database, workgroup=workgroup, s3_output=output, boto3_session=session)


def read_unloaded(
    sql: str,
    *,
    database: str,
    output: str,
    workgroup: str = "primary",
    session: boto3.Session | None = None,
) -> pd.DataFrame:
    """The answer of Athena to one SELECT, through Parquet files that it unloads below `output`, deleted once they are read.

    For big answers: written and read in parallel, typed, no table made. Every column of the SELECT needs a name of its own; an
    answer without rows has no columns, since no file says them. UNLOAD wants a folder in which nothing is, so each call has one
    of its own. Raises what
    awswrangler raises, and `UsageError` where that is not installed.
    """
    return _select(
        sql,
        database=database,
        workgroup=workgroup,
        s3_output=f"{output.rstrip('/')}/{uuid4().hex}/",
        boto3_session=session,
        unload_approach=True,
        unload_parameters={"file_format": "PARQUET", "compression": "SNAPPY"},
        keep_files=False,
    )


def _select(sql: str, **options: Any) -> pd.DataFrame:
    """An answer in Arrow types, without a table made for it."""
    answer = _awswrangler().athena.read_sql_query(sql, ctas_approach=False, dtype_backend="pyarrow", **options)
    return cast("pd.DataFrame", answer)


def read_compacted_day(
    day: str | dt.date, *, lake: str, database: str, session: boto3.Session | None = None
) -> pd.DataFrame:
    """The committed rows of one event day, from its files, in the columns of `etl.SCHEMA`; Athena is not asked.

    The files of a batch are there before the batch is committed, and its rows are then still in raw/ as well: only batches up to
    the one that the view `access_logs` shows count. It is asked before the files are listed, and files never change, so this is
    what the view showed at that moment; rows that are not compacted yet are not in it. Raises `LakeMismatch` if the view holds
    no state, what awswrangler raises, and `UsageError` where that is not installed.
    """
    try:
        day = dt.date.fromisoformat(str(day)).isoformat()
    except ValueError:
        raise BadParameter("day", f"{str(day)!r} is no date", hint="expected YYYY-MM-DD") from None
    wr = _awswrangler()
    # Imported here: it needs boto3, and a lake in a folder does not.
    from etl.catalog import VIEW, read_state

    live = wr.catalog.get_table_parameters(database=database, table=VIEW, boto3_session=session)
    committed = read_state({"Parameters": live}).batch
    try:
        frame = wr.s3.read_parquet(
            f"{lake.rstrip('/')}/{COMPACTED_TABLE.folder}/{EVENT_DATE.name}={day}/",
            path_suffix=".parquet",
            dtype_backend="pyarrow",
            boto3_session=session,
        )
    except wr.exceptions.NoFilesFound:
        return to_frame(SCHEMA.empty_table())
    frame = frame[frame[BATCH_ID.name] <= committed].reset_index(drop=True)
    frame[EVENT_DATE.name] = day
    return cast("pd.DataFrame", frame.astype(dict(to_frame(SCHEMA.empty_table()).dtypes))[SCHEMA.names])


def _awswrangler() -> ModuleType:
    try:
        import awswrangler
    except ModuleNotFoundError:
        raise UsageError("awswrangler", "is not installed", hint="pip install 'accesslake[pandas]'") from None
    return awswrangler
