"""Wrong policies on the real cluster: each gets the message that its author needs, none crashes or rolls anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll_demo.cluster import CommandError, wait_for
from tests.e2e import objects
from tests.e2e.test_rolls import FAST_LEAK, wait_ready
from tests.wrong_policy_files import NOT_ACCEPTED, REFUSED

if TYPE_CHECKING:
    from memroll_demo.cluster import DemoCluster
    from tests.wrong_policy_files import WrongPolicy

pytestmark = [pytest.mark.cluster, pytest.mark.area("wrong"), pytest.mark.timeout(420)]


def refusal(cluster: DemoCluster, wrong: WrongPolicy, namespace: str) -> str:
    """Return the message of `kubectl apply`; empty if the API server accepts the policy."""
    try:
        cluster.kubectl("apply", "-n", namespace, "-f", str(wrong.path))
    except CommandError as error:
        return str(error)
    return ""


def restarts(cluster: DemoCluster, namespace: str) -> list[int]:
    """Return the number of restarts of each container of the operator."""
    pods = cluster.get("pods", namespace)
    return sorted(c["restartCount"] for p in pods for c in p["status"].get("containerStatuses", []))


def not_accepted(cluster: DemoCluster, namespace: str, wrong: WrongPolicy) -> tuple[str, str, str]:
    """Wait for the condition Accepted=False with the expected reason, and return the condition."""
    name, (reason, _) = wrong.manifest["metadata"]["name"], wrong.condition

    def found() -> tuple[str, str, str] | None:
        condition = cluster.condition(namespace, name, "Accepted")
        return condition if condition[:2] == ("False", reason) else None

    return wait_for(f"Accepted=False, {reason} of {name}", found)


def test_the_api_server_refuses_each_with_the_message_that_its_author_needs(
    cluster: DemoCluster, namespace: str
) -> None:
    messages = {w.name: (w.admission, refusal(cluster, w, namespace)) for w in REFUSED}
    assert {name: m for name, m in messages.items() if m[0] not in m[1]} == {}
    assert cluster.get("mempol", namespace) == []


def test_the_operator_accepts_none_of_the_others_and_rolls_nothing(
    cluster: DemoCluster, namespace: str, operator: str, service_image: str
) -> None:
    """Their pods leak, and every policy has mode Enforce."""
    before = restarts(cluster, operator)
    cluster.apply(
        *objects.deployment(namespace, "leaky", service_image, **FAST_LEAK),
        *objects.deployment(namespace, "taken", service_image, **FAST_LEAK),
        objects.policy(namespace, "older", selector={"matchLabels": {"app": "taken"}}, mode="Observe"),
    )
    wait_ready(cluster, namespace, "leaky")
    wait_ready(cluster, namespace, "taken")
    wait_for("the older policy", lambda: cluster.condition(namespace, "older", "Ready")[0] == "True")
    for wrong in NOT_ACCEPTED:
        assert refusal(cluster, wrong, namespace) == "", wrong.name
    for wrong in NOT_ACCEPTED:
        condition = not_accepted(cluster, namespace, wrong)
        assert wrong.condition[1] in condition[2], wrong.name
    assert cluster.condition(namespace, "older", "Ready")[0] == "True"
    assert cluster.rolls(namespace) == []
    assert restarts(cluster, operator) == before, "no container of the operator has ended"
