"""`app = Probe(app)` for WSGI: counts requests and answers the probe's own path; the rest goes through unchanged."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any

from memroll_probe.exchange import Request
from memroll_probe.wrapper import Wrapper, around

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from memroll_probe.traffic import Traffic
    from memroll_probe.watch import Watch

    Environ = dict[str, Any]
    StartResponse = Callable[..., Any]
    App = Callable[[Environ, StartResponse], Iterable[bytes]]

SEEN = "memroll_probe.seen"


def Probe(app: App, watch: Watch | None = None) -> App:  # noqa: N802 - stands beside the one for ASGI
    """Return the application with the probe around it; switched off, the application itself."""
    return around(app, watch, Middleware)


class Middleware(Wrapper["App"]):
    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if SEEN in environ:  # there is a probe around this one
            return self.app(environ, start_response)
        environ[SEEN] = True
        self._watch.wake()
        if not self._watch.settings.port and self._endpoint.is_mine(environ.get("PATH_INFO", "")):
            return self._answer(environ, start_response)
        traffic = self._watch.traffic
        traffic.request_begins()
        try:
            body = self.app(environ, start_response)
        except BaseException:
            traffic.request_ends()
            raise
        return (SizedBody if hasattr(body, "__len__") else Body)(body, traffic)

    def _answer(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        response = self._endpoint.answer(
            Request(
                environ.get("REQUEST_METHOD", ""),
                environ.get("PATH_INFO", ""),
                environ.get("QUERY_STRING", ""),
                environ.get("HTTP_AUTHORIZATION", ""),
            )
        )
        start_response(f"{response.status} {http.HTTPStatus(response.status).phrase}", response.all_headers())
        return [response.body]


class Body:
    """A response's body that tells when the server is done with it, once."""

    def __init__(self, body: Iterable[bytes], traffic: Traffic) -> None:
        self._body, self._traffic = body, traffic
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
                self._traffic.request_ends()

    def __del__(self) -> None:  # for servers that do not call close()
        if self._open:
            self._traffic.request_is_dropped()


class SizedBody(Body):
    """Servers tell the content's length by themselves when there is one block: they ask for the number of blocks."""

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type] # only bodies that have a length get here
