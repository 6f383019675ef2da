"""The ledger is derived: a second update from the same outcome changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from memroll.api.leak_ledger import MAX_LEDGER_ENTRIES
from memroll.api.pod_roll import PodRoll
from memroll.api.policy import PolicyStatus
from memroll.detection.assessment import Assessment
from memroll.detection.trend import Trend
from memroll.model.pods import ObjectRef
from memroll.reporting.leak_ledger import update_ledger
from memroll.reporting.outcome import Outcome
from tests.builders import MIB, at, container, healthy_verdict, leak_verdict, pod, policy, records, roll_json

KINDS = st.sampled_from(["Deployment", "StatefulSet", "ReplicaSet"])
NAMES = st.sampled_from([f"w{i}" for i in range(9)])
HASHES = st.sampled_from(["1a", "2b", "3c"])
SECONDS = st.integers(min_value=-100_000, max_value=100)
GROWTH = st.none() | st.integers(min_value=0, max_value=10**9)
CONTAINERS = st.sampled_from(["app", "proxy"])


EVIDENCE = st.builds(
    lambda grown, total: {
        "capturedAt": "2026-03-01T11:00:00Z",
        "probe": {"growth": grown, "requestsTotal": total, "uptimeSeconds": 60},
    },
    st.lists(st.builds(lambda f, b: {"file": f, "line": 1, "bytes": b}, NAMES, st.integers(1, 2**53 - 1)), max_size=5),
    st.integers(0, 9),
)
EFFECT = st.builds(
    lambda before, after, compared: {
        "beforeBytes": before,
        "afterBytes": after,
        **({"comparedAt": at(compared).strftime("%Y-%m-%dT%H:%M:%SZ")} if compared is not None else {}),
    },
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.none() | SECONDS,
)


@st.composite
def assessments(draw) -> Assessment:
    kind, name, hash_ = draw(KINDS), draw(NAMES), draw(HASHES)
    label = {"Deployment": "pod-template-hash", "StatefulSet": "controller-revision-hash"}.get(kind)
    owner = ObjectRef("apps/v1", "ReplicaSet" if kind == "Deployment" else kind, f"{name}-{hash_}" if label else name)
    own = container(
        name=draw(CONTAINERS), image=draw(st.sampled_from(["", "x:1"])), oom_killed_at=draw(st.none() | SECONDS.map(at))
    )
    growth = draw(GROWTH)
    slope = (growth or 0) / 3600
    trend = None if growth is None else Trend(slope, slope, slope, 0, 0, 1, 1, 1, 1)
    verdict = replace(leak_verdict(), trend=trend) if draw(st.booleans()) else healthy_verdict()
    pod_name = f"{name}-{draw(st.integers(min_value=0, max_value=3))}"
    labels = {label: hash_} if label else {}
    return Assessment(pod(pod_name, controller=owner, labels=labels, containers=(own,)), own, verdict)


@st.composite
def rolls(draw) -> PodRoll:
    kind, name, hash_ = draw(KINDS), draw(NAMES), draw(HASHES)
    trigger = {"container": draw(CONTAINERS), "usageBytes": MIB, "image": draw(st.sampled_from(["", "x:1", "x:2"]))}
    growth = draw(GROWTH)
    ref = {"apiVersion": "apps/v1", "kind": kind, "name": name}
    controller = ref | {"kind": "ReplicaSet" if kind == "Deployment" else kind, "name": f"{name}-{hash_}", "uid": "u"}
    finished = at(draw(SECONDS))
    new = f"{name}-{draw(st.integers(min_value=0, max_value=3))}"
    return PodRoll.read(
        roll_json(
            draw(st.sampled_from(["Succeeded", "Failed", "Evicting"])),
            created=finished,
            spec={"trigger": trigger | ({} if growth is None else {"growthBytesPerHour": growth})},
            workload=ref,
            controller=controller,
            replacement={"name": new, "uid": f"uid-{new}"},
            times={"finished": finished.strftime("%Y-%m-%dT%H:%M:%SZ")},
            evidence=draw(st.none() | EVIDENCE),
            effect=draw(st.none() | EFFECT),
        )
    )


@st.composite
def outcomes(draw) -> Outcome:
    found = tuple(draw(st.lists(assessments(), max_size=30)))
    recorded = tuple(draw(st.lists(rolls(), max_size=30)))
    ended = (replace(a.pod, phase="Failed", node_pressure_evicted_at=at(draw(SECONDS))) for a in found)
    evicted = tuple(p for p in ended if draw(st.booleans()))
    return Outcome(policy(), at(draw(SECONDS)), len(found), found, rolls=records(*recorded), evicted_pods=evicted)


@given(st.lists(outcomes(), min_size=1, max_size=4))
@settings(max_examples=60)
def test_the_same_outcome_applied_twice_changes_nothing(reconciles):
    known = ()
    for outcome in reconciles:
        known = update_ledger(known, outcome)
        assert update_ledger(known, outcome) == known
        assert len(known) <= MAX_LEDGER_ENTRIES


@given(st.lists(outcomes(), min_size=1, max_size=4))
@settings(max_examples=40)
def test_the_ledger_survives_serialization(reconciles):
    known = ()
    for outcome in reconciles:
        known = update_ledger(known, outcome)
        assert PolicyStatus.model_validate(PolicyStatus(ledger=known).to_dict()).ledger == known
        for entry in known:
            assert entry.first_seen <= entry.last_seen


@given(outcomes(), st.lists(st.integers(min_value=1, max_value=90_000), min_size=1, max_size=4))
@settings(max_examples=60)
def test_rolls_and_kills_are_counted_once_however_often_they_are_seen(outcome, pauses_s):
    """A kill remains in a pod's status for the pod's lifetime, a PodRoll in the cluster for a week."""
    first = known = update_ledger((), outcome)
    now = outcome.now
    for pause_s in pauses_s:
        now += timedelta(seconds=pause_s)
        known = update_ledger(known, replace(outcome, now=now))
    counts = {
        (e.workload, e.revision, e.container, e.image): (e.rolls, e.oom_kills, e.oom_kills_since, e.freed_bytes)
        for e in known
    }
    for e in first:
        key = (e.workload, e.revision, e.container, e.image)
        counted = (e.rolls, e.oom_kills, e.oom_kills_since, e.freed_bytes)
        assert counts.get(key, counted) == counted
