"""Rewrite the parts of `template.yaml` that follow from the code, each between `# begin: NAME` and `# end: NAME`.

The committed template is complete as it stands, so that it can be read and deployed without running anything of ours; a test
holds it against what is generated here. Run by `make template`; with `--check` the exit status says whether it is current.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import sqlglot
from packaging.markers import Marker
from sqlglot import exp

from etl.catalog import table_input
from etl.ddl import DEFAULT_FIRST_DAY, ddl
from etl.errors import QueryError
from etl.query import Parameter, Query, list_queries
from etl.query._syntax import parse_select
from etl.schema import FINDINGS_TABLE, JSON_KEYS, QUARANTINE_TABLE, RAW_TABLE, Table

TEMPLATE: Final = Path(__file__).parent / "template.yaml"
LOCK: Final = Path(__file__).parents[1] / "requirements.lock"
SPARK_PACKAGES: Final = (
    *("boto3", "botocore", "duckdb", "jmespath", "numpy", "pyarrow", "python-dateutil", "s3transfer", "six", "urllib3"),
)
"""What the Spark job imports beside what is Spark's, with all that this needs: pip has nothing left to choose."""
SPARK_PYTHON: Final = "3.11"
INSIGHTS: Final = Path(__file__).parents[1] / "queries" / "logs-insights"
"""Queries over the detector's log, each a file with its question in a comment."""
TABLES: Final[Mapping[str, Table]] = {
    "RawTable": RAW_TABLE,
    "QuarantineTable": QUARANTINE_TABLE,
    "FindingsTable": FINDINGS_TABLE,
}
"""The template's tables. The compacted one and the views hold state, and are made by the catalog function."""

_BLOCK: Final = re.compile(
    r"^(?P<indent> *)# begin: (?P<name>[a-z ]+)\n(?P<body>.*?)^ *# end: (?P=name)\n", re.MULTILINE | re.DOTALL
)
_DAYS_BACK: Final = re.compile(r"-([0-9]+)d")


def generate_template(text: str) -> str:
    """The template with every block anew; raises `ValueError` for a block that is unknown, or that it lacks."""
    found: list[str] = []

    def replace(match: re.Match[str]) -> str:
        name, indent = match["name"], match["indent"]
        if name not in _BLOCKS:
            raise ValueError(f"nothing makes the block {name!r}")
        found.append(name)
        lines = [f"# begin: {name}", *_BLOCKS[name](), f"# end: {name}"]
        return "".join(f"{indent}{line}\n" if line else "\n" for line in lines)

    generated = _BLOCK.sub(replace, text)
    if sorted(found) != sorted(_BLOCKS):
        raise ValueError(f"the template has the blocks {sorted(found)}, not {sorted(_BLOCKS)}")
    return generated


def named_query_sql(query: Query) -> str:
    """The query as Athena keeps it: with its defaults, days counted from the day it runs, and `?` for what has no default.

    Athena's console asks for the values of `?`, and folds the days into constants before it chooses partitions.
    """
    declared = {parameter.name: parameter for parameter in query.parameters}

    def replace(node: exp.Expr) -> exp.Expr:
        return _default(query, declared[str(node.this)]) if isinstance(node, exp.Placeholder) else node

    return parse_select(query.sql).transform(replace).sql(dialect="athena", comments=False, pretty=True)


def _default(query: Query, parameter: Parameter) -> exp.Expr:
    if parameter.default is None:
        return exp.Placeholder()
    if parameter.type == "integer":
        return exp.Literal.number(int(parameter.default))
    if parameter.type == "string":
        return exp.Literal.string(parameter.default)
    back = _DAYS_BACK.fullmatch(parameter.default)
    if back is None and parameter.default != "today":
        raise QueryError(query.name, f"the default of {parameter.name} is no day that moves", hint="today or -30d")
    day = f"current_date - INTERVAL '{int(back[1])}' DAY" if back else "current_date"
    return sqlglot.parse_one(f"date_format({day}, '%Y-%m-%d')", read="athena")


def _first_day() -> Iterator[str]:
    yield f"Default: {_text(DEFAULT_FIRST_DAY)}"


def _keys() -> Iterator[str]:
    yield "ColumnToJsonKeyMappings:"
    yield from (f"  {column}: {_text(key)}" for column, key in JSON_KEYS.items())


def _tables() -> Iterator[str]:
    for number, (logical_id, table) in enumerate(TABLES.items()):
        if number:
            yield ""
        yield from _table(logical_id, table)


