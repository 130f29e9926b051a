"""What is deployed: the layers that are built from published wheels work with the functions and nothing else beside them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import boto3
import pytest
import yaml
from template_values import ROOT, TEMPLATE, Deployment, read_template

from infra.handler_modules import PROVIDED, handler_modules
from infra.package import (
    COMPACTOR_HANDLERS,
    DUCKDB_PACKAGES,
    MAX_BYTES,
    PACKAGES,
    PARSER_HANDLERS,
    PYTHON_VERSION,
    build_compactor,
    build_parser,
    check_layer,
    find_interpreter,
    package,
    packaged_template,
    pinned_requirements,
    trim_layer,
    unzipped_bytes,
    write_zip,
)

THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
RUNTIME = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")
ISOLATED = """
import sys
sys.path[:0] = sys.argv[1:]
import numpy, pyarrow, pyarrow.parquet
{}
places = {{each.__file__ for each in sys.modules.values() if getattr(each, "__file__", None)}}
print(*sorted(places), sep="\\n")
"""
DETECT = """
import io
import pyarrow as pa, pyarrow.parquet as pq
import etl.lambdas.detect as function
from etl.schema import SCHEMA
row = dict.fromkeys(SCHEMA.names)
row |= {"source_key": "s3://logs/a", "line_no": 1, "parse_status": "clean", "signature_version": "SigV2"}
file = io.BytesIO()
pq.write_table(pa.Table.from_pylist([row], SCHEMA), file)
file.seek(0)
findings = function._build_findings(function.detect_file(file))
assert [line["SignatureVersion"] for line in function.write_lines(findings)] == ["SigV2"]
"""
PARSE = """
import etl, etl.parse, etl.sinks, etl.lambdas.create_catalog, etl.lambdas.parse_logs
line = b'o b [06/Feb/2019:00:00:38 +0000] - - R REST.GET.OBJECT k "GET /k HTTP/1.1" 200 - - - - - "-" "-" -'
parsed = etl.parse(line + b"\\nbad\\n", source_key="-")
assert (parsed.table.num_rows, parsed.quarantine.num_rows) == (1, 1)
"""
COMPACT = """
import os, types
from etl.lake import create_lake
from etl.lambdas.compact import handler
from etl.parse import parse
from etl.sinks import ParquetSink
line = b'o b [06/Feb/2019:00:00:38 +0000] - - R REST.GET.OBJECT k "GET /k HTTP/1.1" 200 - - - - - "-" "-" -'
sink = ParquetSink(create_lake("lake").store, ingest_date="2024-05-02")
sink.write([parse(line + b"\\n", source_key="s3://logs/a")], name="a", owner="a")
assert not sink.finish()
os.environ["ACCESSLAKE_LAKE"] = "lake"
assert handler({}, types.SimpleNamespace(function_name="f"))["rows_out"] == 1
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both packages for x86_64 and this interpreter, so that they can be loaded here."""
    output = tmp_path_factory.mktemp("build")
    package(output, architectures=["x86_64"], python_version=THIS, uv=str(ROOT / ".uv" / "bin" / "uv"))
    return output


@pytest.mark.xdist_group("packages")
@pytest.mark.parametrize(
    ("function", "layers", "code"),
    [("parser", ["layer"], PARSE), ("parser", ["layer"], DETECT), ("compactor", ["layer", "duckdb"], COMPACT)],
    ids=["parser", "detector", "compactor"],
)
def test_the_handlers_run_with_the_packages_alone(
    built: Path, tmp_path: Path, function: str, layers: list[str], code: str
) -> None:
    """boto3 is the runtime's; everything else comes from the packages, whatever is installed here. There is no home folder."""
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    packages = Path(boto3.__file__).parents[1]
    for name in RUNTIME:
        place = packages / name
        (runtime / (name if place.is_dir() else f"{name}.py")).symlink_to(place if place.is_dir() else f"{place}.py")
    folders = [built / function, *(built / f"{layer}-x86_64" / "python" for layer in layers), runtime]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-W", "error", "-c", ISOLATED.format(code), *map(str, folders)],
        env={"PATH": os.environ["PATH"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    loaded = [line for line in done.stdout.splitlines() if re.search(r"/(etl|numpy|pyarrow|_?duckdb)[/.]", line)]
    assert len(loaded) > 100
    assert all(line.startswith(str(built)) for line in loaded)
    assert any("duckdb" in line for line in loaded) is (function == "compactor")


@pytest.mark.xdist_group("packages")
def test_the_packages_fit_and_are_trimmed(built: Path) -> None:
    layer, duckdb = built / "layer-x86_64", built / "duckdb-x86_64"
    assert 0 < unzipped_bytes(built / "parser", layer) < 180 << 20 < MAX_BYTES
    assert 0 < unzipped_bytes(built / "compactor", layer, duckdb) < 240 << 20 < MAX_BYTES
    names = [path.relative_to(built).as_posix() for each in (layer, duckdb) for path in each.rglob("*")]
    trimmed = re.compile(r"/(tests|include|src)/|libarrow_(python_)?flight|/_flight\.|\.(pxd|pxi|pyi|pyx)$")
    assert not [name for name in names if trimmed.search(name) and "/licenses/" not in name]
    assert len([name for name in names if "libarrow_python.so" in name]) == 1
    for each, packages in (layer, PACKAGES), (duckdb, DUCKDB_PACKAGES):
        assert {path.name for path in (each / "python").iterdir() if path.is_dir() and "." not in path.name} == set(
            packages
        )


@pytest.mark.xdist_group("packages")
def test_a_zip_holds_what_was_built_where_lambda_looks_for_it(built: Path) -> None:
    names = ("layer-x86_64.zip", "duckdb-x86_64.zip", "parser.zip", "compactor.zip")
    layer, duckdb, parser, compactor = (set(zipfile.ZipFile(built / name).namelist()) for name in names)
    assert {"python/pyarrow/__init__.py", "python/numpy/__init__.py"} <= layer
    assert "python/duckdb/__init__.py" in duckdb
    assert all(name.startswith("python/") for name in layer | duckdb)
    assert {"etl/lambdas/parse_logs.py", "etl/lambdas/create_catalog.py", "etl/parse/__init__.py"} <= parser
    assert {"etl/lambdas/compact.py", "etl/compact/_rewrite.py", "etl/catalog/_keeper.py"} <= compactor
    assert all(name.startswith("etl/") for name in parser | compactor)


@pytest.mark.xdist_group("packages")
def test_the_packaged_template_points_at_the_packages(built: Path) -> None:
    template = read_template(built / "template-x86_64.yaml")
    made = {name: each["Properties"] for name, each in template["Resources"].items()}
    uris = [template["Globals"]["Function"]["CodeUri"], made["Compactor"]["CodeUri"]]
    uris += [made[name]["ContentUri"] for name in ("Layer", "DuckDBLayer")]
    assert len(set(uris)) == 4
    assert all((built / uri).is_file() for uri in uris)
    assert Deployment(template, {"LogBucketName": "a", "LakeBucketName": "b"})["Architecture"] == "x86_64"
    assert template["Parameters"]["Architecture"]["AllowedValues"] == ["x86_64"]


@pytest.mark.xdist_group("packages")
def test_a_layer_that_lacks_something_is_refused(built: Path, tmp_path: Path) -> None:
    layer = tmp_path / "python"
    layer.mkdir()
    for path in (built / "layer-x86_64" / "python").iterdir():
        (layer / path.name).symlink_to(path)
    check_layer(tmp_path, interpreter=sys.executable)
    check_layer(tmp_path, interpreter=sys.executable, duckdb=built / "duckdb-x86_64")
    with pytest.raises(subprocess.CalledProcessError):
        check_layer(tmp_path, interpreter=sys.executable, duckdb=tmp_path)
    (layer / "numpy").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        check_layer(tmp_path, interpreter=sys.executable)


# --- Without a network ------------------------------------------------------------------------------------------------


def test_the_parser_holds_no_more_than_its_handlers_reach(tmp_path: Path) -> None:
    build_parser(tmp_path / "parser")
    parts = {path.relative_to(tmp_path / "parser" / "etl").parts[0] for path in (tmp_path / "parser").rglob("*.py")}
    assert {"arrivals", "lambdas", "parse", "schema.py", "sinks"} <= parts
    assert not parts & {"cli", "compact", "generate", "query", "audit", "ingest"}


def test_the_detector_never_comes_to_what_is_left_out(tmp_path: Path) -> None:
    build_parser(tmp_path / "parser")
    assert (tmp_path / "parser" / "etl" / "lambdas" / "detect.py").is_file()
    code = f"{DETECT}\nimport sys; print(function.__file__, 'duckdb' in sys.modules, 'sqlglot' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "parser")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == [str(tmp_path / "parser/etl/lambdas/detect.py"), "False", "False"], done.stderr


def test_the_compactor_holds_no_more_than_its_handler_reaches(tmp_path: Path) -> None:
    build_compactor(tmp_path / "compactor")
    files = {path.relative_to(tmp_path / "compactor" / "etl").as_posix() for path in tmp_path.rglob("*.py")}
    assert {"lambdas/compact.py", "lambdas/_log.py", "compact/_compact.py", "catalog/_glue.py"} <= files
    assert not {file.partition("/")[0] for file in files} & {"cli", "generate", "query", "audit", "ingest", "doctor"}
    assert not files & {"lambdas/parse_logs.py", "lambdas/create_catalog.py"}


def test_every_handler_is_in_a_package() -> None:
    handlers = {path.stem for path in (ROOT / "etl" / "lambdas").glob("*.py") if not path.name.startswith("_")}
    assert handlers == {*PARSER_HANDLERS, *COMPACTOR_HANDLERS}


@pytest.mark.parametrize("line", ["import duckdb", "def read() -> None:\n    from pandas import DataFrame"])
def test_a_handler_that_needs_what_is_not_deployed_is_refused(tmp_path: Path, line: str) -> None:
    lambdas = tmp_path / "etl" / "lambdas"
    lambdas.mkdir(parents=True)
    (tmp_path / "etl" / "__init__.py").touch()
    (lambdas / "__init__.py").touch()
    (tmp_path / "etl" / "read.py").write_text(line)
    (lambdas / "parse.py").write_text("import json\nfrom etl.read import read\n")
    with pytest.raises(ValueError, match=r"etl\.read imports (duckdb|pandas)"):
        handler_modules(tmp_path, ["parse"])


def test_what_no_handler_comes_to_stays_out(tmp_path: Path) -> None:
    lambdas, query = tmp_path / "etl" / "lambdas", tmp_path / "etl" / "query"
    lambdas.mkdir(parents=True)
    query.mkdir()
    (query / "__init__.py").write_text("from etl.query._run import run\n")
    (query / "_run.py").write_text("import duckdb\nimport etl.queue\n")
    (tmp_path / "etl" / "queries.py").touch()
    (tmp_path / "etl" / "queue.py").touch()
    (lambdas / "detect.py").write_text("import etl.queries\ndef later() -> None:\n    from etl.query import run\n")
    found = handler_modules(tmp_path, ["detect"], without={"etl.query"})
    assert [path.name for path in found] == ["detect.py", "queries.py"]
    with pytest.raises(ValueError, match=r"imports duckdb"):
        handler_modules(tmp_path, ["detect"])


def test_what_a_second_layer_holds_may_be_imported(tmp_path: Path) -> None:
    lambdas = tmp_path / "etl" / "lambdas"
    lambdas.mkdir(parents=True)
    (lambdas / "compact.py").write_text("import duckdb\n")
    assert [path.name for path in handler_modules(tmp_path, ["compact"], provided={*PROVIDED, "duckdb"})] == [
        "compact.py"
    ]
    with pytest.raises(ValueError, match=r"there is no etl\.lambdas\.gone"):
        handler_modules(tmp_path, ["gone"])


def test_only_imports_of_running_code_count(tmp_path: Path) -> None:
    lambdas = tmp_path / "etl" / "lambdas"
    lambdas.mkdir(parents=True)
    (lambdas / "__init__.py").touch()
    (tmp_path / "etl" / "kinds.py").touch()
    (lambdas / "parse.py").write_text("if TYPE_CHECKING:\n    import duckdb\n    from etl.kinds import Kind\n")
    assert [path.name for path in handler_modules(tmp_path, ["parse"])] == ["__init__.py", "parse.py"]


def test_a_zip_depends_on_the_content_alone(tmp_path: Path) -> None:
    for name, order, time in ("one", "ab", 0), ("two", "ba", 10**9):
        folder = tmp_path / name
        for each in order:
            (folder / each).mkdir(parents=True)
            (folder / each / "x.so").write_bytes(each.encode() * 1000)
            os.utime(folder / each / "x.so", (time, time))
        (folder / "a" / "x.so").chmod(0o600 if order == "ab" else 0o777)
        write_zip(folder, tmp_path / f"{name}.zip")
    first, second = ((tmp_path / f"{name}.zip").read_bytes() for name in ("one", "two"))
    assert first == second
    assert [oct(each.external_attr >> 16) for each in zipfile.ZipFile(tmp_path / "one.zip").infolist()] == ["0o755"] * 2


def test_trimming_keeps_the_name_that_is_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "pyarrow"
    folder.mkdir()
    kept = {"liba.so.2500", "libb.so", "lib.cpython-313-x86_64-linux-gnu.so", "fs.py"}
    gone = {
        "liba.so",
        "liba.so.2500.1.0",
        "libarrow_flight.so.2500",
        "_flight.cpython-313-x86_64-linux-gnu.so",
        "lib.pyx",
    }
    for name in kept | gone:
        (folder / name).touch()
    trim_layer(tmp_path)
    assert {path.name for path in folder.iterdir()} == kept


def test_pins_come_from_the_lock_with_their_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pins = pinned_requirements(lock, PACKAGES)
    assert {line.partition("==")[0] for line in pins.splitlines() if line[0] not in " #"} == set(PACKAGES)
    assert pins.count("--hash=sha256:") > 20
    with pytest.raises(ValueError, match="no-such-thing"):
        pinned_requirements(lock, ["pyarrow", "no-such-thing"])


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
def test_a_packaged_template_is_for_one_processor(architecture: str) -> None:
    text = packaged_template(TEMPLATE.read_text(), architecture)
    assert "../build" not in text
    assert all(f"ContentUri: {name}-{architecture}.zip" in text for name in ("layer", "duckdb"))
    with pytest.raises(ValueError, match="not once"):
        packaged_template(text, architecture)


def test_the_layer_is_for_the_python_of_the_functions() -> None:
    runtime = read_template()["Globals"]["Function"]["Runtime"]
    assert runtime == f"python{PYTHON_VERSION}"
    assert find_interpreter("arm64" if os.uname().machine == "x86_64" else "x86_64", THIS) is None


def test_the_checked_in_rules_of_checkov_are_yaml() -> None:
    assert yaml.safe_load((ROOT / "infra" / "checkov.yaml").read_text())["skip-download"] is True
