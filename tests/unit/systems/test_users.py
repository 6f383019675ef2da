from __future__ import annotations

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from memroll_systems import users

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def answering(body: str) -> Iterator[str]:
    """Serve one response to all requests; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server uses
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("visit", "body"),
    [
        pytest.param("flows", '{"session_id": "session-of-another"}', id="another session's answer"),
        pytest.param("chat", 'data: {"text": "I have"}\n\n', id="a truncated stream"),
        pytest.param("agent", '{"answers": []}', id="a task without an answer"),
        pytest.param("agents", '{"answers": ["of another task"]}', id="another task's answer"),
    ],
)
def test_a_wrong_response_is_an_error(visit, body):
    with answering(body) as address, pytest.raises(users.WrongResponseError):
        users.visit(f"{address}{visit}")
