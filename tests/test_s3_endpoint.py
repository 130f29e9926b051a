"""Arrow asks the S3 that boto3 asks: endpoint, region, and where the bucket's name stands."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pyarrow.fs
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import EndpointConnectionError

from etl.lake._s3_endpoint import arrow_endpoint, is_aws
from etl.lake._s3_store import S3Store, open_s3_store

VPCE = "https://bucket.vpce-0e25b8cdd720f900e-argc85vg.s3.us-east-1.vpce.amazonaws.com"
CORP = "https://minio.amazonaws.com.corp.local"
FIPS, DUAL = {"AWS_USE_FIPS_ENDPOINT": "true"}, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}
VIRTUAL = "[default]\ns3 =\n  addressing_style = virtual\n"


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings but a test's own."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "AKIATEST"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_CONFIG_FILE", os.devnull),
        ("AWS_SHARED_CREDENTIALS_FILE", os.devnull),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(name, value)
    boto3.DEFAULT_SESSION = None
    yield
    boto3.DEFAULT_SESSION = None


def opened(
    monkeypatch: pytest.MonkeyPatch, region: str, bucket_region: str = "", **env: str
) -> tuple[S3Store, list[str]]:
    """A store with these settings whose bucket lies in a region, and the requests that it made: none leaves the machine."""
    for name, value in {"AWS_DEFAULT_REGION": region, **env}.items():
        monkeypatch.setenv(name, value)
    store = open_s3_store("s3://bkt/lake")
    asked: list[str] = []

    def answer(model: Any, **_: object) -> Any:
        asked.append(model.name)
        headers = {"x-amz-bucket-region": bucket_region or region}
        said = {"ResponseMetadata": {"HTTPHeaders": headers}, "Error": {"Code": "403", "Message": "Forbidden"}}
        return AWSResponse("memory", 403 if bucket_region else 200, HTTPHeaders(), None), said

    store.client.meta.events.register("before-call.s3", answer)
    return store, asked


def arrow_options(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Arrow is given, the credentials aside."""
    given: dict[str, Any] = {}
    make = pyarrow.fs.S3FileSystem

    def remember(**options: Any) -> Any:
        given.update(options)
        return make(**options)

    monkeypatch.setattr(pyarrow.fs, "S3FileSystem", remember)
    assert store.filesystem is store.filesystem
    return {name: given[name] for name in ("region", "endpoint_override", "force_virtual_addressing")}


CASES: dict[str, tuple[str, dict[str, str], str | None, bool]] = {
    "plain": ("eu-west-1", {}, None, False),
    "for all regions": ("us-east-1", {}, None, False),
    "China": ("cn-north-1", {}, None, False),
    "government": ("us-gov-west-1", {}, None, False),
    "secret": ("us-iso-east-1", {}, "https://s3.us-iso-east-1.c2s.ic.gov", False),
    "private": ("us-east-1", {"AWS_ENDPOINT_URL": VPCE}, VPCE, False),
    "a stranger's": ("us-east-1", {"AWS_ENDPOINT_URL_S3": CORP}, CORP, False),
    "a local one": ("us-east-1", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9", False),
    "FIPS": ("eu-west-1", FIPS, "https://s3-fips.eu-west-1.amazonaws.com", True),
    "FIPS of us-east-1": ("us-east-1", FIPS, "https://s3-fips.us-east-1.amazonaws.com", True),
    "dual stack": ("eu-west-1", DUAL, "https://s3.dualstack.eu-west-1.amazonaws.com", True),
    "dual stack in China": ("cn-north-1", DUAL, "https://s3.dualstack.cn-north-1.amazonaws.com.cn", True),
    "both": ("us-east-1", FIPS | DUAL, "https://s3-fips.dualstack.us-east-1.amazonaws.com", True),
}


@pytest.mark.parametrize(("region", "env", "endpoint", "virtual"), CASES.values(), ids=CASES.keys())
def test_arrow_is_given_the_endpoint_of_boto3(
    monkeypatch: pytest.MonkeyPatch, region: str, env: dict[str, str], endpoint: str | None, virtual: bool
) -> None:
    store, asked = opened(monkeypatch, region, **env)
    assert arrow_options(store, monkeypatch) == {
        "region": region,
        "endpoint_override": endpoint,
        "force_virtual_addressing": virtual,
    }
    own = "AWS_ENDPOINT_URL" not in env and "AWS_ENDPOINT_URL_S3" not in env and region != "us-iso-east-1"
    assert asked == ["HeadBucket"] * own, "one request, of AWS alone"


@pytest.mark.parametrize("endpoint", [None, "https://oss.example.com"])
def test_the_bucket_stands_in_the_host_name_where_boto3_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str | None
) -> None:
    (tmp_path / "config").write_text(VIRTUAL)
    given = {"AWS_ENDPOINT_URL": endpoint} if endpoint else {}
    store, _ = opened(monkeypatch, "eu-west-1", AWS_CONFIG_FILE=str(tmp_path / "config"), **given)
    found = arrow_options(store, monkeypatch)
    assert (found["endpoint_override"], found["force_virtual_addressing"]) == (endpoint, endpoint is not None)


