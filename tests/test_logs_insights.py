"""The saved Logs Insights queries: they sum what the lines count, name fields that the lines have, and are in the docs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from etl.detect._lines import LINE_FIELDS

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "queries" / "logs-insights").glob("*.txt"))
DOCS = (ROOT / "docs" / "detections.md").read_text(encoding="utf-8")
COMMANDS = {"fields", "filter", "stats", "sort", "limit"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_query_says_its_question_and_uses_fields_that_are_there(path: Path) -> None:
    question, *lines = path.read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"# [A-Z][^?]*\?", question)
    query = " ".join(lines)
    commands = [part.strip() for part in re.split(r"\s\|\s", query)]
    assert {command.split()[0] for command in commands} <= COMMANDS
    without_texts = re.sub(r"'[^']*'|/[^/]*/", "", query)
    fields = set(re.findall(r"\b[A-Z][A-Za-z]+\b", without_texts))
    assert fields <= {*LINE_FIELDS, "Count"}
    assert "count(*)" not in query
    if "stats" in query:
        assert "sum(Count)" in query


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_query_is_in_the_docs_word_for_word(path: Path) -> None:
    question, *lines = path.read_text(encoding="utf-8").splitlines()
    assert f"{question.removeprefix('# ')}\n\n```\n" + "\n".join(lines) + "\n```" in DOCS


def test_the_two_of_the_recipe_are_among_them() -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in FILES}
    assert "limit 20" in texts["first_requests"]
    assert "by RemoteIP, Bucket, Operation, UserAgent" in texts["requests_by_client"]
