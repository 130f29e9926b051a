"""What a report says about the machine it was made on: sizes and versions, no names."""

from __future__ import annotations

import importlib.metadata
import os
import platform

_PACKAGES = ("pyarrow", "numpy", "duckdb", "polars")


def describe_machine() -> str:
    """One sentence: processor kind, cores, memory, versions, and how busy the machine is."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()},"
        f" {platform.python_implementation()} {platform.python_version()}, {versions};"
        f" load average {os.getloadavg()[0]:.1f}."
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
