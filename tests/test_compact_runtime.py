"""The compaction function under AWS's own runtime client, with a strict S3 server: what Lambda and its queue get to see."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient
from conftest import ACCESS_KEY, SECRET_KEY, S3Server
from runtime_api import RuntimeApi, run_handler
from small_lakes import difference, log_text, read_rows, truth_of
from template_values import Deployment, as_list, read_template, role_statements

from etl import parse
from etl.compact import compact
from etl.lake import create_lake, open_lake
from etl.sinks import ParquetSink

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOGS = {"s3://logs/a": log_text(40, seed="a"), "s3://logs/b": log_text(30, seed="b")}


@pytest.fixture
def lake(s3_server: S3Server, new_bucket: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> str:
    """A lake in a bucket, with two raw objects."""
    for name, value in _aws(s3_server).items():
        monkeypatch.setenv(name, value)
    uri = f"s3://{new_bucket()}/lake"
    create_lake(uri)
    for source_key, data in LOGS.items():
        sink = ParquetSink(open_lake(uri).store, ingest_date="2024-05-02")
        sink.write([parse(data, source_key=source_key)], name=source_key[-1], owner=source_key)
        assert sink.finish() == set()
    return uri


def _aws(server: S3Server) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_S3": server.endpoint,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@pytest.fixture
def run(s3_server: S3Server, tmp_path: Path) -> Callable[..., Any]:
    @contextmanager
    def start(lake: str, name: str = "one") -> Iterator[RuntimeApi]:
        folder = tmp_path / name
        folder.mkdir()
        environment = {
            **_aws(s3_server),
            "ACCESSLAKE_LAKE": lake,
            "ACCESSLAKE_SCRATCH": str(folder / "scratch"),
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "PYTHONWARNINGS": "error",
        }
        with run_handler("etl.lambdas.compact.handler", folder=folder, environment=environment) as api:
            yield api

    return start


def said(api: RuntimeApi) -> list[dict[str, Any]]:
    """All that the handler printed; each line must be JSON."""
    return [json.loads(line) for line in api.output().splitlines() if line.startswith("{")]


def test_a_lake_is_compacted_and_the_scratch_folder_is_empty_behind_it(
    run: Callable[..., Any], lake: str, tmp_path: Path
) -> None:
    with run(lake) as api:
        first = api.invoke({"version": "0"})
        second = api.invoke({})
        lines = said(api)
    assert (first.kind, first.body["batch"], first.body["rows_out"]) == ("response", "0000000001", 70)
    assert (second.kind, second.body["batch"]) == ("response", None)
    assert [line["CompactionRuns"] for line in lines if "_aws" in line] == [1, 1]
    assert [line["what"] for line in lines if "what" in line] == ["compaction", "compaction"]
    snapshot = open_lake(lake).snapshot()
    assert not snapshot.raw
    assert not difference(read_rows(snapshot), truth_of(LOGS))
    assert not list((tmp_path / "one" / "scratch").rglob("*.parquet"))


def test_an_object_that_cannot_be_read_is_named_and_the_others_are_compacted(
    run: Callable[..., Any], lake: str, s3: S3Client
) -> None:
    bucket = lake.split("/")[2]
    s3.put_object(Bucket=bucket, Key="lake/raw/ingest_date=2024-05-02/broken.parquet", Body=b"PAR1 not")
    with run(lake) as api:
        result = api.invoke({})
        lines = said(api)
    assert (result.body["rows_out"], result.body["left_out"]) == (70, 1)
    assert [line["object"] for line in lines if "object" in line] == ["raw/ingest_date=2024-05-02/broken.parquet"]
    assert [line["LeftOut"] for line in lines if "_aws" in line] == [1]


def test_what_lambda_keeps_of_a_failure_is_one_line_without_credentials(run: Callable[..., Any], lake: str) -> None:
    uri = f"{lake}/x?X-Amz-Signature=0123456789abcdef"
    with run(uri) as api:
        result = api.invoke({})
        printed = api.output()
    assert (result.kind, result.body["errorType"]) == ("error", "LakeNotFound")
    assert result.body["errorMessage"].startswith(f"{lake}/x?X-Amz-Signature=***: no lake here")
    assert "0123456789abcdef" not in printed + json.dumps(result.body)
    assert '"_aws"' not in printed, "a run that failed is no run"


def test_two_at_once_make_one_batch(run: Callable[..., Any], lake: str) -> None:
    """Each with scratch of its own, as Lambda has it; whoever is second finds steps done."""
    with run(lake) as one, run(lake, "two") as two, ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda api: api.invoke({}), (one, two)))
    assert [result.kind for result in results] == ["response", "response"], results
    assert {result.body["batch"] for result in results} <= {"0000000001", None}
    snapshot = open_lake(lake).snapshot()
    assert snapshot.batch_id == "0000000001"
    assert not difference(read_rows(snapshot), truth_of(LOGS))


# --- What its role must allow -----------------------------------------------------------------------------------------

ACTIONS = {
    **dict.fromkeys(("GetObject", "HeadObject"), "s3:GetObject"),
    **dict.fromkeys(("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"), "s3:PutObject"),
    "ListObjectsV2": "s3:ListBucket",
    "DeleteObject": "s3:DeleteObject",
}
"""What each call needs: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html ."""


def test_the_role_allows_what_a_run_asks_of_s3_and_each_of_it_is_asked(
    lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrow asks for more of the same: the footers of raw files, and columns of compacted ones."""
    asked: set[tuple[str, str]] = set()
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def record(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        key = arguments.get("Key")
        asked.add((ACTIONS[operation], f"arn:aws:s3:::{arguments['Bucket']}" + (f"/{key}" if key else "")))
        return call(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", record)
    compact(lake, grace=timedelta(0))
    bucket = lake.split("/")[2]
    deployment = Deployment(read_template(), {"LogBucketName": "logs", "LakeBucketName": bucket, "LakePrefix": "lake/"})
    allowed = {
        (action, resource)
        for name, statement in role_statements(deployment)
        if name == "CompactorRole"
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
        if action.startswith("s3:") and action != "s3:AbortMultipartUpload"
    }
    needless = {
        (action, resource)
        for action, resource in allowed
        if not any(action == what and fnmatchcase(where, resource) for what, where in asked)
    }
    refused = {
        (what, where)
        for what, where in asked
        if not any(action == what and fnmatchcase(where, resource) for action, resource in allowed)
    }
    assert refused == set()
    assert {resource.rpartition("/lake/")[2] for _, resource in needless} == {"compacted/*"}, "Arrow reads it"
