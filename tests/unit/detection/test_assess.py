"""What is read for which pods, and beside whom a container is judged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from memroll.detection import assess
from memroll.detection.assess import Watch, _peers, rule_of, span_of, subject_of
from memroll.detection.batches import BATCH_PODS, SIBLINGS_MOST, batches, family_of
from memroll.detection.samples import PodPattern, Reading, SeriesRow
from memroll.detection.series import EMPTY, Series
from memroll.model.pods import ObjectRef
from tests.builders import LIMIT, NOW, at, container, line, pod, policy, roll
from tests.fakes import FakePrometheus

if TYPE_CHECKING:
    from memroll.api.pod_roll import PodRoll


def owned(name: str, kind: str, owner: str, **labels: str):
    return pod(name, controller=ObjectRef("apps/v1", kind, owner, f"uid-{owner}"), labels={"app": "leaky"} | labels)


FAMILIES = [
    pytest.param(owned("web-5d-abcde", "ReplicaSet", "web-5d", **{"pod-template-hash": "5d"}), "Deployment", "web"),
    pytest.param(
        owned("web-5d-abcde", "ReplicaSet", "web-5d", **{"rollouts-pod-template-hash": "5d"}), "Deployment", "web"
    ),
    pytest.param(owned("rs-one-abcde", "ReplicaSet", "rs-one"), "ReplicaSet", "rs-one"),
    pytest.param(owned("db-0", "StatefulSet", "db"), "StatefulSet", "db"),
    pytest.param(owned("agent-abcde", "DaemonSet", "agent"), "DaemonSet", "agent"),
]


@pytest.mark.parametrize(("target", "kind", "name"), FAMILIES)
def test_a_pod_s_workload_is_told_by_its_controller_s_name(target, kind, name):
    family = family_of(target)
    assert family is not None
    assert (family.kind, family.name) == (kind, name)


def test_a_bare_pod_has_no_siblings():
    assert family_of(pod("bare", controller=None)) is None
    (batch,) = batches([pod("bare", controller=None), pod("other", controller=None)], {"uid-bare"})
    assert (batch.pods, batch.like) == (("bare",), ())


def test_a_suspect_is_read_with_its_siblings_and_earlier_pods_but_not_with_strangers():
    hashed = {"pod-template-hash": "5d"}
    ours = [owned(f"web-5d-{i}", "ReplicaSet", "web-5d", **hashed) for i in "ab"]
    canary = owned("web-7f-c", "ReplicaSet", "web-7f", **{"pod-template-hash": "7f"})
    stranger = owned("api-5d-a", "ReplicaSet", "api-5d", **hashed)
    (batch,) = batches([*ours, canary, stranger], {ours[0].key.uid})
    assert sorted(batch.pods) == ["web-5d-a", "web-5d-b", "web-7f-c"], "another revision is a sibling, too"
    assert batch.like == (PodPattern("web", 2),)
    assert batch.suspects == {ours[0].key.uid}


def test_the_pods_of_a_statefulset_come_back_under_their_names():
    (batch,) = batches([owned("db-0", "StatefulSet", "db"), owned("db-1", "StatefulSet", "db")], {"uid-db-0"})
    assert (batch.pods, batch.like) == (("db-0", "db-1"), ())


def test_a_thousand_suspects_are_read_in_pieces():
    many = [owned(f"web-{i}", "ReplicaSet", "web") for i in range(1000)]
    found = list(batches(many, {t.key.uid for t in many}))
    assert frozenset().union(*(b.suspects for b in found)) == {t.key.uid for t in many}
    assert max(len(b.pods) for b in found) <= BATCH_PODS
    assert all(b.like == () for b in found), "a large workload's past is left out"


def test_small_workloads_are_read_together():
    many = [owned(f"web-{i}-abcde", "ReplicaSet", f"web-{i}") for i in range(150)]
    found = list(batches(many, {t.key.uid for t in many}))
    assert [len(b.pods) for b in found] == [100, 50]
    assert [len(b.like) for b in found] == [100, 50]


def test_one_suspect_of_a_thousand_is_read_beside_a_few_siblings_of_all_ages():
    many = [replace(owned(f"web-{i}", "ReplicaSet", "web"), created_at=at(-i)) for i in range(1000)]
    (batch,) = batches(many, {"uid-web-500"})
    assert len(batch.pods) == 1 + SIBLINGS_MOST
    assert {"web-500", "web-0", "web-999"} <= set(batch.pods)


def row(name: str, id_: str, samples: Series = EMPTY, **parts) -> SeriesRow:
    held = samples if len(samples) else line(0.1)
    return replace(SeriesRow(name, "app", id_, held, held), **parts)


def test_peers_are_the_siblings_and_the_earlier_instances_of_the_same_container():
    hashed = {"pod-template-hash": "5d"}
    ours = [owned(f"web-5d-abcd{i}", "ReplicaSet", "web-5d", **hashed) for i in "bcd"]
    ours = [replace(p, containers=(container(id=f"id-{p.key.name[-1]}", started_at=at(-100)),)) for p in ours]
    rows = (
        row("web-5d-abcdb", "id-b"),
        row("web-5d-abcdb", "id-before"),
        row("web-5d-abcdc", "id-c"),
        row("web-7f-xxxxx", "id-earlier"),
        row("web-5d-abcdd", "id-sidecar", container="proxy"),
        row("api-5d-abcdb", "id-stranger"),
    )
    found = list(_peers(ours, ours[0], ours[0].containers[0], Reading(rows, NOW.timestamp()), rows[0]))
    assert len(found) == 3, "its predecessor, a sibling and an earlier pod"
    starts = sorted(p.started_at_s for p in found)
    assert starts[-1] == NOW.timestamp() - 100, "a running one began when its pod says, not with its first sample"


def test_a_kill_is_where_the_counter_rises():
    times = NOW.timestamp() + np.arange(0, 50, 10.0)
    subject = subject_of(row("a", "x", ooms=Series(times, np.array([0.0, 0, 1, 1, 3]))), 0.0, LIMIT)
    assert subject.ooms_s == (times[2], times[4])


@pytest.mark.parametrize(
    ("growth", "lookback_h", "step_s"),
    [
        pytest.param({}, 30.5, 60, id="the defaults: a day, a window and persist, a point a minute"),
        pytest.param({"window": "24h"}, 120.5, 240, id="long windows are read more coarsely"),
        pytest.param({"window": "3m", "warmUp": "20s", "persist": "30s"}, 15.5 / 60, None, id="short ones whole"),
    ],
)
def test_what_is_read_is_bounded(growth, lookback_h, step_s):
    span = span_of(policy(growth=growth))
    assert span.lookback_s == pytest.approx(lookback_h * 3600)
    assert span.step_s == step_s
    assert step_s is None or span.lookback_s / step_s <= 2000


def test_the_lead_covers_three_rolls_as_they_were_measured():
    measured = roll(
        "Succeeded",
        times={"announced": "2026-03-01T11:00:00Z", "finished": "2026-03-01T11:00:40Z"},
    )
    watch = Watch(policy(), (pod(),), (measured,), NOW)
    assert watch.rule(pod(), container()).lead.least_s == 3 * 40 + 5
    guessed = Watch(policy(), (pod(),), (), NOW).rule(pod(), container())
    assert guessed.lead.least_s == 3 * (5 + 10) + 5, "before one was: what the pod took to become Ready, and a little"


def took(seconds: int, **workload: str) -> PodRoll:
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "leaky"} | workload
    times = {"announced": "2026-03-01T11:00:00Z", "finished": at(-3600 + seconds).isoformat()}
    return roll("Succeeded", workload=ref, times=times)


def test_a_workload_s_own_rolls_tell_what_one_takes_before_those_of_others():
    hashed = {"pod-template-hash": "5d"}
    web, api = owned("web-5d-a", "ReplicaSet", "web-5d", **hashed), owned("api-5d-a", "ReplicaSet", "api-5d", **hashed)
    database = owned("web-0", "StatefulSet", "web")
    argo = owned("shop-5d-a", "ReplicaSet", "shop-5d", **{"rollouts-pod-template-hash": "5d"})
    rolls = (took(30, name="web"), took(50, name="shop", kind="Rollout"), took(20, name="other"))
    watch = Watch(policy(), (web, api, database, argo), rolls, NOW)
    assert [watch.roll_s(t) for t in (web, argo, api, database)] == [30, 50, 50, 50]


@pytest.mark.parametrize(
    ("drain", "more_s"),
    [
        ({}, 0),
        ({"mode": "Detach", "wait": "20s"}, 20),
        ({"mode": "Detach", "timeout": "4m", "until": {"metric": "inflight"}}, 240),
    ],
)
def test_a_pod_that_may_be_left_to_drain_is_begun_with_earlier(drain, more_s):
    watch = Watch(policy(roll={"drain": drain}), (pod(),), (), NOW)
    assert watch.roll_s(pod()) == 5 + 10 + more_s


def test_a_fixed_lead_is_handed_on():
    assert rule_of(policy(exhaustion={"lead": "2h"}), LIMIT).lead.fixed_s == 7200


async def test_a_bug_that_one_container_s_numbers_meet_keeps_no_other_from_being_judged(monkeypatch, caplog):
    pods = tuple(pod(name, containers=(container(id=f"id-{name}"),)) for name in ("odd", "even"))
    series = {f"id-{p.key.name}": line(0.6) for p in pods}
    judge = assess.judge

    def sometimes(subject, rule, now_s, peers):
        if subject.limit_bytes == 7:
            raise ZeroDivisionError
        return judge(subject, rule, now_s, peers)

    monkeypatch.setattr(assess, "judge", sometimes)
    odd = replace(pods[0], containers=(container(id="id-odd", limit_bytes=7),))
    watched = policy(growth={"perHour": "50%", "window": "60s", "warmUp": "20s", "persist": "10s"})
    found = await assess.assess(Watch(watched, (odd, pods[1]), (), NOW), FakePrometheus(series))
    assert [a.verdict.code for a in found] == ["JudgingFailed", "Growing"]
    assert "a bug: judging container app of pod demo/odd failed" in caplog.text
