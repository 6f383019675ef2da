"""Requests of the eviction API, and their expected refusals."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from memroll.clients.kube.api_client import ApiRequest, build_path
from memroll.clients.kube.api_errors import MAX_MESSAGE_CHARS
from memroll.clients.kube.json_access import get_dicts, get_str
from memroll.clients.kube.pods import CORE
from memroll.model.pods import ROLL_ANNOTATION
from memroll.rolling.eviction_response import EvictionResponse, EvictionResult

if TYPE_CHECKING:
    from memroll.clients.kube.api_client import ApiResponse
    from memroll.errors import MemrollError
    from memroll.model.pods import PodKey

EVICTION_TIMEOUT_S = 10.0
"""Timeout of an eviction request, in seconds; chosen by hand."""


def eviction_request(key: PodKey, resource_version: str = "", roll_name: str = "") -> ApiRequest:
    """Build the eviction of exactly the pod that was read: a delayed request must not evict a restored pod."""
    annotations = {"annotations": {ROLL_ANNOTATION: roll_name}} if roll_name else {}
    preconditions = {"uid": key.uid} | ({"resourceVersion": resource_version} if resource_version else {})
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": key.name, "namespace": key.namespace, **annotations},
        "deleteOptions": {"preconditions": preconditions},
    }
    path = build_path(CORE, key.namespace, "pods", key.name, "eviction")
    return ApiRequest("POST", path, body=body, timeout_s=EVICTION_TIMEOUT_S)


def refused(result: EvictionResult, response: ApiResponse, error: MemrollError) -> EvictionResponse:
    """Return the refusal in the words of the API server, or of the error without any."""
    return EvictionResponse(result, get_str(response.body, "message")[:MAX_MESSAGE_CHARS] or error.message)


def expected_refusal(response: ApiResponse) -> EvictionResult | None:
    """Classify an error response of the eviction API; None for an error that any other request can have.

    Status 429 is that of a PodDisruptionBudget, or of too many requests; 500 is that of two PodDisruptionBudgets.
    """
    if response.status == HTTPStatus.NOT_FOUND:
        return EvictionResult.GONE
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        return EvictionResult.BLOCKED if "DisruptionBudget" in get_causes(response) else EvictionResult.THROTTLED
    if response.status == HTTPStatus.INTERNAL_SERVER_ERROR and _has_several_budgets(response):
        return EvictionResult.MISCONFIGURED
    return None


def _has_several_budgets(response: ApiResponse) -> bool:
    return "more than one PodDisruptionBudget" in get_str(response.body, "message")


def get_causes(response: ApiResponse) -> frozenset[str]:
    """Return the machine-readable causes of an error response."""
    return frozenset(get_str(cause, "reason") for cause in get_dicts(response.body, "details", "causes"))
