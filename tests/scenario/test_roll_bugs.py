"""A bug of memroll in the steps of a PodRoll: visible in that roll, retried with growing delays, and bounded."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from memroll.api.pod_roll import PodRoll
from memroll.controller.key import Key
from memroll.model.pods import RELEASED_HASH
from memroll.reconcile import roll as roll_step
from memroll.reporting import event_builder
from tests.builders import roll_json
from tests.scenario.simulation import Simulation, leaking

if TYPE_CHECKING:
    from collections.abc import Callable

ROLL = Key("demo", "roll-1")
POD = "leaky-1"
BOUND_S = 600


class Bug:
    """Function that raises an unexpected exception instead of its result, a number of times."""

    def __init__(self, original: Callable[..., Any], times: int, *, after_effect: bool = False) -> None:
        self._original, self._left, self._after_effect = original, times, after_effect

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._left <= 0:
            return self._original(*args, **kwargs)
        self._left -= 1
        return self._fail_later(*args, **kwargs) if self._after_effect else self._fail()

    def _fail(self) -> Any:
        raise IndexError("list index out of range")

    async def _fail_later(self, *args: Any, **kwargs: Any) -> Any:
        await self._original(*args, **kwargs)
        self._fail()


@pytest.fixture
def sim() -> Simulation:
    return with_rolls(leaking(), "roll-1")


def with_rolls(sim: Simulation, *names: str) -> Simulation:
    for number, name in enumerate(names, 1):
        pod = sim.cluster.pods[f"leaky-{number}"].key
        created = roll_json(spec={"podName": pod.name, "podUID": pod.uid, "strategy": "Surge", "policy": ""})
        created["metadata"] |= {"name": name, "uid": f"uid-{name}"}
        sim.cluster.rolls_json[name] = created
    return sim


def break_method(sim: Simulation, name: str, times: int = 10**6, *, after_effect: bool = False) -> None:
    setattr(sim.cluster, name, Bug(getattr(sim.cluster, name), times, after_effect=after_effect))


def status(sim: Simulation, name: str = "roll-1") -> dict[str, Any]:
    return sim.cluster.rolls_json[name]["status"]


async def step_until(sim: Simulation, phase: str) -> None:
    """Step the roll and the cluster until the roll is in this phase."""
    for _ in range(30):
        if status(sim).get("phase") == phase:
            return
        await sim.controllers.rolls.reconcile(ROLL)
        if status(sim).get("phase") != phase:
            sim.cluster.settle()
    raise AssertionError(f"the roll does not reach {phase}: {status(sim)}")


async def run_until_end(sim: Simulation) -> list[float]:
    """Reconcile the roll when it is due, until it has ended; return the delays."""
    waits: list[float] = []
    while len(waits) < 200:
        wait_s = await sim.controllers.rolls.reconcile(ROLL)
        if wait_s is None:
            return waits
        waits.append(wait_s)
        sim.cluster.settle()
        sim.cluster.seconds += max(0.0, wait_s - 1)
    raise AssertionError(f"the roll does not end: {status(sim)}")


def warnings(sim: Simulation, kind: str = "PodRoll") -> list[str]:
    return [r for r in sim.recorder.reasons(kind) if r == "InternalError"]


async def test_a_bug_is_recorded_once_and_retried_with_growing_delays(sim: Simulation) -> None:
    break_method(sim, "list_pods")
    started = sim.cluster.seconds
    assert await sim.controllers.rolls.reconcile(ROLL) == 2
    first = status(sim)
    assert first["stepFailure"]["reason"] == "InternalError"
    assert first["stepFailure"]["message"] == (
        "a bug of memroll (IndexError) ended a step, which is repeated for up to 10m: memroll's log has the details"
    )
    sim.cluster.seconds += 2
    waits = await run_until_end(sim)
    assert waits[:6] == [2, 4, 8, 16, 32, 60]
    assert set(waits[6:]) == {60}
    assert BOUND_S <= sim.cluster.seconds - started < BOUND_S + 61
    assert sim.cluster.writes == ["status roll-1 ", "status roll-1 Failed"], "nothing is written in between"
    assert (warnings(sim), warnings(sim, "Pod")) == (["InternalError"], [])
    assert sim.metrics.registry.get_sample_value(
        "memroll_rolls_total", {"namespace": "demo", "policy": "", "outcome": "Failed"}
    )


async def test_a_success_resets_the_count(sim: Simulation) -> None:
    break_method(sim, "list_pods", times=2)
    await sim.controllers.rolls.reconcile(ROLL)
    sim.cluster.seconds += BOUND_S - 1
    await sim.controllers.rolls.reconcile(ROLL)
    await sim.controllers.rolls.reconcile(ROLL)
    assert (status(sim)["phase"], "stepFailure" in status(sim)) == ("CapturingEvidence", False)
    break_method(sim, "list_pods", times=1)
    sim.cluster.seconds += BOUND_S
    await sim.controllers.rolls.reconcile(ROLL)
    assert status(sim)["phase"] == "CapturingEvidence", "the bug of 10 minutes ago does not count"
    await run_until_end(sim)
    assert status(sim)["phase"] == "Succeeded"


async def test_a_restarted_operator_continues_the_count(sim: Simulation) -> None:
    break_method(sim, "list_pods")
    await sim.controllers.rolls.reconcile(ROLL)
    sim.cluster.seconds += BOUND_S
    sim.restart()
    assert await sim.controllers.rolls.reconcile(ROLL) is None
    assert (status(sim)["phase"], status(sim)["reason"]) == ("Failed", "InternalError")
    assert len(warnings(sim)) == 1


def observing(sim: Simulation, _: pytest.MonkeyPatch, times: int) -> None:
    break_method(sim, "list_pods", times)


def deciding(_: Simulation, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    monkeypatch.setattr(roll_step, "next_transition", Bug(roll_step.next_transition, times))


def recording(_: Simulation, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    monkeypatch.setattr(roll_step, "_write", Bug(roll_step._write, times))


def reporting(_: Simulation, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    monkeypatch.setattr(event_builder, "roll_step_events", Bug(event_builder.roll_step_events, times))


ACTIONS = {"CapturingEvidence": "release", "Replacing": "add_owner", "Evicting": "evict"}
"""Client methods by the phase in which a roll calls them next."""


def acting(sim: Simulation, _: pytest.MonkeyPatch, times: int) -> None:
    break_method(sim, ACTIONS[status(sim)["phase"]], times)


@pytest.mark.parametrize("place", [observing, deciding, recording, reporting, acting], ids=lambda f: f.__name__)
@pytest.mark.parametrize("phase", ["CapturingEvidence", "Replacing", "Evicting"])
async def test_a_roll_with_a_bug_that_occurs_once_succeeds(
    sim: Simulation, monkeypatch: pytest.MonkeyPatch, place: Callable[..., None], phase: str
) -> None:
    await step_until(sim, phase)
    place(sim, monkeypatch, 1)
    await run_until_end(sim)
    assert (status(sim)["phase"], "stepFailure" in status(sim)) == ("Succeeded", False)
    assert sim.cluster.evicted == ["uid-leaky-1"]
    assert sim.cluster.min_ready == 1


@pytest.mark.parametrize("place", [observing, deciding, recording], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("phase", "state"),
    [
        ("CapturingEvidence", "the pod is not changed"),
        ("Replacing", "the pod may be released, and is restored"),
        ("Evicting", "the pod may be evicted, and is restored if it still exists"),
        ("Verifying", "the old pod is gone or terminating, and its replacement is not checked"),
    ],
)
async def test_a_roll_with_a_bug_that_stays_ends_and_leaves_no_trace(
    sim: Simulation, monkeypatch: pytest.MonkeyPatch, place: Callable[..., None], phase: str, state: str
) -> None:
    await step_until(sim, "Evicting" if phase == "Verifying" else phase)
    if phase == "Verifying":  # a step that finds the pod replaced as well does not stay in it
        sim.cluster.settle()
        record = sim.cluster.rolls_json["roll-1"]["status"]
        record |= {"phase": phase, "times": record["times"] | {"verifying": record["times"]["evicting"]}}
    evicted = list(sim.cluster.evicted)
    sim.restart()  # nothing is remembered of the last observation
    place(sim, monkeypatch, 10**6)
    await run_until_end(sim)
    ended = PodRoll.read(sim.cluster.rolls_json["roll-1"])
    assert (ended.status.phase, ended.status.reason) == ("Failed", "InternalError")
    assert ended.status.message.endswith(f", memroll's log has the details: {state}")
    assert sim.cluster.evicted == evicted, "no eviction after the bug"
    assert ended.has_used_budget is (phase in ("Evicting", "Verifying")), "an eviction may have been sent"
    assert ended.has_ended_unchanged is (phase == "CapturingEvidence")
    for _ in range(3):
        sim.cluster.settle()
    assert [p.labels["pod-template-hash"] for p in sim.cluster.pods.values()] == ["5d"]
    assert all(p.controller is not None for p in sim.cluster.pods.values())
    assert sim.cluster.min_ready == 1
    assert "RollReverted" not in sim.recorder.reasons("PodRoll")


async def test_a_pod_that_was_evicted_before_the_bug_is_not_evicted_again(sim: Simulation) -> None:
    await step_until(sim, "Replacing")
    break_method(sim, "evict", after_effect=True)
    await run_until_end(sim)
    assert (status(sim)["phase"], sim.cluster.evicted) == ("Succeeded", ["uid-leaky-1"])


async def test_an_eviction_before_a_bug_that_stays_is_not_repeated_and_counts(sim: Simulation) -> None:
    await step_until(sim, "Replacing")
    break_method(sim, "evict", after_effect=True)
    while not sim.cluster.evicted:
        await sim.controllers.rolls.reconcile(ROLL)
        sim.cluster.settle()
    break_method(sim, "list_pods")
    await run_until_end(sim)
    ended = PodRoll.read(sim.cluster.rolls_json["roll-1"])
    assert (ended.status.reason, ended.has_used_budget) == ("InternalError", True)
    assert sim.cluster.evicted == ["uid-leaky-1"]


@pytest.mark.parametrize("action", ["release", "add_owner", "evict"])
async def test_a_roll_with_an_action_that_always_fails_ends(sim: Simulation, action: str) -> None:
    """By the bound of its phase, or by that of the bug."""
    await step_until(sim, "CapturingEvidence")
    break_method(sim, action)
    await run_until_end(sim)
    assert status(sim)["phase"] == "Failed"
    for _ in range(3):
        sim.cluster.settle()
    assert (sim.cluster.evicted, sim.cluster.pods[POD].labels["pod-template-hash"]) == ([], "5d")
    assert sim.cluster.pods[POD].controller is not None
    assert sim.cluster.min_ready == 1


async def test_a_roll_whose_rollback_always_fails_ends_and_its_pod_is_restored_later(sim: Simulation) -> None:
    await step_until(sim, "Replacing")
    sim.cluster.rolls_json["roll-1"]["spec"]["cancel"] = True
    restore = sim.cluster.restore
    break_method(sim, "restore")
    await run_until_end(sim)
    assert status(sim)["phase"] == "Failed"
    assert RELEASED_HASH in sim.cluster.pods[POD].labels.values()
    sim.cluster.restore = restore  # type: ignore[method-assign]
    await sim.restore_orphans()
    assert (sim.cluster.pods[POD].labels["pod-template-hash"], sim.cluster.evicted) == ("5d", [])


async def test_a_bug_in_the_events_does_not_stop_the_roll(sim: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step is made before it is reported."""
    reporting(sim, monkeypatch, 10**6)
    for _ in range(40):
        with suppress(IndexError):  # the work queue catches it
            await sim.controllers.rolls.reconcile(ROLL)
        sim.cluster.settle()
    assert (status(sim)["phase"], sim.cluster.evicted) == ("Succeeded", ["uid-leaky-1"])


