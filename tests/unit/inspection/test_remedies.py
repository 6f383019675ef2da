"""Errors of the cluster as one line with the remedy."""

from __future__ import annotations

import pytest

from memroll.errors import NotFoundError, PrometheusUnavailableError, TerminalError
from memroll.inspection.remedies import describe

LISTED = "GET /apis/memroll.dev/v1alpha1/namespaces/ai/podrolls"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(
            NotFoundError("NotFound", f"{LISTED}: the server could not find the requested resource"),
            "memroll is not installed in this cluster: install its chart, or 'memroll crds | kubectl apply -f -'",
            id="no CRDs",
        ),
        pytest.param(
            NotFoundError("NotFound", f"{LISTED}: 404 page not found\n"),
            "memroll is not installed in this cluster: install its chart, or 'memroll crds | kubectl apply -f -'",
            id="no kind of the group",
        ),
        pytest.param(
            NotFoundError("NotFound", "GET /api/v1/namespaces/ai/pods: 404 page not found\n"),
            "404 page not found",
            id="not a path of memroll",
        ),
        pytest.param(
            NotFoundError("NotFound", f'{LISTED}/x: podrolls.memroll.dev "x" not found'),
            'podrolls.memroll.dev "x" not found',
            id="an object that does not exist",
        ),
        pytest.param(
            TerminalError(
                "Forbidden",
                f'{LISTED}: podrolls.memroll.dev is forbidden: User "jo" cannot list resource "podrolls" in API group '
                '"memroll.dev" in the namespace "ai"',
            ),
            "'kubectl auth can-i list podrolls.memroll.dev' must answer yes: request it from an administrator",
            id="no rights",
        ),
        pytest.param(
            TerminalError("Forbidden", f"{LISTED}: Unauthorized"),
            "Unauthorized: the API server does not accept your credentials: log in again, or use another --context",
            id="no credentials",
        ),
        pytest.param(
            PrometheusUnavailableError("Timeout", "prometheus:9090 did not answer within 5 s"),
            "prometheus:9090 did not answer within 5 s",
            id="Prometheus, whose messages have remedies of their own",
        ),
    ],
)
def test_an_error_has_its_remedy(error, expected):
    assert describe(error).endswith(expected)
    assert "/apis/" not in describe(error)


def test_a_message_is_bounded():
    assert len(describe(TerminalError("Rejected", "x" * 10_000))) == 500
