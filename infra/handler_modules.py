"""Which files of `etl` a handler or a job can reach, found in their imports, so that nothing else is deployed with it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

PROVIDED: Final = frozenset({"boto3", "botocore", "numpy", "pyarrow"})
"""What the runtime and the layer of every function hold beside the standard library."""


def handler_modules(
    root: Path, handlers: Collection[str], *, provided: Collection[str] = PROVIDED, without: Collection[str] = ()
) -> list[Path]:
    """Files of these modules of `root`/etl/lambdas and of all they import, at their top or in a function, in order.

    `without` are modules that what they import names and no handler comes to: they stay out, with all that only they import.
    Raises `ValueError` if one of them imports a package that is not there when it runs on Lambda, or is not there itself.
    """
    return reachable_modules(
        root, [f"etl.lambdas.{handler}" for handler in handlers], provided=provided, without=without
    )


def reachable_modules(
    root: Path, modules: Collection[str], *, provided: Collection[str], without: Collection[str] = ()
) -> list[Path]:
    """The same for any modules."""
    found: dict[str, Path] = {}
    waiting = list(modules)
    if missing := [module for module in waiting if _file(root, module) is None]:
        raise ValueError(f"there is no {', '.join(missing)}")
    while waiting:
        module = waiting.pop()
        path = _file(root, module)
        if module in found or path is None:
            continue
        found[module] = path
        waiting.append(module.rpartition(".")[0])
        for imported in _imports(ast.parse(path.read_text(encoding="utf-8"))):
            package = imported.partition(".")[0]
            if any(f"{imported}.".startswith(f"{each}.") for each in without):
                continue
            if package == "etl":
                waiting.append(imported)
            elif package not in provided and package not in sys.stdlib_module_names:
                raise ValueError(f"{module} imports {package}, which is not there when it runs")
    return sorted(found.values())


def _imports(node: ast.AST) -> Iterator[str]:
    """Every module that may be meant: `from etl.lake import Plan` gives `etl.lake` and `etl.lake.Plan`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module is not None:
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        yield from _imports(child)


def _file(root: Path, module: str) -> Path | None:
    if not module:
        return None
    path = root.joinpath(*module.split("."))
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)
