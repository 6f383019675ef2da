"""Small HTTP server in a daemon thread, for services that are neither ASGI nor WSGI, and for the probe's own port."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

from memroll_probe.endpoint import Endpoint
from memroll_probe.messages import Request, Response

if TYPE_CHECKING:
    from memroll_probe.state import ProbeState

CLIENT_TIMEOUT_S = 10.0
"""Time after which a slow client's connection is closed, in seconds. Chosen by hand."""
MAX_CONNECTIONS = 8
"""Maximum number of connections served concurrently, each in a thread. Chosen by hand."""


def listen(state: ProbeState, host: str, port: int) -> int:
    """Serve from a daemon thread and return the port. Raises OSError if it is taken."""
    server = _bind(host, port, _make_handler(state))
    threading.Thread(target=server.serve_forever, name="memroll-probe-http", daemon=True).start()
    return int(server.server_address[1])


class BoundedServer(ThreadingHTTPServer):
    """Server with at most MAX_CONNECTIONS threads. Further connections wait in the backlog, slow ones are closed."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: object, client_address: object) -> None:
        self._slots.acquire()
        super().process_request(request, client_address)  # type: ignore[arg-type] # socketserver's own types

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type] # the same
        finally:
            self._slots.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: a client that disconnected is no error of the service."""


class DualStackServer(BoundedServer):
    """Server on both address families: an IPv6-only pod is queried at its IPv6 address."""

    address_family: int = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def _bind(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> BoundedServer:
    if host and ":" not in host:
        return BoundedServer((host, port), handler)
    try:
        return DualStackServer((host, port), handler)
    except OSError:  # a kernel without IPv6, or with it disabled
        return BoundedServer((host, port), handler)


def _make_handler(state: ProbeState) -> type[BaseHTTPRequestHandler]:
    endpoint = Endpoint(state)

    class Handler(BaseHTTPRequestHandler):
        timeout: ClassVar[float | None] = CLIENT_TIMEOUT_S

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            request = Request(self.command, path, query, self.headers.get("authorization", ""))
            found = endpoint.has_route(path)
            self._send(endpoint.respond(request) if found else Response(404, b'{"error":"not found"}'))

        do_POST = do_GET  # noqa: N815 - http.server's naming

        def _send(self, response: Response) -> None:
            self.send_response(response.status)
            for name, value in response.all_headers():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server uses
            """Log nothing: a line per scrape would be noise."""

    return Handler
