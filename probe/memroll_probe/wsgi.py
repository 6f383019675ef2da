"""`app = Probe(app)` for WSGI: counts requests and answers those to the probe's own path; forwards the others."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any

from memroll_probe.messages import Request
from memroll_probe.wrapper import Wrapper, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from memroll_probe.requests import RequestCounter
    from memroll_probe.state import ProbeState

    Environ = dict[str, Any]
    StartResponse = Callable[..., Any]
    App = Callable[[Environ, StartResponse], Iterable[bytes]]

SEEN_KEY = "memroll_probe.seen"


def Probe(app: App, state: ProbeState | None = None) -> App:  # noqa: N802 - the same name as for ASGI
    """Return the application with the probe around it, or the application itself if the probe is off."""
    return wrap(app, state, WsgiMiddleware)


class WsgiMiddleware(Wrapper["App"]):
    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if SEEN_KEY in environ:  # another probe is around this one
            return self.app(environ, start_response)
        environ[SEEN_KEY] = True
        self._state.ensure_started()
        if not self._state.settings.port and self._endpoint.has_route(environ.get("PATH_INFO", "")):
            return self._respond(environ, start_response)
        requests = self._state.requests
        requests.begin_request()
        try:
            body = self.app(environ, start_response)
        except BaseException:
            requests.end_request()
            raise
        return (SizedBody if hasattr(body, "__len__") else CountedBody)(body, requests)

    def _respond(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        response = self._endpoint.respond(
            Request(
                environ.get("REQUEST_METHOD", ""),
                environ.get("PATH_INFO", ""),
                environ.get("QUERY_STRING", ""),
                environ.get("HTTP_AUTHORIZATION", ""),
            )
        )
        start_response(f"{response.status} {http.HTTPStatus(response.status).phrase}", response.all_headers())
        return [response.body]


class CountedBody:
    """Response body that ends the request when the server closes it, once."""

    def __init__(self, body: Iterable[bytes], requests: RequestCounter) -> None:
        self._body, self._requests = body, requests
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        try:
            if (close := getattr(self._body, "close", None)) is not None:
                close()
        finally:
            if self._open:
                self._open = False
                self._requests.end_request()

    def __del__(self) -> None:  # for servers that do not call close()
        if self._open:
            self._requests.drop_request()


class SizedBody(CountedBody):
    """Response body with a length: of a body with one block, servers derive the Content-Length."""

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type] # only bodies that have a length get here
