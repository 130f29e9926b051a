"""Several log objects read at once, handed on in their order, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from etl.sources import LogSource

_READERS: Final = 8
_HELD_BYTES: Final = 64 << 20
"""Bytes that may lie ready: most log objects are far smaller, and waiting for S3 is most of their time."""
_STREAMED_BYTES: Final = 8 << 20
"""Objects larger than this are read when their turn comes, in parts."""

ReadParts = Callable[[LogSource], Iterator[bytes]]


def read_ahead(logs: Iterable[LogSource], read: ReadParts) -> Iterator[tuple[LogSource, Iterator[bytes]]]:
    """Each log object with its stored bytes; what `read`, a generator, raises is raised when the bytes are asked for."""
    with ThreadPoolExecutor(_READERS) as pool:
        waiting: deque[tuple[LogSource, Iterator[bytes], int]] = deque()  # the last: bytes that lie ready, or will
        held = 0
        try:
            for log in logs:
                ahead = log.size <= _STREAMED_BYTES
                size = log.size if ahead else 0
                while waiting and (held + size > _HELD_BYTES or len(waiting) >= 2 * _READERS):
                    first, parts, freed = waiting.popleft()
                    yield first, parts
                    held -= freed
                waiting.append((log, _result(pool.submit(_whole, log, read)) if ahead else read(log), size))
                held += size
            for first, parts, _ in waiting:
                yield first, parts
        finally:
            pool.shutdown(cancel_futures=True)


def _whole(log: LogSource, read: ReadParts) -> bytes:
    return b"".join(read(log))


def _result(future: Future[bytes]) -> Iterator[bytes]:
    yield future.result()
