"""The Firehose stand-in over HTTP, for code that runs in another process."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError
from firehose_stand_in import FirehoseStandIn

TARGET = "Firehose_20150804.PutRecordBatch"
STOP_SECONDS = 20


@contextmanager
def serve_firehose(stand_in: FirehoseStandIn) -> Iterator[str]:
    """The endpoint of a stream, for the time of the block; a scripted timeout breaks the connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def log_message(self, *_: Any) -> None:
            """No access log."""

        def do_POST(self) -> None:
            arguments = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.headers["X-Amz-Target"] != TARGET:
                self._answer(400, {"__type": "UnknownOperationException"})
                return
            records = [{"Data": base64.b64decode(each["Data"], validate=True)} for each in arguments["Records"]]
            try:
                with lock:
                    answer = stand_in.put_record_batch(**{**arguments, "Records": records})
            except ReadTimeoutError:
                self.close_connection = True
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                told = error.response["Error"]
                self._answer(status, {"__type": told["Code"], "message": told["Message"]})
            else:
                self._answer(200, answer)

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that is killed breaks its connection."""

    lock = threading.Lock()
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(STOP_SECONDS)
