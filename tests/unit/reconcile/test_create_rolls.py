"""Creation of the PodRolls of a plan: a refused one blocks its own pod only."""

from __future__ import annotations

from typing import Any

import pytest

from memroll.errors import ClusterUnavailableError, ConflictError, MemrollError, NotFoundError, TerminalError
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


class Failing(FakeCluster):
    """Cluster that fails to create the PodRoll of one pod, or finds its name taken and fails to read that PodRoll."""

    def __init__(self, error: MemrollError, *, conflict: bool) -> None:
        super().__init__(replicas=0)
        self.error, self.conflict = error, conflict

    async def create_roll(self, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        if manifest["spec"]["podName"] == "second":
            raise ConflictError("Conflict", "taken") if self.conflict else self.error
        return await super().create_roll(namespace, manifest)

    async def get_roll(self, namespace: str, name: str) -> dict[str, Any] | None:
        raise self.error


@pytest.mark.parametrize("conflict", [False, True])
@pytest.mark.parametrize("kind", [TerminalError, ClusterUnavailableError, NotFoundError])
async def test_an_error_after_the_first_creation_blocks_one_pod_and_keeps_the_others(kind, conflict):
    names, error = ("first", "second", "third"), kind("Cause", "the API server fails")
    three = tuple(candidate(pod=pod(name)) for name in names)
    cluster = Failing(error, conflict=conflict)
    plan, made = await create_rolls(PolicySnapshot(policy(), (), (), NOW), Plan(three), (), cluster)
    assert [roll.spec.pod_name for roll in made] == ["first", "third"]
    (blocked,) = plan.blocked
    assert (blocked.gate, blocked.error) == (Gate.POD_ROLL_NOT_CREATED, error)
    assert blocked.message == "its PodRoll can't be created: the API server fails"


async def test_a_lease_lost_after_the_first_creation_keeps_it_and_blocks_the_others():
    leadership = iter([True])
    snapshot = PolicySnapshot(policy(), (), (), NOW, leads=lambda: next(leadership, False))
    three = tuple(candidate(pod=pod(name)) for name in ("first", "second", "third"))
    plan, made = await create_rolls(snapshot, Plan(three), (), FakeCluster(replicas=0))
    assert [roll.spec.pod_name for roll in made] == ["first"]
    assert [b.gate for b in plan.blocked] == [Gate.NOT_LEADER] * 2


async def test_a_created_podroll_that_can_not_be_read_blocks_its_pod():
    class Mutating(FakeCluster):
        async def create_roll(self, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
            created = await super().create_roll(namespace, manifest)
            return created | {"spec": {"podName": "UPPER"}}

    plan, made = await create_rolls(PolicySnapshot(policy(), (), (), NOW), Plan((candidate(),)), (), Mutating(0))
    assert (made, plan.rolls) == ((), ())
    (blocked,) = plan.blocked
    assert blocked.message.endswith(
        "was created, but is invalid in the API server's response: check the mutating webhooks"
    )
