"""The lines of one log object."""

from __future__ import annotations

from etl.generate._buckets import Naming
from etl.generate._calendar import DAY, clock_times
from etl.generate._damage import cut, shortened
from etl.generate._groups import batch_delete, copy, lifecycle
from etl.generate._plan import ObjectPlan
from etl.generate._quotes import forged, with_stray_quotes
from etl.generate._requests import Call, Draw
from etl.generate._shares import CURRENT_LAYOUT, Kind, Ledger
from etl.generate._skew import DISORDER, turn_around_times

Marks = dict[int, Kind]
"""Which of an object's requests are unusual, by their place in it; at most one kind each."""


def write_lines(plan: ObjectPlan, draw: Draw, ledger: Ledger, repeatable: list[str]) -> tuple[list[str], list[str]]:
    """Exactly ``plan.lines`` lines, and some of them that S3 may deliver again in the stream's next object.

    First come lines of `repeatable`, then requests roughly by time, with groups in between.
    """
    ledger.grow(plan.lines)
    again = repeatable[: ledger.take("doubled", min(len(repeatable), (plan.lines + 1) // 2))]
    groups = _groups(plan, draw, ledger, plan.lines - len(again))
    count = plan.lines - len(again) - sum(map(len, groups))
    marks = _marks(plan, draw, ledger, count)
    order = sorted(draw.rng.choices(range(plan.start, plan.end), k=count))
    lines = _requests(plan, draw, order, marks)
    again_next = [lines[at] for at in _places(draw, count, 1 + count // 100) if at not in marks]
    for place, group in sorted(((draw.rng.randrange(count + 1), group) for group in groups), reverse=True):
        moment = order[min(place, count - 1)] if count else plan.start
        lines[place:place] = _stamped(plan, draw, moment, group)
    return again + lines, again_next


def _places(draw: Draw, count: int, wanted: int) -> list[int]:
    return list(dict.fromkeys(draw.rng.choices(range(count), k=wanted))) if count else []


def _groups(plan: ObjectPlan, draw: Draw, ledger: Ledger, room: int) -> list[tuple[str, ...]]:
    bucket = plan.stream.bucket
    groups: list[tuple[str, ...]] = []
    if bucket.operators:
        while (due := min(room, ledger.owed("batch_delete"))) > 1:
            groups.append(batch_delete(bucket, draw, at_most=due))
            room -= ledger.take("batch_delete", len(groups[-1]))
        while min(room, ledger.owed("copy")) > 1:
            groups.append(copy(bucket, draw))
            room -= ledger.take("copy", 2)
    groups.extend(lifecycle(bucket, draw) for _ in range(ledger.take("lifecycle", room)))
    return groups


def _marks(plan: ObjectPlan, draw: Draw, ledger: Ledger, count: int) -> Marks:
    bucket, layout = plan.stream.bucket, plan.stream.layout
    limits: dict[Kind, int] = {"stray_quotes": count}
    if layout == CURRENT_LAYOUT:
        limits |= {"cut": count, "short": count, "forged": count, "extra_field": count}
    if bucket.naming is not Naming.BY_EVENT_TIME and plan.delivered > DAY:
        # An object named for an event day holds that day alone; on the first day nothing can be a day late.
        limits["late"] = 1 + count // 20
    if bucket.old_calls and layout > 18:
        limits["sigv2_header"] = count
    kinds: list[Kind] = []
    for kind, limit in limits.items():
        kinds.extend([kind] * ledger.take(kind, min(limit, count - len(kinds))))
    return dict(zip(draw.rng.sample(range(count), len(kinds)), kinds, strict=True))


def _requests(plan: ObjectPlan, draw: Draw, order: list[int], marks: Marks) -> list[str]:
    rng, bucket, count = draw.rng, plan.stream.bucket, len(order)
    delays = rng.choices(DISORDER, k=count)
    moments = [max(plan.start, moment - delay) for moment, delay in zip(order, delays, strict=True)]
    calls = rng.choices(bucket.calls, cum_weights=bucket.call_weights, k=count)
    for at, kind in marks.items():
        if kind == "late":
            moments[at] = rng.randrange(max(0, plan.delivered - 2 * DAY), plan.delivered - DAY)
        else:
            calls[at] = _marked(calls[at], kind, plan, draw)
    targets = rng.choices(bucket.targets, cum_weights=bucket.target_weights, k=count)
    turns = rng.choices(turn_around_times(), k=count)
    owner = f"{bucket.owner} {bucket.name} ["
    days, clock = draw.calendar.log_days, clock_times()
    lines = [
        f"{owner}{days[moment // DAY]}:{clock[moment % DAY]} +0000] {call.caller} {request}"
        f" {call.shape(call, target, turn, moment, draw)} {host} {call.tail}"
        for call, target, turn, moment, request, host in zip(
            calls, targets, turns, moments, draw.request_ids(count), draw.host_ids(count), strict=True
        )
    ]
    for at, kind in marks.items():
        if kind == "cut":
            lines[at] = cut(lines[at], rng)
        elif kind == "short":
            lines[at] = shortened(lines[at], rng)
    return _in_layout(lines, plan.stream.layout)


def _marked(call: Call, kind: Kind, plan: ObjectPlan, draw: Draw) -> Call:
    match kind:
        case "stray_quotes":
            return with_stray_quotes(call, draw.rng)
        case "forged":
            return forged(call, draw.rng)
        case "extra_field":
            return call._replace(tail=f"{call.tail} {draw.rng.choice(('-', 'unknown-value'))}")
        case "sigv2_header":
            return draw.rng.choice(plan.stream.bucket.old_calls)
        case _:
            return call


def _stamped(plan: ObjectPlan, draw: Draw, moment: int, group: tuple[str, ...]) -> list[str]:
    bucket = plan.stream.bucket
    time = f"{draw.calendar.log_days[moment // DAY]}:{clock_times()[moment % DAY]}"
    return _in_layout([f"{bucket.owner} {bucket.name} [{time} +0000] {record}" for record in group], plan.stream.layout)


def _in_layout(lines: list[str], layout: int) -> list[str]:
    """Without the fields that S3 had not yet appended; behind the user agent no field holds a space."""
    missing = CURRENT_LAYOUT - layout
    return [line.rsplit(" ", missing)[0] for line in lines] if missing else lines
