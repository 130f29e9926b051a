"""Names of everything in a lake: pure, so that every part agrees on them."""

from __future__ import annotations

import hashlib
import re
from typing import Final

LAKE_JSON: Final = "meta/lake.json"
RAW: Final = "raw/"
COMPACTED: Final = "compacted/"
QUARANTINE: Final = "quarantine/"
FINDINGS: Final = "findings/"
STAGING: Final = "staging/"
PLANS: Final = "meta/plan/"
WINNERS: Final = "meta/winner/"
COMMITS: Final = "meta/commit/"

BATCHES_PER_RUN: Final = 32
"""Commit records that are put together. A number for ever: the names of what is there depend on it."""
_BATCH_DIGITS: Final = 10
_DAY: Final = re.compile(r"/(?:ingest_date|event_date|detected_date)=([0-9]{4}-[0-9]{2}-[0-9]{2})/")


def raw_name(source_key: str, version: str) -> str:
    """File name, without folder and ending, of a log object's rows.

    It depends on nothing but the object's identity and content, so the same object has the same name on any day and machine,
    and a second ingest can see that it is there.
    """
    return hashlib.blake2b(f"{source_key}\0{version}".encode(errors="surrogateescape"), digest_size=16).hexdigest()


def raw_key(name: str, ingest_date: str) -> str:
    """Key of a log object's rows that arrived on a day."""
    return f"{RAW}ingest_date={ingest_date}/{name}.parquet"


def quarantine_key(name: str, ingest_date: str) -> str:
    """Key of the lines of a log object that could not be read."""
    return f"{QUARANTINE}ingest_date={ingest_date}/{name}.parquet"


def compacted_key(batch: str, event_date: str, number: int) -> str:
    """Key of a compacted file; never rewritten, and without `=` in its name, which some readers take for a partition."""
    return f"{COMPACTED}event_date={event_date}/{batch}-{number:04d}.parquet"


def is_of_batch(key: str, batch: str) -> bool:
    """Whether the key of a compacted file carries this batch."""
    return key.rsplit("/", 1)[-1].startswith(f"{batch}-")


def is_after_batch(key: str, batch: str) -> bool:
    """Whether the key of a compacted file carries a later batch than this one (`""` before the first)."""
    found = re.match(f"([0-9]{{{_BATCH_DIGITS}}})-", key.rsplit("/", 1)[-1])
    return found is not None and found[1] > batch


def staged_key(batch: str, attempt: str, compacted: str) -> str:
    """Where an attempt writes what may become the compacted file."""
    return f"{STAGING}{batch}/{attempt}/{compacted.removeprefix(COMPACTED)}"


def plan_key(batch: str) -> str:
    """Key of a batch's plan: what goes into it."""
    return f"{PLANS}{batch}.json"


def winner_key(batch: str) -> str:
    """Key of a batch's elected attempt: what comes out of it."""
    return f"{WINNERS}{batch}.json"


def commit_key(batch: str) -> str:
    """Key of a batch's commit: from its creation on, readers see the batch."""
    return f"{COMMITS}{batch}.json"


def next_batch(batch: str) -> str:
    """The id after `batch` (`""` before the first): a counter of ten digits, which sorts as text."""
    return f"{int(batch or '0') + 1:0{_BATCH_DIGITS}d}"


def batches_up_to(last: str) -> list[str]:
    """All ids from the first to this one; none for `""`."""
    return [f"{number:0{_BATCH_DIGITS}d}" for number in range(1, int(last or "0") + 1)]


def batch_of_commit(key: str) -> str:
    """The batch that a key under `COMMITS` commits, `""` if it is none: an editor's copy of a commit must not count twice."""
    batch = name_of(key)
    return batch if key == commit_key(batch) and re.fullmatch(f"[0-9]{{{_BATCH_DIGITS}}}", batch) else ""


def run_of(batch: str) -> tuple[str, ...]:
    """The batches whose records are put together with this one's."""
    first = (int(batch) - 1) // BATCHES_PER_RUN * BATCHES_PER_RUN + 1
    return tuple(f"{number:0{_BATCH_DIGITS}d}" for number in range(first, first + BATCHES_PER_RUN))


def run_key(batch: str) -> str:
    """Key of the records of a batch's run. It lies among the records, so that one listing finds both."""
    run = run_of(batch)
    return f"{COMMITS}{run[0]}-{run[-1]}.json.gz"


def first_of_run(key: str) -> str:
    """The first batch of the run that a key under `COMMITS` holds, `""` if it is none."""
    first = key.removeprefix(COMMITS)[:_BATCH_DIGITS]
    return first if re.fullmatch(f"[0-9]{{{_BATCH_DIGITS}}}", first) and int(first) and key == run_key(first) else ""


def name_of(key: str) -> str:
    """File name of a key, without folder and ending."""
    return key.rsplit("/", 1)[-1].rsplit(".", 1)[0]


def is_visible(key: str) -> bool:
    """Whether engines that list folders look at the object: it is no mark of a folder, and nothing in its key is hidden."""
    return not key.endswith("/") and not any(part.startswith((".", "_")) for part in key.split("/"))


def day_of(key: str) -> str:
    """The partition day in a key, `""` if there is none."""
    match = _DAY.search(key)
    return match[1] if match else ""
