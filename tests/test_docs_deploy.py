"""The page on deploying names what there is, and its figures are those of the cost verb."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from etl.arrivals import UNITS
from etl.cli._main import accesslake
from etl.cost import Estimate, Workload, cost
from etl.lambdas._compaction_metrics import COMPACTION_UNITS
from etl.lambdas._detection_metrics import DETECTION_UNITS

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
TEMPLATE = (ROOT / "infra" / "template.yaml").read_text(encoding="utf-8")
VOLUMES = (100_000, 1_000_000, 10_000_000, 100_000_000)


def way(estimate: Estimate, name: str) -> float:
    (usd,) = [item.usd for item in estimate.alternatives if item.name == name]
    return usd


def cost_row(lines_per_day: int) -> str:
    found = cost(Workload(lines_per_day))
    ways = ("accesslake, firehose", "accesslake, parquet", "recipe: one document a record", "AWS's own delivery, to S3")
    amounts = [found.total, *(way(found, name) for name in (*ways, "CloudTrail data events"))]
    return f"| {lines_per_day:,} | {' | '.join(f'{usd:,.2f}' for usd in amounts)} |"


def commands(first: str) -> list[list[str]]:
    found = [shlex.split(line) for line in re.findall(rf"^\$ ({first} .*)$", PAGE, re.MULTILINE)]
    assert found
    return found


@pytest.mark.parametrize("lines_per_day", VOLUMES)
def test_the_figures_are_those_of_the_cost_verb(lines_per_day: int) -> None:
    assert cost_row(lines_per_day) in PAGE.splitlines()


def test_every_command_and_option_exists() -> None:
    with accesslake.make_context("accesslake", ["parse"], resilient_parsing=True) as context:
        for _, verb, *arguments in commands("accesslake"):
            command = accesslake.get_command(context, verb)
            assert command is not None, verb
            options = {name for parameter in command.params for name in parameter.opts}
            given = {each for each in arguments if each.startswith("--")}
            assert given <= options, verb
            required = {parameter.opts[0] for parameter in command.params if parameter.required}
            assert {each for each in required if each.startswith("--")} <= given, verb
            assert isinstance(command, click.Command)


def test_every_verb_that_is_spoken_of_exists() -> None:
    with accesslake.make_context("accesslake", ["parse"], resilient_parsing=True) as context:
        named = set(re.findall(r"`accesslake ([a-z]+)", PAGE))
        assert {"replay", "cost", "doctor", "smoke"} <= named
        assert named <= set(accesslake.list_commands(context))


def test_every_metric_that_there_is_and_no_other_is_named() -> None:
    (section,) = re.findall(r"## What becomes of a message\n(.*?)\n## ", PAGE, re.DOTALL)
    assert set(re.findall(r"`((?:Objects?|Messages|Lines|Records|Documents|Bytes)[A-Za-z]*)`", section)) == set(UNITS)


def test_compaction_names_its_metrics_and_parameters_with_their_defaults() -> None:
    (section,) = re.findall(r"## Compaction\n(.*?)\n## ", PAGE, re.DOTALL)
    assert COMPACTION_UNITS.keys() <= set(re.findall(r"`([A-Za-z]+)`", section))
    shown = dict(re.findall(r"^\| `(Compaction[A-Za-z]*)` \| `?([^|`]+?)`? \|", section, re.MULTILINE))
    defaults = re.findall(r"^  (Compaction[A-Za-z]*):\n(?:    .*\n)*?    Default: (.+)$", TEMPLATE, re.MULTILINE)
    assert shown == dict(defaults)


def test_detection_names_its_metrics_and_parameters_with_their_defaults() -> None:
    (section,) = re.findall(r"## Detection\n(.*?)\n## ", PAGE, re.DOTALL)
    named = set(re.findall(r"`([A-Za-z0-9]+(?:Objects|Rows|Requests)|Objects[A-Za-z]+)`", section))
    assert named == set(DETECTION_UNITS)
    shown = dict(re.findall(r"^\| `([A-Za-z0-9]+)` \| `(Yes|No)` \|", section, re.MULTILINE))
    defaults = dict(re.findall(r'^  (\w+):\n(?:    .*\n)*?    Default: "(.+)"$', TEMPLATE, re.MULTILINE))
    assert shown == {name: defaults[name] for name in ("Detection", "AlarmOnSigV2")}


def test_every_parameter_and_output_that_is_named_is_the_templates() -> None:
    names = set(re.findall(r"^  ([A-Z][A-Za-z]+):$", TEMPLATE, re.MULTILINE))
    named = set(re.findall(r"`([A-Z][A-Za-z]+)=", PAGE)) | {"QueueArn", "KmsKeyArn", "MaxObjectBytes", "SourceBuckets"}
    assert len(named) >= 7
    assert named <= names


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {target for _, target, *_ in commands("make")}
    assert named == {"package", "deploy"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)
