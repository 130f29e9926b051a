"""The template of `infra/`, deployed on MiniStack: what it cannot know is taken out, everything else must exist."""

from __future__ import annotations

import io
import json
import re
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from ministack import MiniStack, wait_for

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "infra/template.yaml"
STACK = "accesslake"
ARTIFACTS, LOGS, LAKE, LAKE_PREFIX, DATABASE = "artifacts", "access-log-target", "access-log-lake", "lake/", "logs_db"
PARAMETERS = {
    "LogBucketName": LOGS,
    "LakeBucketName": LAKE,
    "LakePrefix": LAKE_PREFIX,
    "DatabaseName": DATABASE,
    "AlarmEmail": "alarms@example.com",
    "Architecture": "x86_64",
    # Compaction is called by its test, and by nothing else.
    "CompactionSchedule": "cron(0 0 1 1 ? 2199)",
}
UNKNOWN_TYPES = frozenset(
    ("AWS::Athena::NamedQuery", "AWS::Logs::QueryDefinition", "AWS::LakeFormation::PrincipalPermissions")
)
"""What MiniStack 1.5.33 does not make; the last are conditional, and off."""
OFF = frozenset(("HasSparkJob",))
"""Conditions that do not hold by default, of resources that other suites look at."""
STACK_SECONDS = 300


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's short forms, read as the long ones."""


def _intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)


def read_template() -> dict[str, Any]:
    template: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader=_Loader)
    return template


def deployable_template() -> dict[str, Any]:
    """The template with its archives where `package` would have put them, without what the emulator cannot know."""
    text = json.dumps(read_template())
    text = re.sub(r'"\.\./build/(parser|compactor)[^"/]*\.zip"', f'"s3://{ARTIFACTS}/code.zip"', text)
    text = re.sub(r'"\.\./build/(layer|duckdb)[^"/]*\.zip"', f'"s3://{ARTIFACTS}/layer.zip"', text)
    text = text.replace("../build/spark_job.py", f"s3://{ARTIFACTS}/spark_job.py")
    assert "../build" not in text
    template: dict[str, Any] = json.loads(text)
    # On Lambda nobody else has this folder; here it would be the machine's.
    del template["Resources"]["Compactor"]["Properties"]["Environment"]["Variables"]["ACCESSLAKE_SCRATCH"]
    numbers = {name: each["Default"] for name, each in template["Parameters"].items() if each["Type"] == "Number"}
    template["Resources"] = {
        name: _with_numbers(each, numbers) for name, each in template["Resources"].items() if _is_known(each)
    }
    return template


def _is_known(resource: Mapping[str, Any]) -> bool:
    """Whether the emulator makes it: what Glue would run on Spark is off by default; of alarms not those of several metrics."""
    if resource.get("Condition") in OFF:
        return False
    if resource["Type"] == "AWS::CloudWatch::Alarm":
        return "Metrics" not in resource["Properties"]
    return resource["Type"] not in UNKNOWN_TYPES


def _with_numbers(value: Any, numbers: Mapping[str, int]) -> Any:
    """With parameters of type Number in place, which the emulator hands on as text; where text is asked for, it may."""
    if isinstance(value, list):
        return [_with_numbers(each, numbers) for each in value]
    if isinstance(value, dict):
        if set(value) == {"Ref"}:
            return numbers.get(value["Ref"], value)
        return {key: each if key == "Environment" else _with_numbers(each, numbers) for key, each in value.items()}
    return value


def code_archive() -> bytes:
    """The package, as it is uploaded."""
    return _archive({path.relative_to(ROOT).as_posix(): path.read_bytes() for path in sorted(ROOT.glob("etl/**/*.py"))})


def layer_archive() -> bytes:
    """A layer that leads to the libraries of this environment: the emulator runs functions beside it, not in it."""
    libraries = sysconfig.get_paths()["platlib"]
    return _archive({"python/lib/python3.13/site-packages/libraries.pth": f"{libraries}\n".encode()})


def _archive(files: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


@dataclass(frozen=True)
class Stack:
    """The deployed stack: its resources, and what a user of the lake sees through the catalog."""

    server: MiniStack

    def client(self, service: str) -> Any:
        return self.server.client(service)

    @cached_property
    def resources(self) -> dict[str, tuple[str, str]]:
        """Logical name to type and physical id."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
        return {
            each["LogicalResourceId"]: (each["ResourceType"], each["PhysicalResourceId"])
            for page in pages
            for each in page["StackResourceSummaries"]
        }

    @cached_property
    def outputs(self) -> dict[str, str]:
        (stack,) = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}

    def read_table(self, name: str) -> pa.Table:
        """The rows of a table: found and typed by what the catalog says of it, and by nothing else."""
        table = self.client("glue").get_table(DatabaseName=DATABASE, Name=name)["Table"]
        columns = {each["Name"]: _ARROW[each["Type"]] for each in table["StorageDescriptor"]["Columns"]}
        schema = pa.schema(list(columns.items()))
        parts = [schema.empty_table()]
        for data in self._files(table["StorageDescriptor"]["Location"]):
            part = pq.read_table(io.BytesIO(data), coerce_int96_timestamp_unit="ms")
            # A column that a file lacks is null, as Athena reads it.
            arrays = [
                part[name].cast(kind) if name in part.column_names else pa.nulls(len(part), kind)
                for name, kind in columns.items()
            ]
            parts.append(pa.table(arrays, schema))
        return pa.concat_tables(parts)

    def _files(self, location: str) -> Iterator[bytes]:
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        s3 = self.client("s3")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for each in page.get("Contents", ()):
                yield s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()


_ARROW: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "timestamp": pa.timestamp("ms"),
    "binary": pa.binary(),
}


def deploy(server: MiniStack) -> Stack:
    """The stack, complete; fails with the emulator's reasons if it is not."""
    s3, formation = server.client("s3"), server.client("cloudformation")
    s3.create_bucket(Bucket=ARTIFACTS)
    s3.put_object(Bucket=ARTIFACTS, Key="code.zip", Body=code_archive())
    s3.put_object(Bucket=ARTIFACTS, Key="layer.zip", Body=layer_archive())
    s3.put_object(Bucket=ARTIFACTS, Key="template.json", Body=json.dumps(deployable_template()))
    formation.create_stack(
        StackName=STACK,
        TemplateURL=f"{server.endpoint}/{ARTIFACTS}/template.json",
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in PARAMETERS.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )

    def ended() -> str | None:
        status: str = formation.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
        return None if status.endswith("_IN_PROGRESS") else status

    def events() -> str:
        told = formation.describe_stack_events(StackName=STACK)["StackEvents"]
        failed = [each for each in told if "FAILED" in each["ResourceStatus"] or each.get("ResourceStatusReason")]
        return "\n".join(
            str((e["LogicalResourceId"], e["ResourceStatus"], e.get("ResourceStatusReason"))) for e in failed
        )

    status = wait_for(ended, seconds=STACK_SECONDS, what=events)
    assert status == "CREATE_COMPLETE", f"{status}\n{events()}\n{server.output()}"
    return Stack(server)
