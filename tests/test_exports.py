"""Every package says what is public, and shows nothing else."""

from __future__ import annotations

import importlib
import pkgutil
import types

import pytest

import etl

PACKAGES = ["etl", *(module.name for module in pkgutil.iter_modules(etl.__path__, "etl.") if module.ispkg)]


def public_names(package: types.ModuleType) -> list[str]:
    """Names without an underscore, but for modules (private ones below it, and public ones) and `annotations`."""
    return [
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and name != "annotations" and not isinstance(value, types.ModuleType)
    ]


@pytest.mark.parametrize("name", PACKAGES)
def test_all_lists_the_public_names_in_order(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__all__ == sorted(package.__all__, key=_as_ruff_sorts)
    if package is not etl:  # which also has what it needs to import its verbs late
        assert sorted(package.__all__) == sorted(public_names(package))
    for each in package.__all__:
        assert not isinstance(getattr(package, each), types.ModuleType)


def _as_ruff_sorts(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions: the order that the linter keeps."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2), name


@pytest.mark.parametrize("name", PACKAGES[1:])
def test_a_function_or_class_that_a_package_shows_is_documented(name: str) -> None:
    package = importlib.import_module(name)
    for each in package.__all__:
        value = getattr(package, each)
        if isinstance(value, type | types.FunctionType):
            assert value.__doc__, f"{name}.{each}"
            assert value.__module__.startswith(("etl.", "etl")), f"{name}.{each}"
