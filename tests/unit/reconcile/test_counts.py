"""Counts for the rate limit and the canary gate."""

from __future__ import annotations

import pytest

from memroll.detection.assessment import Assessment
from memroll.model.policy_record import PolicyRecord
from memroll.planning.rate_limit import RecentRolls
from memroll.reconcile.counts import count_pod_rolls, count_watched_pods, healthy_pods
from memroll.reconcile.snapshot import PolicySnapshot
from tests.builders import (
    NOW,
    at,
    container,
    healthy_verdict,
    inconclusive_verdict,
    leak_verdict,
    pod,
    policy,
    policy_json,
    roll_json,
    suspected_verdict,
)


class Listing:
    """Store that only lists PodRolls."""

    def __init__(self, *raws):
        self.raws, self.listed = raws, []

    async def iterate_rolls(self, namespace):
        self.listed.append(namespace)
        for raw in self.raws:
            if namespace in ("", raw["metadata"]["namespace"]):
                yield raw


def raw_roll(name, namespace="demo", **meta):
    raw = roll_json(created=at(-60))
    return raw | {"metadata": raw["metadata"] | {"name": name, "namespace": namespace} | meta}


def snapshot(**changes):
    return PolicySnapshot(policy(), (), (), NOW, **changes)


async def test_rolls_of_all_namespaces_are_counted_and_those_of_one_returned():
    store = Listing(raw_roll("a"), raw_roll("b", "other"), raw_roll("c", creationTimestamp="2026-03-01T10:00:00Z"))
    rolls, recent = await count_pod_rolls(snapshot(), store)
    assert [r.name for r in rolls] == ["a", "c"]
    assert recent == RecentRolls((at(-60),), (at(-60),))
    assert store.listed == [""]


async def test_rolls_are_counted_in_watched_namespaces_and_always_in_the_policy_s_own():
    store = Listing(raw_roll("a"), raw_roll("b", "other"), raw_roll("c", "unwatched"))
    _, recent = await count_pod_rolls(snapshot(namespaces=("other",)), store)
    assert store.listed == ["demo", "other"]
    assert (len(recent.elsewhere), len(recent.in_namespace)) == (1, 1)


@pytest.mark.parametrize("stamp", [None, "", "soon", 7, "2026-03-01T10:00:00"])
async def test_an_invalid_roll_counts_as_new_and_only_in_its_own_namespace(stamp):
    raws = [raw_roll("odd", namespace, creationTimestamp=stamp) for namespace in ("demo", "other")]
    for raw in raws:
        raw["spec"] = {"podName": "UPPER"}
    rolls, recent = await count_pod_rolls(snapshot(), Listing(*raws))
    assert rolls == ()
    assert recent == RecentRolls((), (NOW,))


BEGUN = "2026-03-01T11:59:10Z"
STATUSES = [
    pytest.param({}, True, id="not announced yet"),
    pytest.param({"phase": "Announced", "times": {"announced": BEGUN}}, True, id="in progress"),
    pytest.param({"phase": "Succeeded"}, True, id="succeeded"),
    pytest.param({"phase": "Failed", "times": {"announced": BEGUN, "finished": BEGUN}}, False, id="refused at once"),
    pytest.param({"phase": "Aborted", "times": {"capturingEvidence": BEGUN}}, False, id="canceled before any change"),
    pytest.param({"phase": "Failed", "times": {"replacing": BEGUN}}, True, id="a surge that was rolled back"),
    pytest.param({"phase": "Aborted", "times": {"evicting": BEGUN}}, True, id="canceled during the eviction"),
    pytest.param({"phase": "Failed", "restartedAt": BEGUN}, True, id="a restart that failed"),
]


@pytest.mark.parametrize(("status", "counts"), STATUSES)
async def test_a_roll_that_ended_before_it_changed_anything_does_not_count(status, counts):
    raws = [raw_roll("a") | {"status": status}, raw_roll("b", "other") | {"status": status}]
    _, recent = await count_pod_rolls(snapshot(), Listing(*raws))
    assert recent == RecentRolls((at(-60),) * counts, (at(-60),) * counts)


async def test_a_roll_by_hand_counts_in_its_own_namespace_only():
    raws = [raw_roll(name, namespace) for name, namespace in (("a", "demo"), ("b", "other"))]
    for raw in raws:
        raw["spec"]["policy"] = ""
    _, recent = await count_pod_rolls(snapshot(), Listing(*raws))
    assert recent == RecentRolls((), (at(-60),))


async def test_the_count_contains_whether_a_pod_of_another_namespace_is_due():
    _, recent = await count_pod_rolls(snapshot(is_due_elsewhere=lambda: True), Listing())
    assert recent.due_elsewhere


def test_watched_pods_of_other_policies_are_read_from_their_status():
    spec = {"mode": "Observe", "selector": {"matchLabels": {"app": "other"}}}
    other = PolicyRecord.read(policy_json(spec) | {"status": {"pods": {"total": 7}}})
    assert count_watched_pods(PolicySnapshot(policy(), (other, other), (), NOW), own=2) == 16


def test_a_pod_is_healthy_if_all_its_containers_are_and_past_their_warm_up():
    well, suspected = healthy_verdict(), suspected_verdict()
    old, young = container(started_at=at(-120)), container(started_at=at(-30))
    found = healthy_pods(
        policy(growth={"warmUp": "1m"}),
        [
            Assessment(pod("well"), old, well),
            Assessment(pod("young"), young, well),
            Assessment(pod("gone"), container(started_at=None), well),
            Assessment(pod("suspected"), old, suspected),
            Assessment(pod("unknown"), old, inconclusive_verdict()),
            Assessment(pod("half"), old, well),
            Assessment(pod("half"), old, leak_verdict()),
            Assessment(pod("other-half"), old, leak_verdict()),
            Assessment(pod("other-half"), old, well),
        ],
        NOW,
    )
    assert found == {"uid-well"}