def _table(logical_id: str, table: Table) -> Iterator[str]:
    # The prefix ends with a slash or is empty, so none stands between it and the folder.
    made = table_input(table, lake_uri="s3://lake", first_day="${FirstDay}")
    storage, place = made["StorageDescriptor"], "s3://${LakeBucketName}/${LakePrefix}"
    yield f"{logical_id}:"
    yield "  Type: AWS::Glue::Table"
    yield "  Properties:"
    yield "    CatalogId: !Ref AWS::AccountId"
    yield "    DatabaseName: !If [OwnsLake, !Ref Database, !Ref DatabaseName]"
    yield "    TableInput:"
    yield f"      Name: {made['Name']}"
    yield f"      TableType: {made['TableType']}"
    yield "      Parameters:"
    for name, value in made["Parameters"].items():
        yield f"        {name}: {'!Sub ' if '${' in value else ''}{_text(value)}"
    yield "      PartitionKeys:"
    yield from (f"        - {{Name: {key['Name']}, Type: {key['Type']}}}" for key in made["PartitionKeys"])
    yield "      StorageDescriptor:"
    yield f"        Location: !Sub {storage['Location'].replace('s3://lake/', place)}"
    yield f"        InputFormat: {storage['InputFormat']}"
    yield f"        OutputFormat: {storage['OutputFormat']}"
    yield "        SerdeInfo:"
    yield f"          SerializationLibrary: {storage['SerdeInfo']['SerializationLibrary']}"
    yield "        Columns:"
    for column in storage["Columns"]:
        yield f"          - {{Name: {column['Name']}, Type: {column['Type']}, Comment: {_text(column['Comment'])}}}"


def _queries() -> Iterator[str]:
    for number, query in enumerate(list_queries()):
        if number:
            yield ""
        yield f"{query_id(query)}:"
        yield "  Type: AWS::Athena::NamedQuery"
        yield "  Properties:"
        yield f"    Name: {_text(query.name)}"
        yield f"    Description: {_text(query.question)}"
        yield "    Database: !Ref DatabaseName"
        yield "    WorkGroup: !Ref Workgroup"
        yield "    QueryString: |"
        yield from (f"      {line}" for line in named_query_sql(query).splitlines())


def _insights() -> Iterator[str]:
    for number, path in enumerate(sorted(INSIGHTS.glob("*.txt"))):
        if number:
            yield ""
        yield f"Insights{_words(path.stem)}:"
        yield "  Type: AWS::Logs::QueryDefinition"
        yield "  Condition: HasDetector"
        yield "  Properties:"
        yield f"    Name: !Sub ${{AWS::StackName}}/{path.stem}"
        yield "    LogGroupNames: [!Ref DetectorLogs]"
        yield "    QueryString: |"
        yield from (f"      {line}" for line in path.read_text(encoding="utf-8").splitlines())


def spark_modules(lock: str) -> str:
    """The packages of the Spark job as Glue takes them, `name==version,...`, as locked for its Python."""
    pins = []
    for name in SPARK_PACKAGES:
        found = re.findall(rf"^{name}==(\S+)(?: ; (.+?))? \\$", lock, re.MULTILINE)
        versions = [version for version, marker in found if not marker or _is_of_spark(marker)]
        if len(versions) != 1:
            raise ValueError(f"the lock has {name} {len(versions)} times for Python {SPARK_PYTHON}")
        pins.append(f"{name}=={versions[0]}")
    return ",".join(pins)


def _is_of_spark(marker: str) -> bool:
    found = Marker(marker).evaluate({"python_version": SPARK_PYTHON, "python_full_version": f"{SPARK_PYTHON}.0"})
    return bool(found)


def _spark() -> Iterator[str]:
    yield f"--additional-python-modules: {spark_modules(LOCK.read_text(encoding='utf-8'))}"


def _version() -> Iterator[str]:
    made = "\n".join(ddl(location="s3://lake", database="accesslake"))
    yield f"Version: {_text(hashlib.sha256(made.encode()).hexdigest()[:16])}"


def query_id(query: Query) -> str:
    """The query's name in the template: letters and digits only."""
    return f"Query{_words(query.name)}"


def _words(name: str) -> str:
    return "".join(word.capitalize() for word in re.split(r"[^A-Za-z0-9]+", name))


def _text(value: str) -> str:
    return json.dumps(value)


_BLOCKS: Final[Mapping[str, Callable[[], Iterator[str]]]] = {
    "first day": _first_day,
    "insights": _insights,
    "keys": _keys,
    "queries": _queries,
    "spark": _spark,
    "tables": _tables,
    "version": _version,
}


def main(arguments: list[str] | None = None) -> int:
    """Rewrite the template, or with `--check` say whether it is current: 0 if it is, else 1."""
    parser = argparse.ArgumentParser(prog="python -m infra.generate_template", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if something would change")
    parser.add_argument("template", nargs="?", type=Path, default=TEMPLATE)
    chosen = parser.parse_args(arguments)
    committed = chosen.template.read_text(encoding="utf-8")
    generated = generate_template(committed)
    if chosen.check and generated != committed:
        print(f"{chosen.template} is not what the code makes: run make template", file=sys.stderr)
        return 1
    if not chosen.check:
        chosen.template.write_text(generated, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
