"""What may import what: a pure core, dependencies that point inwards, and nothing heavy before it is needed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from small_lakes import put_raw, raw_row

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "etl"
FILES = sorted(PACKAGE.rglob("*.py"))

PURE = (
    "etl.addresses",
    "etl.arrays",
    "etl.athena._engine",
    "etl.athena._select",
    "etl.athena._slices",
    "etl.attach._notification",
    "etl.attach._policy",
    "etl.attach._target",
    "etl.backfill._batches",
    "etl.catalog._tables",
    "etl.catalog._views",
    "etl.compact._fold",
    "etl.compact._left_out",
    "etl.compact._order",
    "etl.compact._plan",
    "etl.ddl",
    "etl.detect._clients",
    "etl.detect._details",
    "etl.detect._findings",
    "etl.detect._inventory",
    "etl.detect._lines",
    "etl.detect._metrics",
    "etl.detect._sigv2",
    "etl.doctor._catalog",
    "etl.doctor._check",
    "etl.doctor._compaction",
    "etl.doctor._delivery",
    "etl.doctor._deployed",
    "etl.doctor._detection",
    "etl.doctor._function",
    "etl.doctor._intake",
    "etl.doctor._queue",
    "etl.errors",
    "etl.lake._commits",
    "etl.lake._keeper",
    "etl.lake._layout",
    "etl.lake._snapshot",
    "etl.lambdas._compaction_metrics",
    "etl.lambdas._detection_metrics",
    "etl.masking",
    "etl.parse",
    "etl.replay._documents",
    "etl.replay._error_object",
    "etl.report._charts",
    "etl.report._data",
    "etl.report._headlines",
    "etl.report._spans",
    "etl.report._text",
    "etl.schema",
    "etl.sinks._documents",
    "etl.sinks._pack",
    "etl.smoke._finding",
    "etl.spark._tasks",
    "etl.terminal",
)
"""Modules, and packages with all that is in them, that touch no AWS, clock, disk, environment or engine: they and what
they import."""

IMPURE = {
    *(
        "boto3",
        "botocore",
        "s3transfer",
        "duckdb",
        "pandas",
        "pyspark",
        "py4j",
        "sqlglot",
        "click",
        "requests",
        "urllib3",
    ),
    *("os", "pathlib", "shutil", "tempfile", "glob", "io", "fileinput", "mmap", "sqlite3"),
    *("time", "random", "secrets", "uuid", "socket", "subprocess", "multiprocessing", "threading", "asyncio"),
    *("pyarrow.fs", "pyarrow.dataset", "pyarrow.parquet", "logging", "getpass", "platform"),
}
IMPURE_CALLS = {"open", "print", "input", "exec", "eval"}
CLOCK = {"now", "today", "utcnow"}

LAYERS = (
    {"errors", "masking", "terminal"},
    {"addresses", "schema", "arrays"},
    {"parse", "generate", "ddl", "cost"},
    {"sources", "lake"},
    {"attach", "catalog", "sinks"},
    {"ingest", "compact", "arrivals", "replay"},
    {"athena", "audit", "backfill", "doctor", "query", "spark"},
    {"detect", "read", "smoke"},
    {"report"},
    {"cli", "jobs", "lambdas"},
)
"""A part imports from layers before its own, never from beside or above. `etl` itself stands outside: it shows, and imports
what it shows."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from runtime_nodes(child)


def imports_of(module: str, *, runtime: bool = True) -> Iterator[tuple[str, str | None]]:
    """(module, name) of every import in a module, whether at its top or in a function."""
    nodes = runtime_nodes(tree_of(module)) if runtime else ast.walk(tree_of(module))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)


def defining_module(module: str, name: str | None) -> str:
    """The module that an import really names: `from etl.lake import Plan` names `etl.lake._commits`."""
    if name and f"{module}.{name}" in MODULES:
        return f"{module}.{name}"
    if name and module in MODULES and MODULES[module].name == "__init__.py":
        for source, shown in imports_of(module, runtime=False):
            if shown == name and source.startswith("etl"):
                return defining_module(source, name)
    return module


def imported_modules(module: str) -> set[str]:
    return {
        defining_module(source, name) if source.startswith("etl") else source for source, name in imports_of(module)
    }


def with_all_below(module: str) -> list[str]:
    return [name for name in MODULES if name == module or name.startswith(module + ".")]


def closure(module: str) -> set[str]:
    found: set[str] = set()
    waiting = with_all_below(module)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [each for each in imported_modules(name) if each in MODULES]
    return found


# --- The pure core ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", PURE)
def test_the_pure_core_imports_nothing_of_the_world(module: str) -> None:
    for name in sorted(closure(module)):
        for imported in imported_modules(name):
            prefixes = {imported.split(".")[0], ".".join(imported.split(".")[:2])}
            assert not prefixes & IMPURE, f"{name} imports {imported}"


