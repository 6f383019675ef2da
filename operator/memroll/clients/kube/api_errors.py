"""Translation of a response of the API server into one of memroll's errors."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from memroll.clients.kube.json_access import get_str
from memroll.errors import ClusterUnavailableError, ConflictError, MemrollError, NotFoundError, TerminalError

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import ApiRequest, ApiResponse, Json

MAX_MESSAGE_CHARS = 300
"""Maximum length of an error message, in characters; chosen by hand."""
EXPIRED = "Expired"
"""Error reason of a list whose continue token expired: the list must be restarted."""


def unwrap_response(request: ApiRequest, response: ApiResponse) -> Json:
    """Return the body of a successful response; raise the error of any other."""
    error = to_error(request, response)
    if error is not None:
        raise error
    return response.body


def to_error(request: ApiRequest, response: ApiResponse) -> MemrollError | None:
    """Translate a response into one of memroll's errors; None for a success."""
    status = response.status
    if status < HTTPStatus.BAD_REQUEST:
        return None
    detail = get_str(response.body, "message") or f"status {status}"
    if status == HTTPStatus.UNAUTHORIZED and get_str(response.body, "kind") != "Status":  # of a proxy
        detail = f"Unauthorized: {detail}"
    message = f"{request.method} {request.path}: {detail}"[:MAX_MESSAGE_CHARS]
    retry_after_s = 5.0 if response.retry_after_s is None else response.retry_after_s
    if status == HTTPStatus.NOT_FOUND:
        return NotFoundError("NotFound", message)
    if status == HTTPStatus.CONFLICT:
        return ConflictError(get_str(response.body, "reason") or "Conflict", message, retry_after_s)
    if status == HTTPStatus.GONE:
        return ClusterUnavailableError(EXPIRED, message, retry_after_s)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ClusterUnavailableError("TooManyRequests", message, retry_after_s)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ClusterUnavailableError("ServerError", message, retry_after_s)
    forbidden = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    return TerminalError("Forbidden" if forbidden else "Rejected", message)
