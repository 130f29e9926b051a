"""Build what the template deploys: layers for each processor, the functions' code, the script of the Spark job, and a template
that points at them.

Wheels are taken as they are published, for the function's Python and processor and not for the machine that packages, in the
versions and with the hashes of `requirements.lock`. The same input gives the same bytes, so that a deployment without a change
changes nothing. Run by `make package`.
"""

from __future__ import annotations

import argparse
import base64
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from infra.handler_modules import PROVIDED, handler_modules, reachable_modules

ROOT: Final = Path(__file__).parents[1]
ARCHITECTURES: Final = {"arm64": "aarch64", "x86_64": "x86_64"}
"""Lambda's name of each processor, and everyone else's."""
PYTHON_VERSION: Final = "3.13"
PACKAGES: Final = ("numpy", "pyarrow")
"""In the layer of every function."""
DUCKDB_PACKAGES: Final = ("duckdb",)
"""In a second layer, of the compactor alone: it is a third of the size, which the others would load for nothing."""
PARSER_HANDLERS: Final = ("create_catalog", "detect", "parse_logs")
COMPACTOR_HANDLERS: Final = ("compact",)
SPARK_MODULES: Final = ("etl.jobs",)
SPARK_PROVIDED: Final = PROVIDED.union(DUCKDB_PACKAGES, ("py4j", "pyspark"))
MAX_BYTES: Final = 250 << 20
"""A function and its layers, unzipped (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""

# Amazon Linux 2023, which Python 3.13 runs on there, has glibc 2.34.
_PLATFORM: Final = "{}-manylinux_2_28"
_TRIMMED: Final = (
    "_duckdb-stubs",
    "adbc_driver_duckdb",
    "bin",
    "duckdb/experimental",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/f2py",
    "numpy/random/_examples",
    "pyarrow/_flight.*",
    "pyarrow/_pyarrow_cpp_tests.*",
    "pyarrow/include",
    "pyarrow/includes",
    "pyarrow/libarrow_flight.*",
    "pyarrow/libarrow_python_flight.*",
    "pyarrow/src",
    "**/__pycache__",
    "**/tests",
    *("**/*.pxd", "**/*.pxi", "**/*.pyi", "**/*.pyx"),
)
"""What is for compilers, tests, Arrow Flight and other interfaces. Substrait stays: `pyarrow.lib` is linked with it."""

_NO_ARCHIVE: Final = '\nARCHIVE = ""\n'

# Arrow's own buffers, not Python files: a thread that still holds one of those when the interpreter ends aborts it
# (https://github.com/apache/arrow/issues/34314), which says nothing of the layer.
_CHECK: Final = """
import sys
sys.path[:0] = sys.argv[1:]
import numpy, pyarrow as pa, pyarrow.parquet as pq
for codec in "zstd", "snappy":
    file = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": numpy.arange(3)}), file, compression=codec)
    table = pq.read_table(pa.BufferReader(file.getvalue()), use_threads=False)
    assert table.column("n").to_pylist() == [0, 1, 2], codec
"""
_DUCKDB_CHECK: Final = (
    _CHECK
    + """
