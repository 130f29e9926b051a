"""Lambda's Runtime API on loopback: handlers run under AWS's own runtime client, in a process of their own.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_VERSION = "/2018-06-01/runtime/"
STOP_SECONDS = 20


@dataclass(frozen=True)
class Result:
    """What the runtime posted: `response`, `error`, or `init-error` if the handler could not be imported."""

    kind: str
    body: Any


class RuntimeApi:
    """Hands events to the runtime, one by one, and waits for what comes back."""

    def __init__(self, process: subprocess.Popen[bytes], server: _Server, log: Path) -> None:
        self._process = process
        self._server = server
        self._log = log

    def invoke(self, event: Any, *, seconds: float = 60.0) -> Result:
        """The result of one event, which must be there within the seconds that the function is told it has."""
        if self._server.init_error is not None:
            return self._server.init_error
        request_id = str(uuid.uuid4())
        results: queue.Queue[Result] = queue.Queue()
        self._server.results[request_id] = results
        self._server.events.put((request_id, json.dumps(event).encode(), seconds))
        deadline = time.monotonic() + seconds
        while True:
            try:
                return results.get(timeout=0.05)
            except queue.Empty:
                if self._server.init_error is not None:
                    return self._server.init_error
                if self._process.poll() is not None:
                    raise AssertionError(
                        f"the runtime ended with {self._process.returncode}:\n{self.output()}"
                    ) from None
                if time.monotonic() > deadline:
                    raise AssertionError(f"no answer within {seconds} s:\n{self.output()}") from None

    def output(self) -> str:
        """What the process has printed so far."""
        return self._log.read_text(errors="replace")


@contextmanager
def run_handler(handler: str, *, folder: Path, environment: Mapping[str, str]) -> Iterator[RuntimeApi]:
    """A runtime with that handler (`package.module.function`), ended with the block; its output lies in the folder."""
    log = folder / "runtime.log"
    server = _Server(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", handler],
            cwd=folder,
            env={**_function(folder, server.server_port), **environment},
            stdin=subprocess.DEVNULL,
            # A file takes any amount of output; a pipe that nobody reads stops the handler.
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield RuntimeApi(process, server, log)
    finally:
        process.kill()
        process.wait(STOP_SECONDS)
        server.events.put(None)
        server.shutdown()
        server.server_close()
        thread.join(STOP_SECONDS)


def _function(folder: Path, port: int) -> dict[str, str]:
    """What Lambda tells a function through its environment."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "TZ": ":UTC",
        "LAMBDA_TASK_ROOT": str(folder),
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
        "AWS_LAMBDA_FUNCTION_NAME": "parse-logs",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/parse-logs",
        "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.events: queue.Queue[tuple[str, bytes, float] | None] = queue.Queue()
        self.results: dict[str, queue.Queue[Result]] = {}
        self.init_error: Result | None = None

    def handle_error(self, *_: Any) -> None:
        """The runtime is killed while it waits for its next event: its connection breaks."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer is one packet, sent at once: an invocation then takes half a millisecond, and not forty.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def log_message(self, *_: Any) -> None:
        """No access log."""

    def do_GET(self) -> None:
        assert self.path == _VERSION + "invocation/next", self.path
        waiting = self.server.events.get()
        if waiting is None:
            self.close_connection = True
            return
        request_id, event, seconds = waiting
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(round((time.time() + seconds) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:parse-logs",
        }
        self._answer(200, event, headers)

    def do_POST(self) -> None:
        body = self._body()
        kind = self.path.removeprefix(_VERSION).split("/")
        result = Result("init-error" if kind[0] == "init" else kind[-1], json.loads(body or b"null"))
        if kind[0] == "init":
            self.server.init_error = result
        else:
            self.server.results[kind[1]].put(result)
        self._answer(202, b'{"status":"OK"}', {})

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length")
        if length is not None:
            return self.rfile.read(int(length))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
