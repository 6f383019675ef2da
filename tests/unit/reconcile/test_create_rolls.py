"""Creation of the PodRolls of a plan: a refused one blocks its own pod only."""

from __future__ import annotations

from typing import Any

from memroll.errors import TerminalError
from memroll.planning.gate_result import Gate
from memroll.planning.plan import Plan
from memroll.reconcile.create_rolls import create_rolls
from memroll.reconcile.snapshot import PolicySnapshot
from tests.builders import NOW, candidate, pod, policy
from tests.fakes import FakeCluster


class Refusing(FakeCluster):
    """Cluster that refuses the PodRolls of one pod."""

    async def create_roll(self, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        if manifest["spec"]["podName"] == "refused":
            raise TerminalError("Rejected", "the webhook denied the request")
        return await super().create_roll(namespace, manifest)


async def test_a_podroll_that_is_refused_blocks_only_its_own_pod():
    refused, other = candidate(pod=pod("refused")), candidate(pod=pod("other"))
    plan, made = await create_rolls(
        PolicySnapshot(policy(), (), (), NOW), Plan((refused, other)), (), Refusing(replicas=0)
    )
    assert [roll.spec.pod_name for roll in made] == ["other"]
    assert plan.rolls == (other,)
    (blocked,) = plan.blocked
    assert (blocked.candidate, blocked.gate) == (refused, Gate.POD_ROLL_NOT_CREATED)
    assert blocked.message == "its PodRoll can't be created: the webhook denied the request"
