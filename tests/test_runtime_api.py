"""A handler runs as on Lambda: its answers, its errors, and what it cannot import all come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime_api import Result, RuntimeApi, run_handler

SOURCE = """
import os

def echo(event, context):
    if event == "raise":
        raise ValueError("refused")
    if event == "exit":
        os._exit(3)
    if event == "print":
        print("x" * 1_000_000)
    return [event, context.function_name, context.get_remaining_time_in_millis() > 0, os.environ["COLOUR"]]
"""


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[RuntimeApi]:
    (tmp_path / "module.py").write_text(SOURCE)
    environment = {"PYTHONPATH": str(tmp_path), "COLOUR": "blue"}
    with run_handler("module.echo", folder=tmp_path, environment=environment) as api:
        yield api


def test_answers_come_back_in_their_order(echo: RuntimeApi) -> None:
    for number in range(20):
        assert echo.invoke({"n": number}) == Result("response", [{"n": number}, "parse-logs", True, "blue"])


def test_an_exception_is_an_error_and_the_next_event_is_taken(echo: RuntimeApi) -> None:
    result = echo.invoke("raise")
    assert result.kind == "error"
    assert (result.body["errorType"], result.body["errorMessage"]) == ("ValueError", "refused")
    assert echo.invoke("again").kind == "response"


def test_much_output_stops_nothing(echo: RuntimeApi) -> None:
    for _ in range(3):
        assert echo.invoke("print").kind == "response"
    assert len(echo.output()) >= 3_000_000


def test_a_process_that_ends_is_noticed(echo: RuntimeApi) -> None:
    with pytest.raises(AssertionError, match="ended with 3"):
        echo.invoke("exit")


def test_a_handler_that_cannot_be_imported_is_an_error(tmp_path: Path) -> None:
    with run_handler("missing.echo", folder=tmp_path, environment={}) as api:
        result = api.invoke({})
    assert result.kind == "init-error"
    assert result.body["errorType"] == "Runtime.ImportModuleError"
