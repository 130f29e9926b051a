"""The calls of Glue that the catalog needs, with answers for what rivals do and errors for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from etl.errors import LakeUnusable, first_line

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

    from etl.catalog._tables import Json


class _Refused(LakeUnusable):
    """Glue said no; `code` says which no."""

    code = ""


def get_table(glue: GlueClient, database: str, name: str) -> Json | None:
    """A table or view; None if there is none. Raises `LakeUnusable`."""
    try:
        with _as_lake_errors(f"{database}.{name}"):
            return dict(glue.get_table(DatabaseName=database, Name=name)["Table"])
    except _Refused as error:
        if error.code != "EntityNotFoundException":
            raise
        return None


def create_table(glue: GlueClient, database: str, table: dict[str, Any]) -> bool:
    """Make it; False if somebody else has. Raises `LakeUnusable`."""
    return _unless(
        "AlreadyExistsException",
        f"{database}.{table['Name']}",
        lambda: glue.create_table(DatabaseName=database, TableInput=table),  # type: ignore[arg-type]
    )


def update_table(glue: GlueClient, database: str, table: dict[str, Any], *, version: str) -> bool:
    """Replace the version that was read; False if it is no longer the latest, and then nothing is changed.

    That makes it a compare-and-swap. Versions are not archived: their number is limited, and every commit would add one. Raises
    `LakeUnusable`, also where Glue's answer was lost and the update may have happened.
    """
    return _unless(
        "ConcurrentModificationException",
        f"{database}.{table['Name']}",
        lambda: glue.update_table(
            DatabaseName=database,
            TableInput=table,  # type: ignore[arg-type]
            VersionId=version,
            SkipArchive=True,
        ),
    )


def create_database(glue: GlueClient, name: str) -> None:
    """Make the database if there is none: Glue has no `default` until somebody has used it. Raises `LakeUnusable`."""
    try:
        with _as_lake_errors(name):
            glue.get_database(Name=name)
    except _Refused as error:
        if error.code != "EntityNotFoundException":
            raise
        _unless("AlreadyExistsException", name, lambda: glue.create_database(DatabaseInput={"Name": name}))


def open_glue(subject: str) -> GlueClient:
    """Glue with credentials and region from where boto3 finds them. Raises `LakeUnusable` where it finds none."""
    import boto3

    with _as_lake_errors(subject):
        client: GlueClient = boto3.client("glue")
        return client


def _unless(code: str, subject: str, act: Any) -> bool:
    try:
        with _as_lake_errors(subject):
            act()
    except _Refused as error:
        if error.code != code:
            raise
        return False
    return True


@contextmanager
def _as_lake_errors(subject: str) -> Iterator[None]:
    # Imported here: a lake in a folder goes through this part too, and needs no AWS.
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError) as error:
        refused = _Refused(subject, first_line(error))
        if isinstance(error, ClientError):
            with suppress(KeyError):
                refused.code = error.response["Error"]["Code"]
        raise refused from error
