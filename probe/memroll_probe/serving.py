"""A small HTTP server in a daemon thread: for services that are neither ASGI nor WSGI, or for a port of our own."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

from memroll_probe.endpoint import Endpoint
from memroll_probe.exchange import Request, Response

if TYPE_CHECKING:
    from memroll_probe.watch import Watch

SLOW_CLIENT_S = 10.0
MOST_AT_ONCE = 8


def listen(watch: Watch, host: str, port: int) -> int:
    """Serve from a daemon thread and return the port. Raises OSError when it is taken."""
    server = _bound(host, port, _handler(watch))
    threading.Thread(target=server.serve_forever, name="memroll-probe-http", daemon=True).start()
    return int(server.server_address[1])


class Server(ThreadingHTTPServer):
    """Bounded: more connections than MOST_AT_ONCE wait in the backlog, slow ones are closed."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__(address, handler)

    def process_request(self, request: object, client_address: object) -> None:
        self._places.acquire()
        super().process_request(request, client_address)  # type: ignore[arg-type] # socketserver's own types

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type] # the same
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that went away is not the service's trouble."""


class DualServer(Server):
    """Both address families; an IPv6-only pod is asked at its IPv6 address."""

    address_family: int = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def _bound(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> Server:
    if host and ":" not in host:
        return Server((host, port), handler)
    try:
        return DualServer((host, port), handler)
    except OSError:  # a kernel without IPv6, or with it switched off
        return Server((host, port), handler)


def _handler(watch: Watch) -> type[BaseHTTPRequestHandler]:
    endpoint = Endpoint(watch)

    class Handler(BaseHTTPRequestHandler):
        timeout: ClassVar[float | None] = SLOW_CLIENT_S

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            request = Request(self.command, path, query, self.headers.get("authorization", ""))
            mine = endpoint.is_mine(path)
            self._send(endpoint.answer(request) if mine else Response(404, b'{"error":"not found"}'))

        do_POST = do_GET  # noqa: N815 - http.server's naming

        def _send(self, response: Response) -> None:
            self.send_response(response.status)
            for name, value in response.all_headers():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server uses
            """Say nothing: a line per scrape would be noise."""

    return Handler