@pytest.mark.parametrize("module", PURE)
def test_the_pure_core_asks_no_clock_and_opens_nothing(module: str) -> None:
    for name in sorted(closure(module)):
        for node in runtime_nodes(tree_of(name)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in IMPURE_CALLS, f"{name}:{node.lineno} calls {node.func.id}"
            elif isinstance(node, ast.Attribute):
                assert node.attr not in CLOCK, f"{name}:{node.lineno} asks the clock"
            elif isinstance(node, ast.Global):
                raise AssertionError(f"{name}:{node.lineno} keeps state")


def test_the_list_of_the_pure_core_names_what_exists() -> None:
    assert set(PURE) <= set(MODULES)


def loaded_by(code: str, *, installed_pandas: bool = True) -> set[str]:
    """Top modules that a fresh interpreter has loaded after the code."""
    hide = "" if installed_pandas else NO_PANDAS
    script = f"import sys\n{hide}\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


NO_PANDAS = """
class NoPandas:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pandas":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoPandas())
"""
HEAVY = {"pandas", "pyspark", "boto3", "botocore", "duckdb", "sqlglot", "click", "polars", "awswrangler"}
PARSE = r"""
import etl
line = b'o b [06/Feb/2019:00:00:38 +0000] - - R REST.GET.OBJECT k "GET /k HTTP/1.1" 200 - - - - - "-" "-" -'
parsed = etl.parse(line + b"\nbad\n", source_key="-")
assert parsed.table.num_rows == 1 and parsed.quarantine.num_rows == 1
"""


@pytest.mark.parametrize(
    "code",
    [
        *("import etl", "import etl.schema, etl.errors, etl.ddl", "import etl.lake", "import etl.sources, etl.sinks"),
        "import etl.detect",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str) -> None:
    assert not loaded_by(code) & HEAVY


def test_parsing_needs_nothing_heavy() -> None:
    """Where pandas is installed, pyarrow itself loads it with the first Python value that becomes an Arrow one."""
    assert not loaded_by(PARSE, installed_pandas=False) & HEAVY


def test_the_detector_loads_no_pandas_even_where_it_is_installed(tmp_path: Path) -> None:
    """It has 200 MB, and pandas takes 40 of them."""
    rows = [raw_row("s3://logs/a", number, signature_version="SigV2") for number in range(3)]
    path = put_raw(tmp_path, "a", [*rows, raw_row("s3://logs/a", 9, parse_status="ambiguous")])
    code = f"from etl.detect import *\nassert build_sigv2_findings(detect_file({str(path)!r})).num_rows == 4"
    assert not loaded_by(code) & HEAVY


@pytest.mark.parametrize(
    "code",
    [
        "import etl.ingest",
        "import etl.compact",
        "import etl.spark",
        "import etl.jobs",
        "import etl.audit",
        "import etl.query",
        "import etl.read",
    ],
)
def test_a_lake_in_a_folder_needs_neither_pandas_nor_aws(code: str) -> None:
    assert not loaded_by(code) & {"pandas", "pyspark", "boto3", "botocore", "polars", "awswrangler"}


@pytest.mark.parametrize("function", ["parse_logs", "detect"])
def test_a_function_of_the_parsers_package_loads_what_it_needs_and_no_more(function: str) -> None:
    """Its layer holds pyarrow and numpy; the rest is not there, and would cost time at every cold start."""
    unwanted = {
        "pandas",
        "pyspark",
        "duckdb",
        "sqlglot",
        "click",
        "polars",
        "awswrangler",
        "pyarrow.dataset",
        "pyarrow.fs",
    }
    assert not loaded_by(f"import etl.lambdas.{function}") & unwanted


def test_the_whole_way_from_a_log_to_an_audit_needs_neither_pandas_nor_aws(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"not a log line\n")
    code = f"""
from etl.audit import audit
from etl.compact import compact
from etl.ingest import ingest
lake = {str(tmp_path / "lake")!r}
assert ingest([{str(tmp_path / "a.log")!r}], lake=lake).quarantined == 1
compact(lake)
assert audit(lake).ok
"""
    assert not loaded_by(code, installed_pandas=False) & {"pandas", "boto3", "botocore", "polars", "awswrangler"}


# --- Dependencies point inwards ---------------------------------------------------------------------------------------


def part_of(module: str) -> str:
    """`parse` of `etl.parse._exact`; "" of `etl` itself."""
    return module.split(".")[1] if "." in module else ""


def parts() -> set[str]:
    return {part_of(module) for module in MODULES} - {""}


def dependencies() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {part: set() for part in parts()}
    for module in MODULES:
        if part_of(module):
            for source, name in imports_of(module, runtime=False):
                if source.split(".")[0] == "etl":
                    found[part_of(module)].add(part_of(defining_module(source, name)))
    return {part: imported - {part} for part, imported in found.items()}


def test_every_part_has_its_layer() -> None:
    assert parts() == set().union(*LAYERS)
    assert sum(map(len, LAYERS)) == len(parts())


@pytest.mark.parametrize("part", sorted(parts()))
def test_a_part_imports_only_from_the_layers_below(part: str) -> None:
    number = next(number for number, layer in enumerate(LAYERS) if part in layer)
    below: set[str] = set().union(*LAYERS[:number]) if number else set()
    assert dependencies()[part] <= below


def test_no_module_imports_one_that_imports_it() -> None:
    graph = {module: {each for each in imported_modules(module) if each in MODULES} for module in MODULES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for imported in sorted(graph[module]):
                visit(imported, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_private_modules_of_a_part_stay_private_to_it() -> None:
    """But for the lake's names of things and its picture of a moment, which every verb shares."""
    shared = {"etl.lake._layout", "etl.lake._snapshot"}
    for module in MODULES:
        for source, _ in imports_of(module, runtime=False):
            if source.startswith("etl.") and "._" in source and source not in shared:
                assert part_of(source) == part_of(module), f"{module} imports {source}"


# --- Files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_is_one_documented_concept(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module says what it is"
    assert len(text.splitlines()) <= 400
    assert not re.search(r"utils?\b|helpers?\b|managers?\b", path.stem)
    names = [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
    assert not [name for name in names if re.search(r"Util|Helper|Manager", name)]


def test_modules_are_private_and_packages_public() -> None:
    for module in MODULES:
        folder = MODULES[module].parent
        if folder not in (PACKAGE, PACKAGE / "lambdas") and MODULES[module].name != "__init__.py":
            assert module.rsplit(".", 1)[-1].startswith("_"), module
