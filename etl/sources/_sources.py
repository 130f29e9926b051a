"""From what a user names to log objects and their bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from etl.addresses import check_scheme
from etl.errors import SourceError
from etl.sources._decompress import decompress
from etl.sources._local import find_local_logs, hash_local, read_local_parts
from etl.sources._log_source import LogSource


def find_logs(
    sources: Iterable[str], *, inventories: Iterable[str] = (), exclude: str | None = None
) -> Iterator[LogSource | SourceError]:
    """Log objects of paths, folders, globs and `s3://bucket/prefix`, and of S3 Inventories by their manifests.

    Each once; an error for what is not there. `exclude` is the lake's address: a lake among the logs is not read as logs. A
    source that lies in it still is. Raises `BadParameter` at once for an address of another scheme than `s3://`.
    """
    sources, inventories = tuple(sources), tuple(inventories)
    for address in (*sources, *inventories):
        check_scheme(address)
    return _each_once(chain(*(_find(source, exclude) for source in sources), *_find_inventories(inventories, exclude)))


def _each_once(logs: Iterable[LogSource | SourceError]) -> Iterator[LogSource | SourceError]:
    seen: set[str] = set()
    for found in logs:
        if isinstance(found, LogSource):
            if found.source_key in seen:
                continue
            seen.add(found.source_key)
        yield found


def _find_inventories(inventories: Iterable[str], exclude: str | None) -> Iterator[Iterator[LogSource | SourceError]]:
    for address in inventories:
        from etl.sources._inventory import find_inventory_logs

        yield find_inventory_logs(address, exclude=exclude)


def _find(source: str, exclude: str | None) -> Iterator[LogSource | SourceError]:
    in_s3 = exclude is not None and exclude.startswith("s3://")
    if source.startswith("s3://"):
        from etl.sources._s3 import find_s3_logs

        return find_s3_logs(source, exclude=exclude if in_s3 else None)
    return find_local_logs(source, exclude=None if exclude is None or in_s3 else Path(exclude).resolve())


def version_of(log: LogSource) -> str:
    """What tells this content from another under the same name: the store's tag, or a digest of the bytes."""
    return log.version if log.version is not None else hash_local(log)


def read_stored_parts(log: LogSource) -> Iterator[bytes]:
    """The object's bytes as they are stored, in parts of a few MiB. Raises a `SourceError`."""
    if log.location.startswith("s3://"):
        from etl.sources._s3 import read_s3_parts

        return read_s3_parts(log)
    return read_local_parts(log)


def read_parts(log: LogSource) -> Iterator[bytes]:
    """The object's text, unpacked if it is gzip, in parts of a few MiB. Raises a `SourceError`."""
    return decompress(read_stored_parts(log), source_key=log.source_key)
