"""Everything accesslake raises on purpose.

::

    AccessLakeError                 anything below; `retryable` says whether trying again can help
    ├── UsageError                  the caller asked for something that does not exist      (exit 2)
    │   ├── UnknownQuery            no query of that name
    │   └── BadParameter            a query parameter, date or option that cannot be used
    ├── SourceError                 a log object that could not be read; others still are    (exit 1)
    │   ├── SourceNotFound          the path, glob or prefix matches nothing
    │   ├── SourceUnreadable        permission, I/O or network trouble
    │   │   └── SourceReplaced      other content than was listed or announced
    │   ├── SourceTooLarge          more bytes, stored or unpacked, than are taken
    │   ├── CorruptSource           a truncated or damaged gzip stream
    │   └── NotALog                 bytes that are no text log (pictures, archives, Parquet)
    ├── LakeError                   the lake itself                                          (exit 1)
    │   ├── LakeNotFound            nothing at that address, or no lake there
    │   ├── LakeMismatch            the lake is kept by another state keeper or version
    │   ├── LakeUnusable            a file where a folder must be, no permission, a full disk
    │   ├── ObjectNotFound          a key that was listed or planned is gone
    │   └── RowsNotConserved        a rewrite whose rows do not add up; nothing was committed
    └── QueryError                  the engine refused the SQL                               (exit 1)

One bad line or one bad log object is a value in a result (`Parsed.quarantine`, `Ingested.failed`), not an exception: these
are raised where a caller asked for exactly that object, or where nothing sensible can follow.
"""

from __future__ import annotations


class AccessLakeError(Exception):
    """Base of all: carries facts, and builds its own one-line message from them."""

    retryable = False

    def __init__(self, subject: str, reason: str, *, hint: str = "") -> None:
        """`subject` is the thing (a path, a key, a name), `reason` what is wrong, `hint` what to do about it."""
        self.subject = subject
        self.reason = reason
        self.hint = hint
        super().__init__(f"{subject}: {reason}" + (f" ({hint})" if hint else ""))

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip back from a worker process."""
        return (_rebuild, (type(self), self.subject, self.reason, self.hint))


def _rebuild(kind: type[AccessLakeError], subject: str, reason: str, hint: str) -> AccessLakeError:
    return kind(subject, reason, hint=hint)


class UsageError(AccessLakeError):
    """The caller asked for something that does not exist."""


class UnknownQuery(UsageError):
    """No query of that name."""


class BadParameter(UsageError):
    """A query parameter, date or option that cannot be used."""


class SourceError(AccessLakeError):
    """A log object that could not be read; the others still are."""


class SourceNotFound(SourceError):
    """The path, glob or prefix matches nothing."""


class SourceUnreadable(SourceError):
    """Permission, I/O or network trouble while reading a log object."""

    retryable = True


class SourceReplaced(SourceUnreadable):
    """The log object's content is no longer the one that was listed or announced."""


class SourceTooLarge(SourceError):
    """More bytes, stored or unpacked, than are taken at once."""


class CorruptSource(SourceError):
    """A truncated or damaged gzip stream."""


class NotALog(SourceError):
    """Bytes that are no text log."""


class LakeError(AccessLakeError):
    """The lake itself cannot be used."""


class LakeNotFound(LakeError):
    """Nothing at that address, or no lake there."""


class LakeMismatch(LakeError):
    """The lake belongs to another state keeper, or to a newer format."""


class LakeUnusable(LakeError):
    """A file where a folder must be, no permission, a full disk."""

    retryable = True


class ObjectNotFound(LakeError):
    """A key that was listed or planned is gone."""


class RowsNotConserved(LakeError):
    """A rewrite whose rows do not add up; nothing was committed."""


class QueryError(AccessLakeError):
    """The engine refused the SQL."""


def first_line(error: BaseException) -> str:
    """The first line of a library's message: what a user is shown, without its advice and stack."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
