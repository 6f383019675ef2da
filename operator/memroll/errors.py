"""Errors say what happens next.

    MemrollError
    ├── Stalled      a person must change something; retrying will not help
    ├── Waiting      come back later; `retry_after_s` says when
    └── NotFound, Unanswered    facts: the caller goes on without

Adapters translate every foreign exception into one of these, so nothing above them knows a client library.
`reason` is a CamelCase word that goes into conditions and metrics; the message is for people.
"""

from __future__ import annotations


class MemrollError(Exception):
    """The base of all errors that memroll raises on purpose."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class Stalled(MemrollError):  # noqa: N818 - named for what happens next, as the style card asks
    """Nothing changes until a person acts."""


class Waiting(MemrollError):  # noqa: N818 - named for what happens next, as the style card asks
    """A passing trouble: the caller holds and comes back."""

    def __init__(self, reason: str, message: str, retry_after_s: float = 5.0) -> None:
        super().__init__(reason, message)
        self.retry_after_s = retry_after_s


class ClusterUnavailable(Waiting):
    """The API server did not answer, or answered 429 or 5xx."""


class Conflict(Waiting):
    """Someone else wrote the object first: read it again, then decide again."""


class NotFound(MemrollError):  # noqa: N818 - a fact, not a failure
    """The object does not exist (any more)."""


class PrometheusUnavailable(Waiting):
    """Prometheus could not be read: hold, with `reason` naming why."""


class Unanswered(MemrollError):  # noqa: N818 - a fact, not a failure
    """A pod that was asked for its own report did not give one that can be used. It is not asked again."""
