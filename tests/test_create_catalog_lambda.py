"""The custom resource answers whatever happens, once, in time, and tells no secret; a deletion deletes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request

import boto3
import pytest
from aws_account import aws_account

from etl.errors import LakeMismatch
from etl.lambdas import create_catalog

ROOT = Path(__file__).parent.parent
URL = "https://cloudformation-custom-resource-response-euwest1.s3.amazonaws.com/x?X-Amz-Signature=0123456789abcdef"
PROPERTIES = {
    "ServiceToken": "arn:aws:lambda:eu-west-1:123456789012:function:f",
    "LakeUri": "s3://lake-bucket/lake/",
    "Database": "logs",
    "RecipeDatabase": "default",
    "FirstDay": "2020-01-01",
}


class Context:
    """Lambda's, with as much time as it is given."""

    def __init__(self, milliseconds: int = 120_000) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@dataclass
class CloudFormation:
    """The end of the URL that an answer goes to."""

    failures: int = 0
    answers: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, request: Request, *, timeout: float) -> CloudFormation:
        assert 0 < timeout <= 10
        assert request.full_url == URL
        assert request.get_method() == "PUT"
        # A signed URL of S3 is signed for no content type.
        assert request.get_header("Content-type") == ""
        if self.failures:
            self.failures -= 1
            raise URLError("no route")
        assert isinstance(request.data, bytes)
        assert len(request.data) < 4096, "CloudFormation takes no longer answer"
        self.answers.append(json.loads(request.data))
        return self

    def __enter__(self) -> CloudFormation:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> CloudFormation:
    end = CloudFormation()
    monkeypatch.setattr("urllib.request.urlopen", end)
    return end


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with aws_account(monkeypatch):
        boto3.client("s3").create_bucket(Bucket="lake-bucket")
        boto3.client("glue").create_database(DatabaseInput={"Name": "logs"})
        yield


def event(request_type: str = "Create", **changed: Any) -> dict[str, Any]:
    given = {
        "RequestType": request_type,
        "ResponseURL": URL,
        "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/s/1",
        "RequestId": "r",
        "LogicalResourceId": "Catalog",
        "ResourceProperties": PROPERTIES,
    }
    if request_type != "Create":
        given["PhysicalResourceId"] = "accesslake-catalog"
    return given | changed


def answer(cloudformation: CloudFormation, **given: Any) -> dict[str, Any]:
    create_catalog.handler(event(**given), Context())
    (found,) = cloudformation.answers
    cloudformation.answers.clear()
    return found


def test_a_stack_makes_the_catalog_and_keeps_it(account: None, cloudformation: CloudFormation) -> None:
    made = answer(cloudformation)
    assert made == {
        "Status": "SUCCESS",
        "Reason": "done",
        "PhysicalResourceId": "accesslake-catalog",
        "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/s/1",
        "RequestId": "r",
        "LogicalResourceId": "Catalog",
    }
    glue = boto3.client("glue")
    tables = {each["Name"]: each for each in glue.get_tables(DatabaseName="logs")["TableList"]}
    assert set(tables) == {"access_logs", "access_logs_compacted", "access_logs_exact"}
    assert glue.get_table(DatabaseName="default", Name="s3accesslog")
    assert answer(cloudformation, request_type="Update") == made
    assert answer(cloudformation, request_type="Delete", ResourceProperties={}) == made
    assert {each["Name"]: each for each in glue.get_tables(DatabaseName="logs")["TableList"]} == tables


def test_a_deletion_touches_nothing(cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(create_catalog, "create_catalog", lambda *_, **__: pytest.fail("asked for"))
    assert answer(cloudformation, request_type="Delete")["Status"] == "SUCCESS"


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"FirstDay": "soon"}, "first day: 'soon' is not a day (YYYY-MM-DD)"),
        ({"Database": None}, "Database: is not among the resource's properties"),
        (
            {"LakeUri": "s3://no-such-bucket"},
            "s3://no-such-bucket: no such bucket (a lake is made in a bucket that exists)",
        ),
    ],
)
def test_a_failure_is_an_answer(
    account: None, cloudformation: CloudFormation, properties: dict[str, Any], reason: str
) -> None:
    found = answer(cloudformation, ResourceProperties=PROPERTIES | properties)
    assert (found["Status"], found["Reason"]) == ("FAILED", reason)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("X-Amz-Signature=0123456789abcdef AKIAIOSFODNN7EXAMPLE\nand more"),
        LakeMismatch("X-Amz-Signature=0123456789abcdef AKIAIOSFODNN7EXAMPLE\n", "x" * 5000),
        KeyError("AKIAIOSFODNN7EXAMPLE"),
    ],
)
def test_whatever_is_raised_a_short_line_without_secrets_is_answered(
    account: None,
    cloudformation: CloudFormation,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(create_catalog, "create_catalog", fail)
    found = answer(cloudformation)
    assert found["Status"] == "FAILED"
    for text in (found["Reason"], *capsys.readouterr()):
        assert "0123456789abcdef" not in text
        assert "IOSFODNN7EXAMPLE" not in text
    assert len(found["Reason"]) <= 400
    assert "\n" not in found["Reason"]


def test_what_hangs_is_answered_in_time(cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()
    monkeypatch.setattr(create_catalog, "_create", lambda _: end.wait())
    # As much as two answers may take, and not a moment for the work.
    create_catalog.handler(event(), Context(milliseconds=25_000))
    end.set()
    (found,) = cloudformation.answers
    assert (found["Status"], found["Reason"]) == ("FAILED", "not done within 0 seconds")


def test_an_answer_that_is_not_taken_is_given_again(account: None, cloudformation: CloudFormation) -> None:
    cloudformation.failures = 1
    assert answer(cloudformation)["Status"] == "SUCCESS"


def test_an_answer_that_is_never_taken_has_lambda_call_again(account: None, cloudformation: CloudFormation) -> None:
    cloudformation.failures = 9
    with pytest.raises(URLError):
        create_catalog.handler(event(), Context())
    cloudformation.failures = 0
    assert answer(cloudformation)["Status"] == "SUCCESS"


def test_the_id_of_an_older_resource_is_kept(cloudformation: CloudFormation) -> None:
    assert answer(cloudformation, request_type="Delete", PhysicalResourceId="old")["PhysicalResourceId"] == "old"


def test_answers_go_nowhere_but_https(cloudformation: CloudFormation) -> None:
    with pytest.raises(Exception, match="ResponseURL: is not https"):
        create_catalog.handler(event(request_type="Delete", ResponseURL="file:///etc/passwd"), Context())
    assert cloudformation.answers == []


def test_it_loads_no_more_than_its_layer_holds() -> None:
    script = "import sys, etl.lambdas.create_catalog; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"pandas", "duckdb", "sqlglot", "click", "polars", "awswrangler"}