async def test_a_bug_in_one_roll_does_not_delay_another() -> None:
    sim = with_rolls(leaking(2), "roll-1", "roll-2")
    get_pod, bug = sim.cluster.get_pod, Bug(lambda: None, 10**6)

    async def get_pod_with_bug(namespace: str, name: str) -> Any:
        return bug() if name == POD else await get_pod(namespace, name)

    sim.cluster.get_pod = get_pod_with_bug  # type: ignore[method-assign]
    await sim.run_rolls(12)
    assert status(sim)["stepFailure"]["reason"] == "InternalError"
    assert (status(sim, "roll-2")["phase"], sim.cluster.evicted) == ("Succeeded", ["uid-leaky-2"])


async def test_a_bug_in_writing_the_failure_concerns_only_its_roll(sim: Simulation) -> None:
    """The work queue catches it; once the record can be written again, the count begins."""
    break_method(sim, "list_pods")
    break_method(sim, "write_status", times=2)
    for _ in range(2):
        with pytest.raises(IndexError):
            await sim.controllers.rolls.reconcile(ROLL)
    await run_until_end(sim)
    assert status(sim)["reason"] == "InternalError"


async def test_a_standby_records_no_bug(sim: Simulation) -> None:
    await step_until(sim, "Replacing")
    original = sim.cluster.list_pods

    async def lose_lease(*args: Any) -> Any:
        sim.leads = False
        raise IndexError(await original(*args))

    sim.cluster.list_pods = lose_lease  # type: ignore[method-assign]
    writes = list(sim.cluster.writes)
    await sim.controllers.rolls.reconcile(ROLL)
    assert sim.cluster.writes == writes
    assert RELEASED_HASH in sim.cluster.pods[POD].labels.values()
