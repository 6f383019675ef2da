"""Prometheus with scripted responses, over real sockets."""

from __future__ import annotations

import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.prometheus.certificates import Certificates

EMPTY_OK = {"status": "success", "data": {"resultType": "matrix", "result": []}}


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]
    parameters: dict[str, str]


class Exchange(BaseHTTPRequestHandler):
    """One request; a scripted response is a function of it."""

    protocol_version = "HTTP/1.1"
    server: _Server  # type: ignore[mutable-override]  # only ever made by one

    def do_POST(self) -> None:
        self._respond()

    def do_GET(self) -> None:
        self._respond()

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        url = urlsplit(self.path)
        headers = {k.lower(): v for k, v in self.headers.items()}
        scripted = self.server.scripted
        scripted.requests.append(ReceivedRequest(self.command, url.path, headers, _flat(body), _flat(url.query)))
        script = scripted.script
        response = script.pop(0) if len(script) > 1 else script[0]
        try:
            response(self)
        except OSError:  # the client closed the connection, as expected
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass

    def send(self, status: int, body: str, **headers: str) -> None:
        raw = body.encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(raw)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def drip(self, piece: bytes) -> None:
        """Send a piece every 20 ms until the client closes the connection or the test ends."""
        released = self.server.scripted.released
        while not released.wait(0.02):
            self.wfile.write(piece)
            self.wfile.flush()
        self.close_connection = True

    def hang(self) -> None:
        self.server.scripted.released.wait()
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    scripted: ScriptedServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore failed handshakes and broken pipes: the tests cause them."""


@dataclass
class ScriptedServer:
    """Server that sends the responses in turn, and repeats the last one."""

    script: list[Callable[[Exchange], None]]
    certificates: Certificates | None = None
    client_certificate: bool = False
    requests: list[ReceivedRequest] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), Exchange)
        self._server.scripted = self
        if self.certificates:
            context = self.certificates.server_context()
            if self.client_certificate:
                context.verify_mode = ssl.CERT_REQUIRED
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        scheme = "https" if self.certificates else "http"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def host(self) -> str:
        return self.url.partition("//")[2]


def _flat(encoded: str) -> dict[str, str]:
    return {k: v[-1] for k, v in parse_qs(encoded).items()}


def responding(status: int, body: str, **headers: str) -> Callable[[Exchange], None]:
    return lambda exchange: exchange.send(status, body, **headers)


def matrix(*series: dict[str, Any], **more: Any) -> Callable[[Exchange], None]:
    """Return a successful response with these series."""
    data = {"resultType": "matrix", "result": list(series)}
    return responding(200, json.dumps({"status": "success", "data": data, **more}))


def vector(*series: dict[str, Any], **more: Any) -> Callable[[Exchange], None]:
    """Return a successful response with these statistics."""
    data = {"resultType": "vector", "result": list(series)}
    return responding(200, json.dumps({"status": "success", "data": data, **more}))


def failing(status: int, kind: str, text: str) -> Callable[[Exchange], None]:
    return responding(status, json.dumps({"status": "error", "errorType": kind, "error": text}))


def one(namespace: str = "ai", pod: str = "chat-1", name: str = "a" * 64, **more: Any) -> dict[str, Any]:
    """Return one series of one container."""
    labels = {"namespace": namespace, "pod": pod, "container": "chat", "name": name}
    return {"metric": labels | more.get("labels", {}), "values": more.get("values", [[1000, "1"], [1015.5, "2"]])}