import duckdb
assert duckdb.from_arrow(table).aggregate("sum(n)::INT AS n").to_arrow_table().to_pylist() == [{"n": 3}]
"""
)


def pinned_requirements(lock: str, names: Sequence[str]) -> str:
    """The entries of a lock file for these packages, markers and hashes included; raises `ValueError` if one has none."""
    entries = re.findall(r"^(?:[A-Za-z0-9._-]+)==.*(?:\n[ ]+.*)*", lock, re.MULTILINE)
    chosen = [entry for entry in entries if entry.partition("==")[0] in names]
    missing = set(names) - {entry.partition("==")[0] for entry in chosen}
    if missing:
        raise ValueError(f"not in the lock: {', '.join(sorted(missing))}")
    return "\n".join(chosen) + "\n"


def build_layer(
    folder: Path, *, architecture: str, python_version: str, uv: str, packages: Sequence[str] = PACKAGES
) -> None:
    """Install the packages into `folder/python`, where Lambda looks for them, and trim them."""
    _renew(folder)
    requirements = folder.with_name(f"{folder.name}.txt")
    requirements.write_text(pinned_requirements((ROOT / "requirements.lock").read_text(encoding="utf-8"), packages))
    target = ["--target", str(folder / "python"), "--python", sys.executable]
    wheels = ["--python-platform", _PLATFORM.format(ARCHITECTURES[architecture]), "--python-version", python_version]
    pins = ["--only-binary", ":all:", "--no-deps", "--require-hashes", "--requirements", str(requirements)]
    subprocess.run([uv, "pip", "install", "--quiet", "--link-mode", "copy", *target, *wheels, *pins], check=True)
    trim_layer(folder / "python")


def trim_layer(folder: Path) -> None:
    """Remove what no function uses, and a library's other names, each of which is a copy of it in a wheel."""
    for pattern in _TRIMMED:
        for path in list(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    for library in folder.glob("pyarrow/lib*.so"):
        names = [path for path in library.parent.glob(f"{library.name}*") if path != library]
        loaded = [path for path in names if re.fullmatch(r"\.[0-9]+", path.name.removeprefix(library.name))]
        if loaded:
            for path in {library, *names} - set(loaded):
                path.unlink()


def build_parser(folder: Path) -> None:
    """Copy the handlers that need no engine, and the modules that they can reach.

    `etl.detect` names `etl.query` for detections over a whole lake, which no function runs.
    """
    _copy(handler_modules(ROOT, PARSER_HANDLERS, without={"etl.query"}), folder)


def build_compactor(folder: Path) -> None:
    """Copy the handler that compacts, and the modules that it can reach."""
    _copy(handler_modules(ROOT, COMPACTOR_HANDLERS, provided=PROVIDED.union(DUCKDB_PACKAGES)), folder)


def build_spark_job(folder: Path, script: Path) -> None:
    """Copy the modules that the job can reach, and write its script with them in it.

    SAM uploads the script of a job, and no file that its arguments name.
    """
    _copy(reachable_modules(ROOT, SPARK_MODULES, provided=SPARK_PROVIDED), folder)
    archive = folder.with_suffix(".zip")
    write_zip(folder, archive)
    text = (ROOT / "infra" / "spark_job.py").read_text(encoding="utf-8")
    encoded = base64.encodebytes(archive.read_bytes()).decode()
    if text.count(_NO_ARCHIVE) != 1:
        raise ValueError("the script has no place for the code")
    script.write_text(text.replace(_NO_ARCHIVE, f'\nARCHIVE = """\n{encoded}"""\n'), encoding="utf-8")
    archive.unlink()


def _copy(files: Sequence[Path], folder: Path) -> None:
    _renew(folder)
    for file in files:
        copy = folder / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def write_zip(folder: Path, file: Path) -> None:
    """Write the folder's files, the same bytes for the same content whenever and wherever it is built."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, whose permissions the attributes are
            entry.external_attr = (0o755 if ".so" in path.suffixes else 0o644) << 16
            archive.writestr(entry, path.read_bytes())


def packaged_template(text: str, architecture: str) -> str:
    """The template with the packages beside it, and no other processor to choose than the layer's."""
    replacements = (
        ("CodeUri: ../build/parser.zip", "CodeUri: parser.zip"),
        ("CodeUri: ../build/compactor.zip", "CodeUri: compactor.zip"),
        ("ScriptLocation: ../build/spark_job.py", "ScriptLocation: spark_job.py"),
        ("ContentUri: ../build/layer-arm64.zip", f"ContentUri: layer-{architecture}.zip"),
        ("ContentUri: ../build/duckdb-arm64.zip", f"ContentUri: duckdb-{architecture}.zip"),
        (
            "AllowedValues: [arm64, x86_64]\n    Default: arm64",
            f"AllowedValues: [{architecture}]\n    Default: {architecture}",
        ),
    )
    for old, new in replacements:
        if text.count(old) != 1:
            raise ValueError(f"the template holds {old!r} {text.count(old)} times, not once")
        text = text.replace(old, new)
    return text


def unzipped_bytes(*folders: Path) -> int:
    """Size of the folders' files together."""
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def find_interpreter(architecture: str, python_version: str) -> str | None:
    """A Python of this machine that can load what is built for the processor and version, if there is one."""
    if platform.machine() != ARCHITECTURES[architecture] or sys.platform != "linux":
        return None
    if sys.version_info[:2] == tuple(map(int, python_version.split("."))):
        return sys.executable
    found = shutil.which(f"python{python_version}")
    # A version manager has names on the path for what is not installed.
    return found if found and subprocess.run([found, "-V"], capture_output=True, check=False).returncode == 0 else None


def check_layer(layer: Path, *, interpreter: str, duckdb: Path | None = None) -> None:
    """Write and read Parquet with the layer alone, and query it with that of DuckDB beside it.

    Raises `subprocess.CalledProcessError` if that cannot be done.
    """
    layers = [str(each / "python") for each in (layer, duckdb) if each is not None]
    check = _CHECK if duckdb is None else _DUCKDB_CHECK
    subprocess.run([interpreter, "-I", "-S", "-B", "-c", check, *layers], check=True)


def package(output: Path, *, architectures: Sequence[str], python_version: str, uv: str) -> None:
    """Build everything below `output`; raises `ValueError` if it is more than Lambda takes."""
    output.mkdir(parents=True, exist_ok=True)
    for name, build in ("parser", build_parser), ("compactor", build_compactor):
        build(output / name)
        write_zip(output / name, output / f"{name}.zip")
    build_spark_job(output / "spark_job", output / "spark_job.py")
    template = (ROOT / "infra" / "template.yaml").read_text(encoding="utf-8")
    for architecture in architectures:
        layers = []
        for name, packages in ("layer", PACKAGES), ("duckdb", DUCKDB_PACKAGES):
            layers.append(output / f"{name}-{architecture}")
            build_layer(layers[-1], architecture=architecture, python_version=python_version, uv=uv, packages=packages)
            write_zip(layers[-1], output / f"{name}-{architecture}.zip")
        sizes = _check_sizes(output, *layers)
        layer, duckdb = layers
        interpreter = find_interpreter(architecture, python_version)
        if interpreter is not None:
            check_layer(layer, interpreter=interpreter)
            check_layer(layer, interpreter=interpreter, duckdb=duckdb)
        checked = "both work" if interpreter else f"not tried: no Python {python_version} for them on this machine"
        (output / f"template-{architecture}.yaml").write_text(
            packaged_template(template, architecture), encoding="utf-8"
        )
        print(f"{architecture}: {sizes}; {checked}")


def _check_sizes(output: Path, layer: Path, duckdb: Path) -> str:
    """How large the functions are. Raises `ValueError` if one of them is more than Lambda takes."""
    sizes = {"parser": unzipped_bytes(output / "parser", layer)}
    sizes["compactor"] = unzipped_bytes(output / "compactor", layer, duckdb)
    for name, size in sizes.items():
        if size >= MAX_BYTES:
            raise ValueError(f"the {name} and its layers are {size} bytes, and Lambda takes {MAX_BYTES}")
    return ", ".join(f"{name} {size >> 20} MiB unzipped with its layers" for name, size in sizes.items())


def _renew(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def main(arguments: list[str] | None = None) -> int:
    """Package for the processors named, or for all."""
    parser = argparse.ArgumentParser(prog="python -m infra.package", description=__doc__.splitlines()[0])
    parser.add_argument("--architecture", action="append", choices=sorted(ARCHITECTURES), help="again for another")
    parser.add_argument("--python-version", default=PYTHON_VERSION, help="of the function's runtime")
    parser.add_argument("--output", type=Path, default=ROOT / "build")
    parser.add_argument("--uv", default=str(ROOT / ".uv" / "bin" / "uv"))
    chosen = parser.parse_args(arguments)
    package(
        chosen.output.resolve(),
        architectures=chosen.architecture or sorted(ARCHITECTURES),
        python_version=chosen.python_version,
        uv=chosen.uv,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
