"""Receipts: what was replayed already, one for each object that something was replayed of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from etl.errors import LakeMismatch, ObjectNotFound
from etl.lake import ObjectStore
from etl.replay._documents import Unfit

RECEIPTS: Final = "meta/replay/"


@dataclass(frozen=True)
class Receipt:
    """One object of quarantine/ or errors/ whose rows are in the lake, or with Firehose.

    It exists only once they are. Audit takes the lines of `lines` from the log object that they were quarantined of: they
    are counted where they are rows.
    """

    object: str
    """Its key."""
    version: str
    """The tag of its content."""
    output: str
    """Raw name of the rows, whether a sink used it or not."""
    rows: int
    lines: Mapping[str, tuple[int, ...]]
    """By log object, the numbers of the quarantined lines that became rows; empty for an error object."""
    unfit: tuple[Unfit, ...] = ()
    """Documents of an error object that are not ours and stay where they are."""


def receipt_key(key: str, version: str) -> str:
    """Where the receipt of an object is, by its key and the tag of its content."""
    name = hashlib.blake2b(f"{key}\0{version}".encode(), digest_size=16).hexdigest()
    return f"{RECEIPTS}{name}.json"


def find_receipt(store: ObjectStore, key: str, version: str) -> Receipt | None:
    """The receipt of that object and content, if there is one. Raises `LakeMismatch` if it is damaged."""
    try:
        return _read(store, receipt_key(key, version))
    except ObjectNotFound:
        return None


def create_receipt(store: ObjectStore, receipt: Receipt) -> Receipt:
    """Write the receipt once; the one that counts, which is another's if somebody was first."""
    place = receipt_key(receipt.object, receipt.version)
    if store.create(place, json.dumps(asdict(receipt)).encode()):
        return receipt
    return _read(store, place)


def read_receipts(store: ObjectStore) -> Iterator[Receipt]:
    """All receipts of a lake. Raises `LakeMismatch` if one is damaged."""
    for stored in store.list(RECEIPTS):
        if stored.key.endswith(".json"):
            yield _read(store, stored.key)


def _read(store: ObjectStore, place: str) -> Receipt:
    data = store.read(place)
    try:
        found = json.loads(data)
        return Receipt(
            str(found["object"]),
            str(found["version"]),
            str(found["output"]),
            int(found["rows"]),
            {str(source_key): tuple(map(int, numbers)) for source_key, numbers in found["lines"].items()},
            tuple(Unfit(**item) for item in found["unfit"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LakeMismatch(f"{store.uri}/{place}", "is damaged, or of a newer format") from error
