"""Lines whose client chose a field to hurt the reader: time a line, and how it grows with the field's size.

    python -m benchmarks.run_hostile [--sizes BYTES ...] [--limit SECONDS] [--shape TEXT]

Every method reads every shape in every place and in two layouts, in a process of its own that is stopped after so many seconds of
processor time; the sizes it did not get to count as slower than that. The table gives the worst of places and layouts.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.machine import describe_machine
from benchmarks.methods import recipe
from benchmarks.rounds import markdown_table
from etl.parse import parse, read_line

_HEAD = "79a59df900b949e5 bucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3 - 3E57427F3EXAMPLE REST.GET.OBJECT"
_TAIL = (
    "- s9lzHYrFp76ZVxRcpX9+5cjAnEH2= SigV4 TLS_AES_128_GCM_SHA256 AuthHeader b.s3.amazonaws.com TLSv1.3 - - us-east-1"
)
_COPIES = 16
_ENOUGH_SECONDS = 0.05

SHAPES: dict[str, str] = {
    "quote, space": '" ',
    "quotes only": '"',
    "quote, space, quote": '" "',
    "a forged block": '" 1 1 1 1 1 1 "a" "b',
    "closers for URI, referer and agent at once": '" 200 - 1 1 1 1 "a" "b" c ',
    "a URI's closer that opens the next one": '" 1 1 1 1 1 1 "',
    "whole records, tail and all": '" 200 - 1 1 1 1 "a" "b" - h SigV2 c a e t - - r "',
    "an agent's closer every ten tokens": '" t t t t t t t t t t "x',
    "quoted words": '"a" "b" ',
    "blocks that fail at their last number": '" 1 1 1 1 1 x "a" ',
    "quotes inside words": 'a"b" "c ',
    "plain letters": "a",
    "spaces": " ",
    "digits behind a quote": "1",
    "percent signs": "%25",
    "dots and words": "a.b ",
}
"""What is repeated until the field is full."""
_PREFIXES = {"digits behind a quote": '" 1 1 ', "spaces": '" a b c d e f g h i j k'}
QUOTABLE = ("URI", "referer", "agent")
PLACES = (*QUOTABLE, "all three", "key")
LAYOUTS = ("27", "18")
"""Numbers of fields. The recipe's first pattern does not match a line of 18, and tries every way to."""


@dataclass(frozen=True)
class Case:
    """Who reads what: a key of `METHODS`, one of `LAYOUTS`, a key of `SHAPES`, one of `PLACES`."""

    method: str
    layout: str
    shape: str
    place: str


def build_line(case: Case, size: int) -> bytes:
    """A log line with `size` bytes of the shape in its place; URI, referer and agent share them in `all three`."""

    def fill(share: int) -> str:
        prefix, repeated = _PREFIXES.get(case.shape, ""), SHAPES[case.shape]
        return (prefix + repeated * (share // len(repeated) + 1))[:share]

    share = size // 3 if case.place == "all three" else size
    uri, referer, agent = (fill(share) if case.place in (name, "all three") else "x" for name in QUOTABLE)
    key = fill(size).replace(" ", "+") if case.place == "key" else "k"
    tail = _TAIL if case.layout == "27" else "-"
    return f'{_HEAD} {key} "GET /{uri} HTTP/1.1" 200 - 113 113 7 5 "{referer}" "{agent}" {tail}'.encode()


def _read_as_recipe(line: bytes) -> object:
    text = line.decode()
    return any(pattern.match(text) for pattern in recipe.PATTERNS)


def _parse_copies(lines: bytes) -> object:
    return parse(lines, source_key="-")


METHODS: dict[str, tuple[Callable[[bytes], object], int]] = {
    "exact reader": (read_line, 1),
    "parse": (_parse_copies, _COPIES),
    "recipe's regexes": (_read_as_recipe, 1),
}
"""What is timed, and how many copies of the line it is given at once."""


def measure(method: str, line: bytes) -> float:
    """Seconds of processor time a line: the mean of many runs for a fast one, one run for a slow one."""
    run, copies = METHODS[method]
    data = line if copies == 1 else (line + b"\n") * copies
    run(data)
    runs = 0
    started = now = time.process_time()
    while now - started < _ENOUGH_SECONDS:
        run(data)
        runs += 1
        now = time.process_time()
    return (now - started) / runs / copies


def _measure_apart(case: Case, sizes: list[int], limit: int) -> list[float]:
    """Seconds at each size, in a process that may use `limit` of them; if it was stopped, there are fewer than sizes."""
    words = ["--measure", *dataclasses.astuple(case), "--sizes", *map(str, sizes)]
    command = [sys.executable, "-m", "benchmarks.run_hostile", *words]
    done = subprocess.run([*command, "--limit", str(limit)], check=False, stdout=subprocess.PIPE)
    if done.returncode not in (0, -signal.SIGXCPU):
        raise SystemExit(f"{case} ended with {done.returncode}")
    return [float(line) for line in done.stdout.split()]


def _exponent(sizes: list[int], seconds: list[float]) -> float:
    """The slope of a straight line through the logarithms: 1 is linear, 2 quadratic."""
    xs, ys = [math.log(size) for size in sizes], [math.log(second) for second in seconds]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def _row(method: str, shape: str, sizes: list[int], limit: int) -> list[str]:
    """The worst place and layout: the one that was stopped first, or took longest at the largest size."""
    found: dict[Case, list[float]] = {}
    for place in PLACES:
        if place == "key" and '"' in SHAPES[shape]:
            continue
        for layout in LAYOUTS:
            case = Case(method, layout, shape, place)
            found[case] = _measure_apart(case, sizes, limit)
    worst = min(found, key=lambda case: (len(found[case]), -sum(found[case])))
    seconds = found[worst]
    cells = [f"{second * 1e3:,.2f}" for second in seconds]
    if len(seconds) < len(sizes):
        cells += [f"> {limit * 1e3:,.0f}"] + ["-"] * (len(sizes) - len(seconds) - 1)
    grows = [_exponent(sizes[: len(times)], times) for times in found.values() if len(times) > 1]
    return [shape, method, f"{worst.place}, {worst.layout} fields", *cells, f"{max(grows):.1f}" if grows else "-"]


def main() -> None:
    """Print one table: a row a shape and method."""
    parser = argparse.ArgumentParser(description="Time a line for fields made to hurt the reader.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 2048, 4096, 8192])
    parser.add_argument("--limit", type=int, default=20, help="seconds of processor time that a process gets")
    parser.add_argument("--shape", default="", help="only shapes whose name holds this text")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        resource.setrlimit(resource.RLIMIT_CPU, (options.limit, resource.RLIM_INFINITY))
        case = Case(*options.measure)
        for size in options.sizes:
            print(measure(case.method, build_line(case, size)), flush=True)
        return
    print(f"{describe_machine()}\n", flush=True)
    rows = []
    for shape in SHAPES:
        if options.shape in shape:
            rows += [_row(method, shape, options.sizes, options.limit) for method in options.methods]
            print(shape, file=sys.stderr)
    sizes = [f"{size:,} B" for size in options.sizes]
    print("Milliseconds a line in the worst place; growth is the largest exponent of size in any place.\n")
    print(markdown_table(("shape", "method", "worst in", *sizes, "growth"), rows))


if __name__ == "__main__":
    main()
