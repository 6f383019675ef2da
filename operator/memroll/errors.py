"""Errors of memroll, grouped by what the caller does next.

    MemrollError
    ├── TerminalError     a person must change something; a retry does not help. `BoundExceededError`: in a policy
    ├── RetryableError    retry after `retry_after_s`; `InternalError` stands for an unexpected exception
    └── NotFoundError, ProbeUnavailableError    expected; the caller continues without the result

Adapters translate every foreign exception into one of these classes, so no other layer depends on a client library.
`reason` is a CamelCase word for conditions and metrics; `message` is a sentence for people.
"""

from __future__ import annotations


class MemrollError(Exception):
    """Base class of all errors that memroll raises on purpose."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class TerminalError(MemrollError):
    """Error that stays until a person changes something, such as a spec, a permission or a file."""


class BoundExceededError(TerminalError):
    """Policy beyond a bound that the administrator set; the message has the field, its value and what is allowed."""


class RetryableError(MemrollError):
    """Temporary error: the caller does nothing now and retries after `retry_after_s`."""

    def __init__(self, reason: str, message: str, retry_after_s: float = 5.0) -> None:
        super().__init__(reason, message)
        self.retry_after_s = retry_after_s


class InternalError(RetryableError):
    """Unexpected exception, which is a bug of memroll: it is reported like any other error, and retried."""

    def __init__(self, bug: Exception, retry_after_s: float) -> None:
        message = f"a bug of memroll ended the reconcile ({type(bug).__name__}): its log has the details"
        super().__init__("InternalError", message, retry_after_s)


class ClusterUnavailableError(RetryableError):
    """Error of the API server: no response, or a response with status 429 or 5xx."""


class ConflictError(RetryableError):
    """Conflict with an earlier write by another client: read the object and decide again."""


class NotFoundError(MemrollError):
    """Object that does not exist, or no longer exists."""


class PrometheusUnavailableError(RetryableError):
    """Failed query to Prometheus; `reason` names the cause."""


class ProbeUnavailableError(MemrollError):
    """Missing or unusable memory report of a pod. The request is not repeated."""
