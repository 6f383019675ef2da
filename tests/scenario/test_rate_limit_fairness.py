"""Rate limit shared by namespaces: a hostile one, with due pods or PodRolls without end, blocks no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.controller.key import Key
from memroll.planning.rate_limit import RollRateLimit
from tests.builders import at, roll_json
from tests.scenario.test_planning import DefectiveOperator, LargeCluster

if TYPE_CHECKING:
    from memroll.controller.policy_controller import PolicyController

HOSTILE, VICTIM = "hostile", "victim"
POLICIES = 15
"""Policies of the hostile namespace, with four due pods each: its pods allow 30 rolls per hour."""


class TwoNamespaces:
    """One process with a hostile namespace of 60 due pods, and another namespace with a due pod."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cluster = LargeCluster((HOSTILE,), POLICIES)
        self.victim = Key(VICTIM, "victim-app-0")
        other = LargeCluster((VICTIM,), 1)
        self.cluster.pods_of[self.victim] = other.pods_of[self.victim][:1]
        self.cluster.policies_json |= other.policies_json
        self.operator = DefectiveOperator(self.cluster, RollRateLimit(), monkeypatch)
        self.policies: PolicyController = self.operator.restarted().policies

    async def reconcile_hostile(self) -> int:
        for key in self.cluster.keys:
            await self.policies.reconcile(key)
        return self.cluster.rolls_in(HOSTILE)

    async def reconcile_victim(self) -> int:
        await self.policies.reconcile(self.victim)
        return self.cluster.rolls_in(VICTIM)

    def create_rolls(self, count: int, policy: str) -> None:
        """Create PodRolls as a tenant can, in all phases that count."""
        for i in range(count):
            raw = roll_json("Replacing", created=at(-60), spec={"policy": policy, "podUID": f"pod-{i}"})
            meta = raw["metadata"] | {"name": f"by-hand-{policy}-{i}", "namespace": HOSTILE, "uid": f"by-hand-{i}"}
            self.cluster.rolls_json[meta["name"]] = raw | {"metadata": meta}


async def test_a_namespace_that_has_used_all_rolls_does_not_block_another(monkeypatch):
    sim = TwoNamespaces(monkeypatch)
    assert await sim.reconcile_hostile() == 30, "no other namespace has a due pod"
    assert await sim.reconcile_victim() == 1


@pytest.mark.parametrize("policy", ["", "hostile-app-0"])
async def test_podrolls_by_hand_do_not_block_another_namespace_even_with_a_forged_policy(policy, monkeypatch):
    sim = TwoNamespaces(monkeypatch)
    sim.create_rolls(30, policy)
    assert await sim.reconcile_victim() == 1
    assert await sim.reconcile_hostile() == 30, "they count in their own namespace"


async def test_a_namespace_gets_its_quota_while_a_pod_of_another_one_is_due(monkeypatch):
    sim = TwoNamespaces(monkeypatch)
    assert await sim.reconcile_victim() == 1
    assert await sim.reconcile_hostile() == 15
    events = [e for e in sim.operator.recorder.events if e.reason == "RollRateLimited"]
    assert events[-1].message.startswith("The roll rate limit blocks the roll until ")
    assert "15 rolls of this namespace within an hour, at most 15 of 30 while" in events[-1].message


@pytest.mark.parametrize("ends", ["deleted", "healthy", "not reconciled for long"])
async def test_a_namespace_may_use_all_rolls_again_when_no_other_pod_is_due(ends, monkeypatch):
    sim = TwoNamespaces(monkeypatch)
    await sim.reconcile_victim()
    if ends == "deleted":
        del sim.cluster.policies_json[sim.victim.name]
    elif ends == "healthy":
        sim.cluster.pods_of[sim.victim] = ()
    if ends == "not reconciled for long":
        sim.cluster.seconds = 900
    else:
        await sim.policies.reconcile(sim.victim)
    assert await sim.reconcile_hostile() == 29, "one was used by the other namespace"