@pytest.mark.parametrize(("env", "endpoint"), [({}, None), (FIPS, "https://s3-fips.us-west-2.amazonaws.com")])
def test_arrow_goes_to_the_bucket_s_region_even_if_it_may_not_ask(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], endpoint: str | None
) -> None:
    store, asked = opened(monkeypatch, "us-east-1", bucket_region="us-west-2", **env)
    found = arrow_options(store, monkeypatch)
    assert (found["region"], found["endpoint_override"]) == ("us-west-2", endpoint)
    store.client._request_signer._credentials.access_key = "AKIANEXT"  # type: ignore[attr-defined]
    assert store.filesystem.region == "us-west-2"
    assert asked == ["HeadBucket"], "new credentials are no new region"


def test_without_an_answer_it_is_the_region_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = opened(monkeypatch, "eu-west-1")

    def fail(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://nowhere")

    store.client.meta.events.register_first("before-call.s3", fail)
    assert arrow_options(store, monkeypatch)["region"] == "eu-west-1"


@pytest.mark.parametrize(
    "endpoint",
    [
        VPCE,
        CORP,
        "http://s3.eu-west-1.amazonaws.com",
        "https://s3.eu-west-1.amazonaws.com:8443",
        "https://s3.example.com",
    ],
)
def test_what_only_resembles_an_endpoint_of_aws_is_none(endpoint: str) -> None:
    assert not is_aws(endpoint)
    assert arrow_endpoint(endpoint, region="eu-west-1", virtual=False)["endpoint_override"] == endpoint


# --- Where Arrow really goes ------------------------------------------------------------------------------------------


@pytest.fixture
def proxy() -> Iterator[tuple[int, list[str]]]:
    """A port, and the hosts that clients wanted to be connected to; none is."""
    wanted: list[str] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection = server.accept()[0]
                with closing(connection):
                    wanted.append(connection.recv(4096).split()[1].decode())
                    connection.sendall(b"HTTP/1.1 403 no\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], wanted
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


ASK = """
import sys, pyarrow.fs
from etl.lake._s3_endpoint import arrow_endpoint
fs = pyarrow.fs.S3FileSystem(access_key="a", secret_key="b", proxy_options="http://127.0.0.1:" + sys.argv[1],
    retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=1),
    **arrow_endpoint(sys.argv[2], region=sys.argv[3], virtual=False))
try:
    fs.get_file_info("bkt/key")
except OSError:
    pass
"""


@pytest.mark.parametrize(
    ("endpoint", "region", "host"),
    [
        ("https://s3.amazonaws.com", "us-east-1", "bkt.s3.us-east-1.amazonaws.com"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1", "bkt.s3.cn-north-1.amazonaws.com.cn"),
        ("https://s3-fips.aws-global.amazonaws.com", "us-east-1", "bkt.s3-fips.us-east-1.amazonaws.com"),
        ("https://s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1", "bkt.s3.dualstack.eu-west-1.amazonaws.com"),
        (VPCE, "us-east-1", urlsplit(VPCE).hostname),
    ],
)
def test_arrow_connects_to_that_host(proxy: tuple[int, list[str]], endpoint: str, region: str, host: str) -> None:
    port, wanted = proxy
    environment = {name: value for name, value in os.environ.items() if name != "NO_PROXY"} | FIPS
    subprocess.run([sys.executable, "-c", ASK, str(port), endpoint, region], env=environment, check=True, timeout=60)
    assert wanted[:1] == [f"{host}:443"]
