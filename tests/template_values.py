"""The template as CloudFormation would see it with some parameters: conditions decided, values in place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "infra" / "template.yaml"
PSEUDO = {
    "AWS::AccountId": "111122223333",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::StackName": "stack",
}
NO_VALUE = object()
BUCKET, QUEUE, ROLE = "AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::IAM::Role"
FUNCTION, STREAM, LOG_GROUP = "AWS::Serverless::Function", "AWS::KinesisFirehose::DeliveryStream", "AWS::Logs::LogGroup"
ALARM, GLUE_TABLE, WORKGROUP = "AWS::CloudWatch::Alarm", "AWS::Glue::Table", "AWS::Athena::WorkGroup"
JOB, EVENT_RULE = "AWS::Glue::Job", "AWS::Events::Rule"
SCHEDULE, INVOKES = "AWS::Scheduler::Schedule", "AWS::Lambda::EventInvokeConfig"

Json = dict[str, Any]


class UnknownReference(Exception):
    """A name that is neither a parameter nor a resource that is made with these parameters."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's short forms, read as the long ones."""


def _long_form(loader: _Loader, suffix: str, node: yaml.Node) -> Json:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _long_form)


def read_template(path: Path = TEMPLATE) -> Json:
    """The template as it is written, with long forms."""
    template: Json = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    return template


@dataclass(frozen=True)
class Deployment:
    """A template with parameters. What only AWS can say stands as `<LogicalId>` or `<LogicalId.Attribute>`."""

    template: Json
    given: dict[str, str]

    def __getitem__(self, parameter: str) -> Any:
        """A parameter's value."""
        declared = self.template["Parameters"][parameter]
        value = self.given.get(parameter, declared.get("Default"))
        if declared["Type"] == "CommaDelimitedList":
            return str(value).split(",")
        return int(value) if declared["Type"] == "Number" else value

    @cached_property
    def resources(self) -> dict[str, Json]:
        """What is made, its values in place; raises `UnknownReference` where one needs what is not made."""
        made = {name: self.value(self.template["Resources"][name]) for name in sorted(self._made)}
        for name, resource in made.items():
            for other in as_list(resource.get("DependsOn", [])):
                if other not in made:
                    raise UnknownReference(f"{name} depends on {other}")
        return made

    def of_type(self, kind: str) -> dict[str, Json]:
        """Properties of the resources of a type, by name."""
        return {name: each.get("Properties", {}) for name, each in self.resources.items() if each["Type"] == kind}

    def with_parameters(self, **given: str) -> Deployment:
        """The same template with other parameters."""
        return Deployment(self.template, {**self.given, **given})

    def failed_assertions(self) -> list[str]:
        """What CloudFormation would say of the parameters before it makes anything."""
        rules = self.template.get("Rules", {}).values()
        assertions = [assertion for rule in rules for assertion in rule["Assertions"]]
        return [each["AssertDescription"] for each in assertions if not self.value(each["Assert"])]

    def value(self, node: Any) -> Any:
        """The node with every function replaced by what it gives."""
        if isinstance(node, list):
            return [value for each in node if (value := self.value(each)) is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (name, argument), *_ = node.items()
            if name == "Ref":
                return self._ref(argument)
            if name == "Condition" and argument in self.template["Conditions"]:
                return self._holds(argument)
            if name.startswith("Fn::"):
                return getattr(self, f"_{name[4:].lower()}")(argument)
        return {key: value for key, each in node.items() if (value := self.value(each)) is not NO_VALUE}

    @cached_property
    def _made(self) -> set[str]:
        resources = self.template["Resources"].items()
        return {name for name, each in resources if "Condition" not in each or self._holds(each["Condition"])}

    def _holds(self, condition: str) -> bool:
        return bool(self.value(self.template["Conditions"][condition]))

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.template["Parameters"]:
            return self[name]
        return self._symbol(name, f"<{name}>")

    def _symbol(self, name: str, symbol: str) -> str:
        if name not in self._made and name not in self._of_functions():
            raise UnknownReference(name)
        return symbol

    def _of_functions(self) -> set[str]:
        """Names that the SAM transform adds."""
        functions = [n for n in self._made if self.template["Resources"][n]["Type"] == "AWS::Serverless::Function"]
        return {f"{name}Role" for name in functions if "Role" not in self.template["Resources"][name]["Properties"]}

    def _getatt(self, argument: list[str]) -> str:
        return self._symbol(argument[0], f"<{'.'.join(argument)}>")

    def _sub(self, argument: Any) -> str:
        text, names = (argument, {}) if isinstance(argument, str) else argument

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name in names:
                return str(self.value(names[name]))
            return str(self._getatt(name.split(".", 1)) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^!}]+)\}", replace, text)

    def _if(self, argument: list[Any]) -> Any:
        condition, yes, no = argument
        return self.value(yes if self._holds(condition) else no)

    def _equals(self, argument: list[Any]) -> bool:
        first, second = map(self.value, argument)
        return bool(first == second)

    def _not(self, argument: list[Any]) -> bool:
        return not self.value(argument[0])

    def _and(self, argument: list[Any]) -> bool:
        return all(map(self.value, argument))

    def _contains(self, argument: list[Any]) -> bool:
        values, value = map(self.value, argument)
        return value in values

    def _join(self, argument: list[Any]) -> str:
        return str(argument[0]).join(map(str, self.value(argument[1])))

    def _split(self, argument: list[Any]) -> list[str]:
        return str(self.value(argument[1])).split(argument[0])


def as_list(value: Any) -> list[Any]:
    """The value, or the values, as a list."""
    return value if isinstance(value, list) else [value]


def destinations(deployment: Deployment) -> Iterator[tuple[str, Json]]:
    for name, stream in deployment.of_type(STREAM).items():
        yield name, stream["ExtendedS3DestinationConfiguration"]


def storage_of(table: Json) -> Json:
    storage: Json = table["TableInput"]["StorageDescriptor"]
    return storage


def statements(policy: Json) -> list[Json]:
    return as_list(policy["PolicyDocument"]["Statement"])


def role_statements(deployment: Deployment) -> Iterator[tuple[str, Json]]:
    for name, role in deployment.of_type(ROLE).items():
        for policy in role.get("Policies", []):
            yield from ((name, statement) for statement in statements(policy))
