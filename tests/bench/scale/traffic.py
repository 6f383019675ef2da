"""Requests by kind: counts, bytes, and their difference between two instants. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

WRITES = ("POST", "PUT", "PATCH", "DELETE")
OTHER = "other"
COUNTS_PATH = "/bench/counts"
"""Path under which a proxy returns its counts."""


@dataclass(frozen=True)
class Count:
    """Requests of one kind. `wire_bytes` are those of the responses as sent, `decoded_bytes` without compression."""

    requests: int = 0
    failed: int = 0
    sent_bytes: int = 0
    wire_bytes: int = 0
    decoded_bytes: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(*(a + b for a, b in zip(self._values, other._values, strict=True)))

    def __sub__(self, other: Count) -> Count:
        return Count(*(a - b for a, b in zip(self._values, other._values, strict=True)))

    @property
    def _values(self) -> tuple[int, ...]:
        return (self.requests, self.failed, self.sent_bytes, self.wire_bytes, self.decoded_bytes)


NOTHING = Count()


class Traffic:
    """Counts by kind, which grow."""

    def __init__(self, counts: Mapping[str, Count] | None = None) -> None:
        self.counts: dict[str, Count] = dict(counts or {})

    def add(self, kind: str, count: Count) -> None:
        self.counts[kind] = self.counts.get(kind, NOTHING) + count

    def since(self, earlier: Traffic) -> Traffic:
        """Return what came after an earlier instant."""
        rest = {kind: count - earlier.counts.get(kind, NOTHING) for kind, count in self.counts.items()}
        return Traffic({kind: count for kind, count in rest.items() if count != NOTHING})

    @property
    def total(self) -> Count:
        return sum(self.counts.values(), NOTHING)

    def to_dict(self) -> dict[str, dict[str, int]]:
        return {kind: asdict(count) for kind, count in sorted(self.counts.items())}

    @classmethod
    def from_dict(cls, given: Mapping[str, Mapping[str, int]]) -> Traffic:
        return cls({kind: replace(NOTHING, **count) for kind, count in given.items()})


def api_kind(method: str, url: str) -> str:
    """Return verb and resource of a request to the API server, such as `list pods` or `update podrolls/status`."""
    parts = urlsplit(url)
    words = [word for word in parts.path.split("/") if word]
    prefix = {"api": 2, "apis": 3}.get(words[0] if words else "", len(words))
    rest = words[prefix:]
    if len(rest) > 2 and rest[0] == "namespaces":
        rest = rest[2:]
    if not rest:
        return f"get {OTHER}"
    resource = "/".join([rest[0], *rest[2:]])
    return f"{_verb(method, is_named=len(rest) > 1, query=parts.query)} {resource}"


def _verb(method: str, *, is_named: bool, query: str) -> str:
    if method in WRITES:
        return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[method]
    if parse_qs(query).get("watch", [""])[0] in ("1", "true"):
        return "watch"
    return "get" if is_named else "list"


def prometheus_kind(method: str, url: str) -> str:
    """Return the endpoint of a request to Prometheus, such as `query`."""
    del method
    return urlsplit(url).path.rsplit("/", 1)[-1] or OTHER
