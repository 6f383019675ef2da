"""HTTP request and response, independent of the interface that carries them (ASGI, WSGI or the probe's own port)."""

from __future__ import annotations

from dataclasses import dataclass

JSON = "application/json"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str = ""
    authorization: str = ""


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()

    def all_headers(self) -> list[tuple[str, str]]:
        return [
            ("content-type", self.content_type),
            ("content-length", str(len(self.body))),
            ("cache-control", "no-store"),
            *self.headers,
        ]
