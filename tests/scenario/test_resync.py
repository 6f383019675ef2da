"""The resync and `memroll retire` with a pod, or a roll, that meets a bug: it stays that object's."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from memroll.cli import operator, retire
from memroll.controller.controllers import Passes
from memroll.controller.workqueue import Key, Schedule, supervise
from memroll.model.pods import HASH_ANNOTATION, OWNER_ANNOTATION, RELEASED_HASH, ROLL_ANNOTATION
from memroll.reporting.metrics import Metrics
from tests.builders import at, roll_json
from tests.fakes import FakeCluster, FakePrometheus, Log
from tests.scenario.test_strays import ODD_NOTES


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    monkeypatch.setattr(operator, "PULSE_S", 0.01)
    monkeypatch.setattr(operator, "RESYNC_S", 0.01)
    monkeypatch.setattr(retire, "PAUSE_S", 0.01)


def passes_over(cluster: FakeCluster) -> Passes:
    return Passes(
        cluster=cluster, prometheus=FakePrometheus({}), recorder=Log(), metrics=Metrics(), leads=lambda: True,
        wake_roll=lambda _: None, wake_policy=lambda _: None, now=lambda: at(cluster.seconds), retiring="the end",
    )  # fmt: skip


def parts_of(passes: Passes) -> SimpleNamespace:
    """Build what the resync uses of the operator's parts."""
    return SimpleNamespace(
        passes=passes,
        metrics=passes.metrics,
        recorder=SimpleNamespace(dropped=0),
        lease=SimpleNamespace(is_leader=lambda: True),
        policies=Schedule(passes.over_policy, 1),
        rolls=Schedule(passes.over_roll, 1),
    )


def tampered(cluster: FakeCluster, note: str) -> str:
    """Have a tenant write a note on a pod; return the pod's name."""
    name = next(iter(cluster.pods))
    labels = {**cluster.pods[name].labels, "pod-template-hash": RELEASED_HASH}
    marks = {OWNER_ANNOTATION: note, HASH_ANNOTATION: "5d", ROLL_ANNOTATION: "gone"}
    cluster.pods[name] = replace(cluster.pods[name], labels=labels, annotations=marks)
    return name


async def resynced(parts: SimpleNamespace, rounds: int) -> None:
    """Let the supervised resync look so many times; fail if it ends."""
    looked, enough = 0, asyncio.Event()
    known = parts.passes.cluster.policies

    async def counted(namespaces):
        nonlocal looked
        looked += 1
        if looked == rounds:
            enough.set()
        return await known(namespaces)

    parts.passes.cluster.policies = counted
    async with asyncio.timeout(10):
        assert await supervise({"resync": operator._resync(parts), "enough": enough.wait()}) == "enough"


@pytest.mark.parametrize("note", ODD_NOTES)
async def test_no_note_on_a_pod_ends_the_operator_or_fails_an_uninstall(note):
    cluster = FakeCluster()
    name = tampered(cluster, note)
    await resynced(parts_of(passes_over(cluster)), rounds=3)
    assert cluster.writes == [f"restore {name}"]
    tampered(cluster, note)
    assert await retire._take_back(passes_over(cluster), timeout_s=5) == []


async def test_a_bug_in_the_resync_does_not_end_the_operator(monkeypatch, caplog):
    cluster = FakeCluster()
    passes = passes_over(cluster)

    async def odd(namespace):
        raise TypeError("unhashable type: 'list'")

    monkeypatch.setattr(cluster, "rolls", odd)
    await resynced(parts_of(passes), rounds=3)
    assert "a bug: the resync failed" in caplog.text


async def test_a_bug_that_one_roll_meets_does_not_keep_an_uninstall_from_taking_back_the_others(monkeypatch, caplog):
    cluster = FakeCluster()
    for name in ("odd", "even"):
        raw = roll_json("Announced", spec={"podName": "leaky-1", "podUID": "uid-leaky-1"})
        cluster.rolls_json[name] = raw | {"metadata": raw["metadata"] | {"name": name, "uid": name}}
    passes = passes_over(cluster)
    step = Passes._step

    async def sometimes(self, roll):
        if roll.name == "odd":
            raise ZeroDivisionError
        return await step(self, roll)

    monkeypatch.setattr(Passes, "_step", sometimes)
    assert await retire._take_back(passes, timeout_s=0.1) == ["PodRoll demo/odd"]
    assert cluster.rolls_json["even"]["status"]["reason"] == "Retired"
    assert "a bug: work on demo/odd failed" in caplog.text
    assert Key("demo", "odd") not in (await passes.known())[0]
