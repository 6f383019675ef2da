"""OpenShift: its SCC assigns user and groups, and refuses fixed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.chart.rendering import EVERYTHING, pod_specs

if TYPE_CHECKING:
    from tests.unit.chart.rendering import Helm

SECURITY_API = "security.openshift.io/v1"
IDS = {"runAsUser", "runAsGroup", "fsGroup"}


@pytest.mark.parametrize(
    ("adapt", "api", "fixed"),
    [
        pytest.param("auto", SECURITY_API, False, id="recognised"),
        pytest.param("auto", "", True, id="another cluster"),
        pytest.param("force", "", False, id="forced"),
        pytest.param("disabled", SECURITY_API, True, id="an SCC that permits the uid"),
    ],
)
def test_no_pod_has_a_fixed_uid_under_the_restricted_scc(helm: Helm, adapt: str, api: str, *, fixed: bool) -> None:
    sets = (f"openshift.adaptSecurityContext={adapt}", "securityContext.runAsUser=65532")
    pods = pod_specs(helm.render(*EVERYTHING, *sets, api=api))
    assert len(pods) == 4
    for name, pod in pods.items():
        contexts = [pod["securityContext"], *(c["securityContext"] for c in pod["containers"])]
        assert bool(IDS & {key for context in contexts for key in context}) is fixed, name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
