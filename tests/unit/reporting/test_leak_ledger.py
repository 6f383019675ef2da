"""Leak ledger: creation of entries, counts, and entries that outlive their PodRolls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from memroll.api.leak_ledger import MAX_COUNTED_EVICTIONS, MAX_LEDGER_ENTRIES, LedgerEntry
from memroll.api.pod_roll import PodRoll
from memroll.api.policy import PolicyStatus
from memroll.detection.assessment import Assessment
from memroll.detection.reasons import VerdictReason
from memroll.detection.trend import Trend
from memroll.errors import PrometheusUnavailableError
from memroll.model.pods import ObjectRef
from memroll.reporting.leak_ledger import update_ledger
from memroll.reporting.outcome import Outcome
from memroll.reporting.status import build_status
from tests.builders import (
    MIB,
    NOW,
    WORKLOAD_REF,
    at,
    container,
    healthy_verdict,
    inconclusive_verdict,
    leak_verdict,
    pod,
    policy,
    records,
    roll_json,
)

if TYPE_CHECKING:
    from memroll.model.pods import Pod

HEALTHY = healthy_verdict()
LEDGER_POD = {"app": "leaky", "pod-template-hash": "5d"}


def leaking(mib_per_hour: float):
    slope = mib_per_hour * MIB / 3600
    return replace(leak_verdict(), trend=Trend(slope, slope, slope, 0, 0, 1, 1, 1, 1))


def seen(name: str, verdict: Any = HEALTHY, *, kill_s: float | None = None, image: str = "leaky:1", **changes):
    killed = None if kill_s is None else at(kill_s)
    own = container(id=f"id-{name}", image=image, oom_killed_at=killed)
    return Assessment(pod(name, containers=(own,), **changes), own, verdict)


def rolled(n: int, seconds: float, growth_mib: int | None = 50, phase: str = "Succeeded", **status: Any) -> PodRoll:
    stamp = at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")
    trigger = {"container": "app", "usageBytes": 110 * MIB, "image": "leaky:1"}
    if growth_mib is not None:
        trigger["growthBytesPerHour"] = growth_mib * MIB
    release = {"hashLabel": "pod-template-hash", "templateHash": "5d"}
    known = {"workload": WORKLOAD_REF, "times": {"finished": stamp}, "release": release} | status
    raw = roll_json(phase, created=at(seconds - 10), spec={"trigger": trigger}, **known)
    raw["metadata"] |= {"name": f"roll-{n}", "uid": f"roll-{n}"}
    return PodRoll.read(raw)


def after(*assessments: Assessment, rolls=(), old=(), later_s: float = 0) -> tuple[LedgerEntry, ...]:
    return update_ledger(old, Outcome(policy(), at(later_s), len(assessments), assessments, rolls=records(*rolls)))


def test_a_healthy_workload_has_no_entry():
    assert after(seen("a"), seen("b", inconclusive_verdict(VerdictReason.WARMING_UP))) == ()
    assert after(seen("a", kill_s=-100)) == (), "a kill alone is no leak"


def test_a_leak_has_an_entry_with_revision_and_image():
    (entry,) = after(seen("a", leaking(40)), seen("b", leaking(60)), seen("c"))
    assert (entry.workload, entry.revision, entry.container) == ("Deployment/leaky", "5d", "app")
    assert entry.image == "leaky:1"
    assert entry.growth_bytes_per_hour == 50 * MIB, "the median of those that leak now"
    assert (entry.rolls, entry.oom_kills) == (0, 0)
    assert entry.first_seen == entry.last_seen == at(-30), "surely seen half a minute ago"


def test_each_revision_has_its_own_entry_the_newest_first():
    labels = {"app": "leaky", "pod-template-hash": "6e"}
    fixed = seen(
        "b", leaking(9), image="leaky:2", labels=labels, controller=ObjectRef("apps/v1", "ReplicaSet", "leaky-6e")
    )
    old = after(seen("a", leaking(50)))
    found = after(fixed, old=old, later_s=600)
    assert [(e.revision, e.image) for e in found] == [("6e", "leaky:2"), ("5d", "leaky:1")]
    assert found[1:] == old, "an entry without new observations is unchanged"


def test_rolls_count_once_they_have_succeeded_and_their_growth_comes_first():
    rolls = [rolled(1, -900, 40), rolled(2, -600, 60), rolled(3, -300, 80), rolled(4, -200, 999, phase="Failed")]
    (entry,) = after(seen("a", leaking(500)), rolls=rolls)
    assert (entry.rolls, entry.growth_bytes_per_hour) == (3, 60 * MIB)
    assert entry.first_seen == at(-900)


def test_rolls_are_remembered_when_their_records_are_gone():
    first = after(rolls=[rolled(1, -900, 40), rolled(2, -600, 60)])
    (kept,) = after(seen("a"), old=first, later_s=8 * 86400)
    assert (kept.rolls, kept.growth_bytes_per_hour) == (2, 50 * MIB)
    (more,) = after(rolls=[rolled(3, 8 * 86400 + 60, 90)], old=(kept,), later_s=8 * 86400 + 120)
    assert (more.rolls, more.growth_bytes_per_hour) == (3, 90 * MIB)
    assert (more.first_seen, more.last_seen) == (at(-900), at(8 * 86400 + 60))


def test_a_kill_is_counted_once_however_often_it_is_seen():
    once = after(seen("a", leaking(50), kill_s=-40), seen("b", kill_s=-7000))
    assert once[0].oom_kills == 2
    again = after(seen("a", leaking(50), kill_s=-40), seen("b", kill_s=-7000), old=once, later_s=300)
    assert again[0].oom_kills == 2
    (third,) = after(seen("a", leaking(50), kill_s=280), seen("b", kill_s=-7000), old=again, later_s=600)
    assert (third.oom_kills, third.last_seen) == (3, at(570))


def test_a_kill_that_is_reported_late_is_counted_by_the_next_reconcile():
    """The kubelet reports a kill with a delay: at 12:00 the pod still leaks, although it was killed at 11:59:58."""
    before = after(seen("a", leaking(50)))
    (entry,) = after(seen("a", kill_s=-2), old=before, later_s=300)
    assert entry.oom_kills == 1


def test_a_kill_in_another_revision_is_not_this_one_s():
    old = after(seen("a", leaking(50)))
    labels = {"app": "leaky", "pod-template-hash": "6e"}
    elsewhere = seen("b", labels=labels, controller=ObjectRef("apps/v1", "ReplicaSet", "leaky-6e"), kill_s=100)
    assert after(elsewhere, old=old, later_s=300) == old


def evicted(name: str, seconds: float, **changes: Any) -> Pod:
    own = container(id="", image="leaky:1", started_at=None)
    at_time = at(seconds)
    return pod(name, phase="Failed", ready=False, containers=(own,), node_pressure_evicted_at=at_time, **changes)


def after_evictions(*pods: Pod, old=(), later_s: float = 0, leak: bool = True, **spec: Any) -> tuple[LedgerEntry, ...]:
    found = (seen("a", leaking(50) if leak else HEALTHY),)
    return update_ledger(old, Outcome(policy(**spec), at(later_s), 1, found, evicted_pods=pods))


def test_each_pod_that_the_kubelet_evicts_for_memory_is_counted_once():
    (first,) = after_evictions(evicted("b", -600), evicted("c", -50))
    assert (first.node_pressure_evictions, first.last_node_pressure_eviction) == (2, at(-50))
    assert (first.rolls, first.oom_kills) == (0, 0)
    (again,) = after_evictions(evicted("b", -600), evicted("c", -50), old=(first,), later_s=300)
    assert again.node_pressure_evictions == 2
    (third,) = after_evictions(evicted("c", -50), evicted("d", 200), old=(again,), later_s=600)
    assert (third.node_pressure_evictions, third.last_node_pressure_eviction) == (3, at(200))


def test_evictions_of_one_second_and_late_reports_are_counted():
    """Two nodes evict a pod each in one second, and a third node reports an earlier one last."""
    (first,) = after_evictions(evicted("b", -50))
    (second,) = after_evictions(evicted("c", -50), evicted("d", -60), evicted("b", -50), old=(first,), later_s=60)
    assert (second.node_pressure_evictions, second.last_node_pressure_eviction) == (3, at(-50))
    assert (
        after_evictions(evicted("c", -50), evicted("d", -60), old=(second,), later_s=120)[0].node_pressure_evictions
        == 3
    )


def test_more_evicted_pods_than_an_entry_contains_are_counted_once():
    """Evicted pods stay in the cluster until somebody deletes them; those that leave the entry are the oldest."""
    many = [evicted(f"b{i}", -1000 + 10 * (i // 2)) for i in range(3 * MAX_COUNTED_EVICTIONS)]
    ledger = ()
    for seen_by_now in range(0, len(many) + 1, 5):
        ledger = after_evictions(*many[:seen_by_now], old=ledger, later_s=60 * seen_by_now)
    (entry,) = ledger
    assert entry.node_pressure_evictions == len(many)
    (again,) = after_evictions(*reversed(many), old=ledger, later_s=3600)
    assert again.node_pressure_evictions == len(many)
    assert len(again.counted_evictions) == MAX_COUNTED_EVICTIONS


def test_an_eviction_that_is_reported_after_a_leak_was_seen_is_counted():
    (before,) = after_evictions(later_s=300)
    (entry,) = after_evictions(evicted("b", 100), old=(before,), later_s=600)
    assert before.last_seen > at(100)
    assert entry.node_pressure_evictions == 1


@pytest.mark.parametrize(
    ("victim", "spec"),
    [
        pytest.param(evicted("b", -60, labels={"app": "leaky", "pod-template-hash": "6e"}), {}, id="another revision"),
        pytest.param(evicted("b", 60), {}, id="in the future"),
        pytest.param(evicted("b", -60), {"containers": ["other"]}, id="a container that is not watched"),
    ],
)
def test_an_eviction_that_is_not_counted(victim, spec):
    (entry,) = after_evictions(victim, **spec)
    assert entry.node_pressure_evictions == 0


def test_an_eviction_alone_is_no_leak():
    assert after_evictions(evicted("b", -60), leak=False) == ()


DB = {"labels": {"controller-revision-hash": "db-7f"}, "controller": ObjectRef("apps/v1", "StatefulSet", "db", "s")}
DB_REF = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"}


def test_a_statefulset_s_roll_is_counted_under_the_revision_of_its_replacement():
    of = {"workload": DB_REF, "release": None, "replacement": {"name": "db-0", "uid": "uid-db-0"}}
    (entry,) = after(seen("db-0", **DB), rolls=[rolled(1, -60, **of)])
    assert (entry.workload, entry.revision, entry.rolls) == ("StatefulSet/db", "db-7f", 1)
    assert after(seen("db-1", **DB), rolls=[rolled(1, -60, **of)], old=(entry,), later_s=300) == (entry,)
    assert after(rolls=[rolled(1, -60, **of)]) == (), "an unknown revision is not guessed"


def test_pods_without_a_revision_are_distinguished_by_their_image():
    bare = {"labels": {}, "controller": ObjectRef("apps/v1", "ReplicaSet", "plain", "r")}
    found = after(seen("a", leaking(1), image="x:1", **bare), seen("b", leaking(2), image="x:2", **bare))
    assert sorted((e.workload, e.revision, e.image) for e in found) == [
        ("ReplicaSet/plain", "", "x:1"),
        ("ReplicaSet/plain", "", "x:2"),
    ]


def test_a_released_pod_is_counted_by_its_roll():
    marks = {"memroll.dev/roll": "r", "memroll.dev/released-from": "5d"}
    labels = {"app": "leaky", "pod-template-hash": "memroll-released"}
    assert after(seen("a", leaking(50), labels=labels, annotations=marks, controller=None)) == ()


def test_the_ledger_is_bounded_and_drops_the_oldest_entry():
    old = tuple(
        LedgerEntry(
            workload=f"Deployment/w{i}", revision="1", container="app", first_seen=at(-9e4), last_seen=at(-i - 60)
        )
        for i in range(MAX_LEDGER_ENTRIES)
    )
    found = after(seen("a", leaking(50)), old=old)
    assert len(found) == MAX_LEDGER_ENTRIES
    assert found[0].workload == "Deployment/leaky"
    assert [e.workload for e in found[1:]] == [f"Deployment/w{i}" for i in range(MAX_LEDGER_ENTRIES - 1)]


def test_names_of_any_length_fit():
    long = rolled(1, -60, controller=WORKLOAD_REF | {"kind": "ReplicaSet", "name": "w" * 200, "uid": "u"}, release=None)
    (entry,) = after(rolls=[long])
    assert len(entry.revision) == 63
    (entry,) = after(seen("a", leaking(1), image="i" * 600))
    assert len(entry.image) == 512


def test_the_status_contains_the_ledger_also_after_an_error():
    (entry,) = after(seen("a", leaking(50)))
    known = policy().model_copy(update={"status": PolicyStatus(ledger=(entry,))})
    quiet = Outcome(known, at(300), 1, (seen("a"),))
    assert build_status(quiet).ledger == (entry,)
    assert build_status(replace(quiet, error=PrometheusUnavailableError("QueryTimeout", "slow"))).ledger == (entry,)
    wire = build_status(quiet).to_dict()["ledger"]
    assert wire[0]["lastSeen"] == "2026-03-01T11:59:30Z"
    assert PolicyStatus.model_validate({"ledger": wire}).ledger == (entry,), "what is read again is the same"


@pytest.mark.parametrize("suspended", [True, False])
def test_an_outcome_without_pods_changes_nothing(suspended):
    old = after(seen("a", leaking(50)), rolls=[rolled(1, -600)])
    assert update_ledger(old, Outcome(policy(suspend=suspended), NOW)) == old


def with_evidence(n: int, seconds: float, *, effect: Any = None, **probe: Any) -> PodRoll:
    evidence = {"capturedAt": "2026-03-01T11:00:00Z", "probe": probe} if probe else None
    return rolled(n, seconds, effect=effect, evidence=evidence)


def growth(*lines: tuple[str, int]) -> list[dict[str, Any]]:
    return [{"file": file, "line": 42, "bytes": mib * MIB} for file, mib in lines]


def test_the_lines_that_grew_are_those_of_the_last_roll_that_has_any():
    first = with_evidence(1, -900, growth=growth(("a.py", 9)))
    second = with_evidence(2, -600, growth=growth(("b.py", 8), ("c.py", 7), ("d.py", 6), ("e.py", 5)))
    silent = with_evidence(3, -300)
    (entry,) = after(rolls=[silent, second, first])
    assert [(line.at, line.bytes // MIB) for line in entry.lines] == [("b.py:42", 8), ("c.py:42", 7), ("d.py:42", 6)]
    (kept,) = after(seen("a", leaking(50)), old=(entry,), later_s=9 * 86400)
    assert kept.lines == entry.lines, "they outlive the PodRolls"


def test_growth_per_request_is_calculated_if_the_pod_counts_requests():
    (entry,) = after(rolls=[with_evidence(1, -900, requestsTotal=1000, uptimeSeconds=7200)])
    assert entry.growth_bytes_per_request == round(2 * 50 * MIB / 1000)
    (entry,) = after(rolls=[with_evidence(1, -900, requestsTotal=0, uptimeSeconds=7200)])
    assert entry.growth_bytes_per_request is None


def test_freed_memory_is_counted_once():
    def freed(n: int, end: int, compared_at: str | None) -> PodRoll:
        compared = {"comparedAt": compared_at} if compared_at else {}
        effect = {"beforeBytes": 110 * MIB, "afterBytes": 30 * MIB} | compared
        return with_evidence(n, end, effect=effect)

    (entry,) = after(rolls=[freed(1, -900, None)])
    assert entry.freed_bytes == 0, "not settled yet"
    (entry,) = after(rolls=[freed(1, -900, "2026-03-01T12:10:00Z")], old=(entry,), later_s=600)
    assert entry.freed_bytes == 80 * MIB, "long after its end"
    again = after(rolls=[freed(1, -900, "2026-03-01T12:10:00Z")], old=(entry,), later_s=900)
    assert again == (entry,)
    (entry,) = after(
        rolls=[freed(1, -900, "2026-03-01T12:10:00Z"), freed(2, 700, "2026-03-01T12:20:00Z")],
        old=(entry,),
        later_s=1300,
    )
    assert entry.freed_bytes == 160 * MIB


def test_kills_after_the_first_roll_are_counted_separately():
    (entry,) = after(seen("a", kill_s=-2000), seen("b", kill_s=-500), rolls=[rolled(1, -900)])
    assert (entry.oom_kills, entry.oom_kills_since, entry.first_rolled) == (2, 1, at(-900))
    (entry,) = after(seen("a", kill_s=100), old=(entry,), later_s=300)
    assert (entry.oom_kills, entry.oom_kills_since) == (3, 2)
