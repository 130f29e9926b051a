"""What must hold of the states that a stepwise lake was in, whoever reads."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from stepwise import GLUE, MemoryLake, Objects

from etl.catalog import State, read_state
from etl.lake import raw_key, raw_name
from etl.lake._layout import COMMITS, PLANS, WINNERS, batch_of_commit, day_of, name_of

VIEW = GLUE + "access_logs"


def state_of(objects: Objects) -> State:
    """The lake's state, whoever keeps it."""
    if VIEW in objects:
        return _state_in(objects[VIEW])
    return State(max((batch_of_commit(key) for key in objects if key.startswith(COMMITS)), default=""), "")


@cache
def _state_in(view: bytes) -> State:
    return read_state(json.loads(view))


def broken_invariants(lake: MemoryLake, *, grace: dt.timedelta, stragglers: Collection[str] = ()) -> list[str]:
    """What the states of a lake have against them; `stragglers` are keys that came too late for their day."""
    broken = []
    committed = _commit_times(lake)
    for before, after, now in zip(lake.states, lake.states[1:], lake.times[1:], strict=False):
        for key, data in before.items():
            if key.startswith(("compacted/", "meta/")) and after.get(key) != data:
                broken.append(f"{key} was created and then changed")
        seen = _inputs_up_to(before, state_of(before).batch)
        for key in before.keys() - after.keys():
            if key.startswith("raw/") and not (key in seen and committed[seen[key]] <= now - grace):
                broken.append(f"{key} was deleted too early")
        old, new = state_of(before), state_of(after)
        if new.batch < old.batch or new.raw_since < old.raw_since:
            broken.append(f"the state went back from {old} to {new}")
        if any(batch_of_commit(key) > new.batch for key in after if key.startswith(COMMITS)):
            broken.append("a batch has its commit record before it was committed")
        hidden = [key for key in after if key.startswith("raw/") and day_of(key) < new.raw_since]
        lost = set(hidden) - _inputs_up_to(after, new.batch).keys() - set(stragglers)
        broken += [f"{key} is hidden and in no batch" for key in sorted(lost)]
    last = lake.states[-1]
    planned = Counter(key for plan in _records(last, PLANS) for key in _named(plan))
    broken += [f"{key} is in {count} plans" for key, count in planned.items() if count > 1]
    for commit in _records(last, COMMITS):
        named = {output["key"]: output["size"] for output in commit["outputs"]}
        held = {key: len(last[key]) for key in last if _is_of(key, commit["batch"])}
        if named != held:
            broken.append(f"batch {commit['batch']} is not what its commit names")
        plan = json.loads(last[f"{PLANS}{commit['batch']}.json"])
        if sorted(_named(plan)) != sorted(_named(commit)):
            broken.append(f"batch {commit['batch']} has not the inputs of its plan")
    return list(dict.fromkeys(broken))


def _commit_times(lake: MemoryLake) -> dict[str, dt.datetime]:
    """When each batch was committed: by the history itself, or by its record if that was before."""
    times = {
        record["batch"]: dt.datetime.fromisoformat(record["committed_at"])
        for record in _records(lake.states[0], COMMITS)
    }
    for objects, now in zip(lake.states, lake.times, strict=True):
        if state_of(objects).batch:
            times.setdefault(state_of(objects).batch, now)
    return times


def _inputs_up_to(objects: Objects, batch: str) -> dict[str, str]:
    """The raw keys of the plans of all batches up to this one, with their batch."""
    plans = [(name_of(key), objects[key]) for key in objects if key.startswith(PLANS) and name_of(key) <= batch]
    return {key: name for name, data in plans for key in _named_in(data)}


@cache
def _named_in(plan: bytes) -> tuple[str, ...]:
    return tuple(_named(json.loads(plan)))


def _is_of(key: str, batch: str) -> bool:
    return key.startswith("compacted/") and key.rsplit("/", 1)[-1].startswith(f"{batch}-")


def _named(record: dict[str, Any]) -> list[str]:
    """Raw keys of a plan or commit, those of a plan's log objects too."""
    logs = [raw_name(log["source_key"], log["version"]) for log in record.get("logs", ())]
    keys = [item["key"] for item in (*record["inputs"], *record["left_out"])]
    return [*keys, *(raw_key(name, record["ingest_date"]) for name in logs)]


def _records(objects: Objects, prefix: str) -> list[dict[str, Any]]:
    return [json.loads(objects[key]) for key in sorted(objects) if key.startswith(prefix)]


def what_readers_see(states: Sequence[Objects]) -> tuple[Objects, ...]:
    """The states as far as they differ in what a reader looks at: of the plans and winners those of committed batches."""
    seen: list[Objects] = []
    for objects in states:
        batch = state_of(objects).batch
        visible = {
            key: data
            for key, data in objects.items()
            if key.startswith(("raw/", "compacted/", COMMITS, GLUE))
            or (VIEW in objects and key.startswith((PLANS, WINNERS)) and name_of(key) <= batch)
        }
        if not seen or seen[-1] != visible:
            seen.append(visible)
    return tuple(seen)
