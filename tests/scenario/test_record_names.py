"""A pod that leaks on is rolled again, whichever of its older records are gone, and whatever bears their names."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import Any

import pytest

from memroll.api.pod_roll import PodRoll
from memroll.planning.pod_roll_manifest import names_of
from memroll.reconcile.create_rolls import NAMES_TRIED
from memroll.rolling.retention import expired
from tests.builders import at, roll_json
from tests.fakes import FakeCluster, key
from tests.scenario.test_passes import Stage, leaking


def name_of(pod: str, rolls: list[PodRoll]) -> str:
    return next(names_of(key(pod), rolls))


def fail(cluster: FakeCluster, name: str, seconds: float) -> None:
    """Have a roll end without having replaced its pod, so long ago that nothing holds the next one."""
    stamp = at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")
    raw = cluster.rolls_json[name]
    status = {"phase": "Failed", "podUID": raw["spec"]["podUID"], "times": {"finished": stamp}}
    cluster.rolls_json[name] = raw | {"status": status, "metadata": raw["metadata"] | {"creationTimestamp": stamp}}


async def attempts(stage: Stage, count: int) -> list[str]:
    for number in range(count):
        before = set(stage.cluster.rolls_json)
        await stage.judge()
        (name,) = set(stage.cluster.rolls_json) - before
        fail(stage.cluster, name, (number - count) * 86_400)
    return list(stage.cluster.rolls_json)


@pytest.mark.parametrize("gone", [[0], [1], [2], [0, 1], [0, 2], [0, 1, 2]])
async def test_a_record_that_is_deleted_does_not_end_the_attempts(gone):
    stage = leaking()
    names = await attempts(stage, 3)
    for number in gone:
        del stage.cluster.rolls_json[names[number]]
    left = set(stage.cluster.rolls_json)
    await stage.judge()
    (made,) = set(stage.cluster.rolls_json) - left
    assert stage.cluster.rolls_json[made]["spec"]["podName"] == "leaky-1"


async def test_a_record_of_another_operator_that_is_under_way_is_no_second_attempt(monkeypatch):
    """It was created between this pass's list and its own creation."""
    stage = leaking()
    name = name_of("leaky-1", [])
    other = roll_json("Announced", spec={"podName": "leaky-1", "podUID": "uid-leaky-1"})
    hidden = other | {"metadata": other["metadata"] | {"name": name}}
    stage.cluster.rolls_json[name] = hidden

    async def none_yet(namespace):
        return ()

    monkeypatch.setattr(stage.cluster, "rolls", none_yet)
    await stage.judge()
    assert list(stage.cluster.rolls_json) == [name]
    assert "RollHeld" not in stage.log.reasons("Pod")


def stranger(name: str, **spec: str) -> dict[str, Any]:
    raw = roll_json("Aborted", created=at(-86_400), spec={"podName": "other", "podUID": "uid-other"} | spec)
    return raw | {"metadata": raw["metadata"] | {"name": name, "uid": f"uid-{name}"}}


def unreadable(name: str) -> dict[str, Any]:
    return stranger(name) | {"status": {"phase": "NoSuchPhase"}}


@pytest.mark.parametrize("made_by", [stranger, unreadable])
async def test_a_foreign_record_that_bears_the_name_does_not_keep_the_pod_from_being_rolled(made_by):
    stage = leaking()
    taken = name_of("leaky-1", [])
    stage.cluster.rolls_json[taken] = made_by(taken)
    await stage.judge()
    (made,) = set(stage.cluster.rolls_json) - {taken}
    assert stage.cluster.rolls_json[made]["spec"]["podName"] == "leaky-1"


async def test_where_all_names_are_taken_the_pod_is_held_and_the_reason_told(caplog):
    stage = leaking()
    names = list(islice(names_of(key("leaky-1"), []), NAMES_TRIED))
    stage.cluster.rolls_json |= {name: unreadable(name) for name in names}
    await stage.judge()
    assert list(stage.cluster.rolls_json) == names
    words = f"PodRoll {names[-1]} bears the name of its next roll and is not about it: delete it"
    assert stage.status["nearest"][0]["heldBy"] == words
    assert "RollHeld" in stage.log.reasons("Pod")
    assert words in caplog.text


async def test_an_attempt_that_ended_between_list_and_creation_is_held_and_told(monkeypatch):
    stage = leaking()
    name = name_of("leaky-1", [])
    stage.cluster.rolls_json[name] = stranger(name, podName="leaky-1", podUID="uid-leaky-1")

    async def none_yet(namespace):
        return ()

    monkeypatch.setattr(stage.cluster, "rolls", none_yet)
    await stage.judge()
    assert list(stage.cluster.rolls_json) == [name]
    assert stage.status["nearest"][0]["heldBy"] == (
        f"PodRoll {name} of this pod ended as Aborted just now: the next pass counts it"
    )


def test_in_thirty_days_of_failures_no_attempt_is_lost():
    """A try each six hours, the most that the back-off allows; records go after a week."""
    rolls: list[PodRoll] = []
    for hour in range(0, 30 * 24, 6):
        now = at(hour * 3600)
        gone = {r.name for r in expired(rolls, now)}
        rolls = [r for r in rolls if r.name not in gone]
        name = name_of("leaky-1", rolls)
        assert name not in [r.name for r in rolls], f"hour {hour}"
        stamp = (now + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
        raw = roll_json("Failed", created=now, spec={"podUID": "uid-leaky-1"}, times={"finished": stamp})
        raw["metadata"] |= {"name": name, "uid": f"uid-{hour}"}
        rolls.append(PodRoll.read(raw))
    assert len(rolls) < 120, "some were deleted on the way"
