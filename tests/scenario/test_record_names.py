"""Names of PodRolls: a pod gets its next PodRoll, even if older ones were deleted or another object has its name."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from memroll.api.pod_roll import PodRoll
from memroll.planning.pod_roll_manifest import roll_names
from memroll.reconcile.create_rolls import MAX_NAMES_TRIED
from memroll.rolling.retention import garbage_collectable
from tests.builders import at, roll_json
from tests.fakes import FakeCluster, pod_key
from tests.scenario.simulation import Simulation, leaking


def name_of(pod: str, rolls: list[PodRoll]) -> str:
    return next(roll_names(pod_key(pod), rolls))


def fail(cluster: FakeCluster, name: str, seconds: float) -> None:
    """Let a roll fail so long ago that nothing blocks the next one."""
    stamp = at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")
    raw = cluster.rolls_json[name]
    status = {"phase": "Failed", "podUID": raw["spec"]["podUID"], "times": {"finished": stamp}}
    cluster.rolls_json[name] = raw | {"status": status, "metadata": raw["metadata"] | {"creationTimestamp": stamp}}


async def attempts(sim: Simulation, count: int) -> list[str]:
    for number in range(count):
        before = set(sim.cluster.rolls_json)
        await sim.reconcile()
        (name,) = set(sim.cluster.rolls_json) - before
        fail(sim.cluster, name, (number - count) * 86_400)
    return list(sim.cluster.rolls_json)


@pytest.mark.parametrize("gone", [[0], [1], [2], [0, 1], [0, 2], [0, 1, 2]])
async def test_a_deleted_podroll_does_not_prevent_the_next_one(gone):
    sim = leaking()
    names = await attempts(sim, 3)
    for number in gone:
        del sim.cluster.rolls_json[names[number]]
    left = set(sim.cluster.rolls_json)
    await sim.reconcile()
    (made,) = set(sim.cluster.rolls_json) - left
    assert sim.cluster.rolls_json[made]["spec"]["podName"] == "leaky-1"


async def test_an_active_podroll_of_another_operator_is_not_duplicated(monkeypatch):
    """It was created between the list and the creation of this reconcile."""
    sim = leaking()
    name = name_of("leaky-1", [])
    other = roll_json("Announced", spec={"podName": "leaky-1", "podUID": "uid-leaky-1"})
    hidden = other | {"metadata": other["metadata"] | {"name": name}}
    sim.cluster.rolls_json[name] = hidden

    async def none_yet(namespace):
        return ()

    monkeypatch.setattr(sim.cluster, "list_rolls", none_yet)
    await sim.reconcile()
    assert list(sim.cluster.rolls_json) == [name]
    assert "RollBlocked" not in sim.recorder.reasons("Pod")


def other_pods_roll(name: str, **spec: str) -> dict[str, Any]:
    raw = roll_json("Aborted", created=at(-86_400), spec={"podName": "other", "podUID": "uid-other"} | spec)
    return raw | {"metadata": raw["metadata"] | {"name": name, "uid": f"uid-{name}"}}


def invalid_roll(name: str) -> dict[str, Any]:
    return other_pods_roll(name) | {"status": {"phase": "NoSuchPhase"}}


@pytest.mark.parametrize("make", [other_pods_roll, invalid_roll])
async def test_another_pod_s_podroll_with_the_name_does_not_prevent_the_roll(make):
    sim = leaking()
    used_name = name_of("leaky-1", [])
    sim.cluster.rolls_json[used_name] = make(used_name)
    await sim.reconcile()
    (made,) = set(sim.cluster.rolls_json) - {used_name}
    assert sim.cluster.rolls_json[made]["spec"]["podName"] == "leaky-1"


async def test_with_all_names_taken_the_pod_is_blocked_and_the_reason_reported(caplog):
    sim = leaking()
    names = list(islice(roll_names(pod_key("leaky-1"), []), MAX_NAMES_TRIED))
    sim.cluster.rolls_json |= {name: invalid_roll(name) for name in names}
    await sim.reconcile()
    assert list(sim.cluster.rolls_json) == names
    message = (
        f"PodRoll {names[-1]} has the name that the pod's next PodRoll needs, but is about something else: delete it"
    )
    assert sim.blocked_message == message
    assert "RollBlocked" in sim.recorder.reasons("Pod")
    assert message in caplog.text


async def test_a_roll_that_ended_between_list_and_creation_blocks_the_pod(monkeypatch):
    sim = leaking()
    name = name_of("leaky-1", [])
    sim.cluster.rolls_json[name] = other_pods_roll(name, podName="leaky-1", podUID="uid-leaky-1")

    async def none_yet(namespace):
        return ()

    monkeypatch.setattr(sim.cluster, "list_rolls", none_yet)
    await sim.reconcile()
    assert list(sim.cluster.rolls_json) == [name]
    assert sim.blocked_message == (
        f"PodRoll {name} of this pod has just ended as Aborted: the next reconcile counts it"
    )


def test_in_thirty_days_of_failures_no_attempt_is_skipped():
    """One attempt every six hours, the maximum of the backoff; PodRolls are deleted after a week."""
    rolls: list[PodRoll] = []
    for hour in range(0, 30 * 24, 6):
        now = at(hour * 3600)
        gone = {r.name for r in garbage_collectable(rolls, now)}
        rolls = [r for r in rolls if r.name not in gone]
        name = name_of("leaky-1", rolls)
        assert name not in [r.name for r in rolls], f"hour {hour}"
        stamp = (now + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
        raw = roll_json("Failed", created=now, spec={"podUID": "uid-leaky-1"}, times={"finished": stamp})
        raw["metadata"] |= {"name": name, "uid": f"uid-{hour}"}
        rolls.append(PodRoll.read(raw))
    assert len(rolls) < 120, "some were deleted on the way"
