"""What the runaway guard and the fleet's canary are counted from."""

from __future__ import annotations

import pytest

from memroll.detection.assessment import Assessment
from memroll.detection.verdict import Code, Healthy, Inconclusive
from memroll.planning.rate_limit import Tally
from memroll.reconcile.counts import count, healthy, watched_pods
from memroll.reconcile.snapshot import Scene
from tests.builders import NOW, at, breach, container, pod, policy, roll_json


class Listing:
    """A cluster that only lists PodRolls."""

    def __init__(self, *raws):
        self.raws, self.asked = raws, []

    async def rolls(self, namespace):
        self.asked.append(namespace)
        return tuple(r for r in self.raws if namespace in ("", r["metadata"]["namespace"]))


def made(name, namespace="demo", **meta):
    raw = roll_json(created=at(-60))
    return raw | {"metadata": raw["metadata"] | {"name": name, "namespace": namespace} | meta}


def scene(**changes):
    return Scene(policy(), (), (), NOW, **changes)


async def test_rolls_are_counted_in_all_namespaces_and_returned_of_one():
    cluster = Listing(made("a"), made("b", "other"), made("c", creationTimestamp="2026-03-01T10:00:00Z"))
    rolls, tally = await count(scene(), cluster)
    assert [r.name for r in rolls] == ["a", "c"]
    assert tally == Tally((at(-60), at(-60)), (at(-60),))
    assert cluster.asked == [""]


async def test_where_namespaces_are_watched_only_they_are_asked_and_always_the_policy_s_own():
    cluster = Listing(made("a"), made("b", "other"), made("c", "unwatched"))
    _, tally = await count(scene(namespaces=("other",)), cluster)
    assert cluster.asked == ["demo", "other"]
    assert len(tally.everywhere) == 2


@pytest.mark.parametrize("stamp", [None, "", "soon", 7, "2026-03-01T10:00:00"])
async def test_a_roll_that_can_t_be_read_counts_as_new(stamp):
    raw = made("odd", creationTimestamp=stamp)
    raw["spec"] = {"podName": "UPPER"}
    rolls, tally = await count(scene(), Listing(raw))
    assert rolls == ()
    assert tally.here == (NOW,)


def test_the_pods_of_other_policies_are_taken_from_their_status():
    other = policy()
    other = other.model_copy(update={"status": other.status.model_copy(update={"pods": other.status.pods.model_copy(
        update={"total": 7})})})  # fmt: skip
    assert watched_pods(Scene(policy(), (other, other), (), NOW), own=2) == 16


def test_only_a_pod_past_its_warm_up_is_healthy_and_with_all_its_containers():
    well, suspected = (Healthy(code, "", None, 1.0) for code in (Code.NOT_GROWING, Code.SUSPECTED))
    old, young = container(started_at=at(-120)), container(started_at=at(-30))
    found = healthy(
        policy(growth={"warmUp": "1m"}),
        [
            Assessment(pod("well"), old, well),
            Assessment(pod("young"), young, well),
            Assessment(pod("gone"), container(started_at=None), well),
            Assessment(pod("suspected"), old, suspected),
            Assessment(pod("unknown"), old, Inconclusive(Code.NO_DATA, "")),
            Assessment(pod("half"), old, well),
            Assessment(pod("half"), old, breach()),
            Assessment(pod("other-half"), old, breach()),
            Assessment(pod("other-half"), old, well),
        ],
        NOW,
    )
    assert found == {"uid-well"}
