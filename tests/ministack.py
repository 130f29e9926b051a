"""An AWS of our own on loopback: MiniStack, started once, with TLS, because the functions and the policies ask for it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from servers import running

PROGRAM = Path(__file__).parents[1] / ".tools/ministack/bin/ministack"
REGION = "us-east-1"
START_SECONDS = 60
_T = TypeVar("_T")


@dataclass(frozen=True)
class MiniStack:
    """A running emulator."""

    endpoint: str
    certificate: Path
    log: Path

    def client(self, service: str) -> Any:
        """A boto3 client of it."""
        return _client(self.endpoint, self.certificate, service)

    def output(self) -> str:
        """The end of what it has printed."""
        return self.log.read_text(errors="replace")[-4000:]


@cache
def _client(endpoint: str, certificate: Path, service: str) -> Any:
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
    return session.client(
        service,  # type: ignore[call-overload]
        endpoint_url=endpoint,
        verify=str(certificate),
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=120),
    )


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniStack]:
    """Started on a free port of loopback, and ended with the session."""
    if not PROGRAM.exists():
        pytest.skip("MiniStack is not installed: make tools")
    folder = tmp_path_factory.mktemp("ministack")
    certificate = write_certificate(folder)
    with running(
        "MiniStack",
        lambda attempt: _start(folder / str(attempt), certificate),
        answers=_answers,
        stop=_stop,
        output=MiniStack.output,
        seconds=START_SECONDS,
    ) as server:
        yield server


def wait_for(look: Callable[[], _T | None], *, seconds: float, what: Callable[[], str]) -> _T:
    """What is looked for, as soon as it is there; fails, saying `what`, when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what()}")
        time.sleep(0.1)  # polling other processes; nothing is assumed about how long they take


def write_certificate(folder: Path) -> Path:
    """A certificate for loopback, and its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "accesslake tests")])
    now = dt.datetime.now(dt.UTC)
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    path = folder / "certificate.pem"
    path.write_bytes(certificate.public_bytes(pem))
    return path


def _start(folder: Path, certificate: Path) -> tuple[subprocess.Popen[bytes], MiniStack]:
    folder.mkdir()
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    server = MiniStack(f"https://127.0.0.1:{port}", certificate, folder / "server.log")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "GATEWAY_PORT": str(port),
        # Both ports are open to the world otherwise.
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "MINISTACK_HOST": "127.0.0.1",
        "LAMBDA_EXECUTOR": "local",
        "ATHENA_ENGINE": "duckdb",
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": str(certificate),
        "MINISTACK_SSL_KEY": str(certificate.with_name("key.pem")),
        # Functions inherit these, and trust nothing else.
        "SSL_CERT_FILE": str(certificate),
        "AWS_CA_BUNDLE": str(certificate),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            [str(PROGRAM)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return process, server


def _answers(process: subprocess.Popen[bytes], server: MiniStack, deadline: float) -> bool:
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.client("s3").list_buckets()
        except (ClientError, BotoCoreError):
            time.sleep(0.05)  # polling a process that starts
        else:
            return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End it and the functions that it runs: the session is theirs alone. Asked to end, it would wait for open connections."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
