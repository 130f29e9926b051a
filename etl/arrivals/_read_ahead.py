"""Several log objects read at once, handed on in their order, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from etl.sources import LogSource

_READERS: Final = 8
_HELD_BYTES: Final = 64 << 20
"""Bytes that may lie ready: most log objects are far smaller, and waiting for S3 is most of their time."""
_STREAMED_BYTES: Final = 8 << 20
"""Objects larger than this are read when their turn comes, in parts."""

ReadParts = Callable[[LogSource], Iterator[bytes]]


def read_ahead(logs: Iterable[LogSource], read: ReadParts) -> Iterator[tuple[LogSource, Iterator[bytes]]]:
    """Each log object with its stored bytes; what `read` raises, it raises when the bytes are asked for."""
    with ThreadPoolExecutor(_READERS) as pool:
        waiting: deque[tuple[LogSource, Future[bytes] | None]] = deque()
        held = 0
        try:
            for log in logs:
                streamed = log.size > _STREAMED_BYTES
                while waiting and (held + (0 if streamed else log.size) > _HELD_BYTES or len(waiting) >= 2 * _READERS):
                    first, future = waiting.popleft()
                    yield first, _parts(first, future, read)
                    held -= 0 if future is None else first.size
                waiting.append((log, None if streamed else pool.submit(_whole, log, read)))
                held += 0 if streamed else log.size
            while waiting:
                first, future = waiting.popleft()
                yield first, _parts(first, future, read)
        finally:
            for _, future in waiting:
                if future is not None:
                    future.cancel()
                    with suppress(Exception):  # nobody asks for it any more
                        future.exception(0)


def _whole(log: LogSource, read: ReadParts) -> bytes:
    return b"".join(read(log))


def _parts(log: LogSource, future: Future[bytes] | None, read: ReadParts) -> Iterator[bytes]:
    if future is None:
        yield from read(log)
    else:
        yield future.result()
