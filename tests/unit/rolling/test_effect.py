"""What a roll was worth, as tables of values, and the gate that follows from it."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from memroll.api.pod_roll import Effect, Memory
from memroll.detection.series import Series
from memroll.model.pods import ObjectRef
from memroll.model.revisions import revision_of, revision_of_roll, workload_of
from memroll.planning.effectiveness_gate import on_hold, pause
from memroll.rolling.effect import Pair, ages, compared, doubt, due_s
from tests.builders import LIMIT, MIB, NOW, WORKLOAD_REF, at, candidate, container, context, pod, roll, rule, subject

RULE = rule()  # window 60 s, warm-up 20 s, a leak is above 64 MiB/h = 0.018 MiB/s
FINDING = {"container": "app", "usageBytes": 110 * MIB, "limitBytes": LIMIT, "image": "leaky:1"}


def stamp(seconds: float) -> str:
    return at(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def rolled(seconds: float = 0.0, *, life_s: float | None = 1000.0, finding: dict | None = None, **status):
    """Build a successful roll of a pod whose container had lived for `life_s`."""
    began = {} if life_s is None else {"containerStarted": stamp(seconds - 10 - life_s)}
    spec = {"finding": FINDING | began | (finding or {})}
    known = {"strategy": "Surge", "replacement": {"name": "leaky-2", "uid": "uid-leaky-2"}}
    ends = {"workload": WORKLOAD_REF, "times": {"finished": stamp(seconds)}}
    return roll("Succeeded", created=at(seconds - 10), spec=spec, **(ends | known | status))


def life(mib, *, start_s: float = 0.0, age_s: float = 200.0):
    """Build a subject whose usage in MiB is a function of its age."""
    times = np.arange(0.0, age_s + 1, 2.0)
    samples = Series(start_s + times, np.array([mib(t) for t in times]) * MIB)
    return subject(samples, started_at_s=start_s)


def pair(new, old, of, age_s: float):
    return Pair(new, old, RULE, ages(RULE, of), age_s)


def leaking(rate: float = 0.5, base: float = 20.0):
    return lambda age: base + rate * age


YOUNG_S = 25.0  # warm-up and a twelfth of the window
OLD_S = 80.0


AGES = [
    pytest.param(1000, YOUNG_S, 80, id="an old pod: warm-up and window"),
    pytest.param(70, YOUNG_S, 60, id="a short life: four fifths of what was judged of it"),
    pytest.param(24, 23.2, 23.2, id="a very short one: both at once"),
    pytest.param(20, YOUNG_S, None, id="rolled in its warm-up: no growth"),
    pytest.param(None, YOUNG_S, None, id="a roll that doesn't say when the old container began"),
]


@pytest.mark.parametrize(("life_s", "settled_s", "grown_s"), AGES)
def test_when_a_replacement_is_compared(life_s, settled_s, grown_s):
    found = ages(RULE, rolled(life_s=life_s))
    assert (found.settled_s, found.grown_s) == (pytest.approx(settled_s), grown_s and pytest.approx(grown_s))
    assert bool(found.unknown) == (grown_s is None)


def test_each_age_is_asked_for_once():
    at_ages = ages(RULE, rolled())
    asked = [due_s(at_ages, None, age) for age in (0, 24.9, 25, 79.9, 80, 1000)]
    assert asked == [None, None, YOUNG_S, YOUNG_S, OLD_S, OLD_S]
    assert due_s(at_ages, Memory(after_bytes=1), 79.9) is None, "its memory is known, its growth not yet"
    assert due_s(at_ages, Memory(after_bytes=1), 80) == OLD_S


def test_memory_that_comes_down_waits_for_its_growth_to_be_compared():
    found = compared(rolled(), pair(life(leaking()), life(leaking()), rolled(), YOUNG_S), NOW)
    assert found is not None
    assert (found.effect, found.judged) == (None, None)
    assert (found.before_bytes, found.age_seconds) == (110 * MIB, 25)
    assert found.after_bytes == pytest.approx(31.5 * MIB, abs=MIB)
    assert found.message == "freed 78.5 MiB of 110.0 MiB; growth is compared at the age of 80s"


SETTLED = [
    pytest.param(lambda _: 107.0, leaking(), 110, Effect.INEFFECTIVE, id="back at once"),
    pytest.param(lambda _: 115.0, leaking(), 110, Effect.INEFFECTIVE, id="more than before"),
    pytest.param(lambda _: 107.0, lambda _: 108.0, 110, None, id="a tenth above the least that stands out"),
    pytest.param(lambda _: 108.0, lambda _: 108.0, 110, Effect.INEFFECTIVE, id="it always held as much"),
    pytest.param(lambda _: 100.0, lambda _: 99.0, 108, None, id="a large service: it had gained 9, 8 came down"),
    pytest.param(lambda _: 98.0, leaking(), 110, Effect.INEFFECTIVE, id="15 % of the gain"),
    pytest.param(lambda _: 90.0, leaking(), 110, None, id="a quarter of the gain"),
    pytest.param(
        lambda _: 106.0, None, 110, Effect.INEFFECTIVE, id="no samples of the old pod: under 5 % of its usage"
    ),
    pytest.param(lambda _: 103.0, None, 110, None, id="no samples of the old pod: over 5 %"),
]


@pytest.mark.parametrize(("new", "old", "before", "effect"), SETTLED)
def test_a_roll_is_ineffective_when_the_memory_is_back_at_once(new, old, before, effect):
    of = rolled(finding={"usageBytes": before * MIB})
    found = compared(of, pair(life(new), life(old) if old else None, of, YOUNG_S), NOW)
    assert found is not None
    assert found.effect == effect
    assert found.judged == (NOW if effect else None)


def test_an_ineffective_roll_says_its_numbers():
    found = compared(rolled(), pair(life(lambda _: 106.9), life(leaking()), rolled(), YOUNG_S), NOW)
    assert found is not None
    assert found.message.startswith("freed 3.1 MiB of 110.0 MiB: the replacement holds 106.9 MiB at the age of 25s")
    assert found.message.endswith("the old pod held 31.5 MiB then")


GROWN = [
    pytest.param(leaking(), leaking(), Effect.LEAK_PERSISTS, "+1800.0 MiB per hour at the age of 80s, as before (+18"),
    pytest.param(leaking(0.3), leaking(), Effect.LEAK_PERSISTS, "as before"),
    pytest.param(leaking(1.2), leaking(), Effect.LEAK_PERSISTS, "faster than before"),
    pytest.param(leaking(0.2), leaking(), Effect.HELPED, "+1800.0 MiB per hour before"),
    pytest.param(leaking(0), leaking(), Effect.HELPED, "+0.0 MiB per hour at the age of 80s, +1800.0"),
    pytest.param(leaking(0), leaking(0), Effect.HELPED, "when the old pod did not leak yet, either (+0.0"),
    pytest.param(leaking(0.01), leaking(0.01), Effect.HELPED, "did not leak yet"),
    pytest.param(leaking(0.3), leaking(0), Effect.LEAK_PERSISTS, "faster than before (+0.0"),
]  # fmt: skip


@pytest.mark.parametrize(("new", "old", "effect", "words"), GROWN)
def test_growth_is_compared_at_the_same_age(new, old, effect, words):
    known = Memory(before_bytes=110 * MIB, after_bytes=30 * MIB)
    of = rolled(memory=known.on_the_wire())
    found = compared(of, pair(life(new, start_s=5000), life(old), of, OLD_S), NOW)
    assert found is not None
    assert (found.effect, found.judged, found.age_seconds) == (effect, NOW, 80)
    assert found.message.startswith("freed 80.0 MiB of 110.0 MiB; ")
    assert words in found.message


def test_a_slope_that_is_lost_in_the_noise_is_no_leak():
    """Two waves within the window look like a climb, and no bound says that it is one."""
    noisy = lambda age: 30 + 0.03 * age + 8 * np.sin(age / 9)  # noqa: E731 - a curve
    of = rolled(memory=Memory(before_bytes=110 * MIB, after_bytes=30 * MIB).on_the_wire())
    found = compared(of, pair(life(noisy, start_s=5000), life(leaking(0.03)), of, OLD_S), NOW)
    assert found is not None
    assert found.growth_after_bytes_per_hour is not None
    assert found.growth_after_bytes_per_hour > 64 * MIB, "a slope that would count"
    assert found.effect is Effect.HELPED


def test_what_comes_after_the_age_that_is_compared_does_not_count():
    """The old pod leaked from its second minute on; nor does it count that the new one's samples go on."""
    late = lambda age: 30.0 + max(0.0, age - 120)  # noqa: E731 - a curve
    of = rolled(memory=Memory(before_bytes=110 * MIB, after_bytes=30 * MIB).on_the_wire())
    found = compared(of, pair(life(late, start_s=5000), life(late), of, OLD_S), NOW)
    assert found is not None
    assert (found.growth_before_bytes_per_hour, found.growth_after_bytes_per_hour) == (0, 0)


def test_a_pass_that_comes_late_compares_both_at_once():
    found = compared(rolled(), pair(life(leaking()), life(leaking()), rolled(), OLD_S), NOW)
    assert found is not None
    assert found.effect is Effect.LEAK_PERSISTS
    assert found.after_bytes == pytest.approx(31.5 * MIB, abs=MIB), "taken after its warm-up all the same"
    assert found.growth_before_bytes_per_hour == found.growth_after_bytes_per_hour == pytest.approx(1800 * MIB, abs=2)


OTHERS = rolled(memory=Memory(before_bytes=110 * MIB, after_bytes=30 * MIB).on_the_wire())
LOST = [
    pytest.param(OTHERS, life(leaking()), None, "the old pod can't be compared", id="the old pod's samples are gone"),
    pytest.param(OTHERS, life(leaking()), life(leaking(), age_s=30), "the old pod can't be", id="most of them are"),
    pytest.param(OTHERS, None, life(leaking()), "the replacement can't be compared", id="those of the new pod"),
    pytest.param(rolled(), None, life(leaking()), "Prometheus has no samples of the replacement", id="from the start"),
    pytest.param(rolled(life_s=15), life(leaking()), None, "the old pod was rolled in its warm-up", id="no such age"),
    pytest.param(rolled(life_s=None), life(leaking()), None, "does not say when", id="an older version's record"),
]


@pytest.mark.parametrize(("of", "new", "old", "words"), LOST)
def test_in_doubt_the_effect_stays_open_and_is_not_asked_for_again(of, new, old, words):
    found = compared(of, pair(new, old, of, ages(RULE, of).grown_s or YOUNG_S), NOW)
    assert found is not None
    assert (found.effect, found.judged) == (None, NOW)
    assert words in found.message


def test_a_replacement_without_samples_is_waited_for():
    assert compared(rolled(), pair(None, None, rolled(), YOUNG_S), NOW) is None


RESTARTED = container(restarts=1, oom_killed_at=at(-5))
DOUBTS = [
    pytest.param(rolled(), pod(), container(), "", id="all is well"),
    pytest.param(rolled(), None, None, "leaky-2 was gone", id="the replacement is gone"),
    pytest.param(rolled(), pod(), RESTARTED, "was restarted, the last time for want of memory", id="killed"),
    pytest.param(rolled(), pod(), container(restarts=2), "leaky-2 was restarted", id="restarted"),
    pytest.param(rolled(strategy="Restart"), pod(), container(), "the whole workload was restarted", id="Restart"),
    pytest.param(rolled(replacement=None), None, None, "no replacement is known", id="scaled down meanwhile"),
    pytest.param(roll("Succeeded"), None, None, "does not say for which numbers", id="without a finding"),
]


@pytest.mark.parametrize(("of", "target", "running", "words"), DOUBTS)
def test_of_which_rolls_nothing_can_be_learnt(of, target, running, words):
    found = doubt(of, target, running)
    assert words in found
    assert bool(found) == bool(words)


def worth(effect: Effect | None, seconds: float, **parts):
    """Build a roll that ended and was judged at `seconds`."""
    memory = {"beforeBytes": 110 * MIB, "afterBytes": 108 * MIB, "judged": stamp(seconds)}
    release = {"hashLabel": "pod-template-hash", "templateHash": parts.pop("hash", "5d")}
    found = memory | ({"effect": effect.value} if effect else {})
    return rolled(seconds, memory=found, **({"release": release} | parts))


HOUR = 3600
NEXT = candidate(target=pod(containers=(container(image="leaky:1"),)))
STATEFUL = {"release": None}
VAIN, HELPED, PERSISTS = Effect.INEFFECTIVE, Effect.HELPED, Effect.LEAK_PERSISTS
HOLDS = [
    pytest.param([], None, id="no roll yet"),
    pytest.param([worth(HELPED, -HOUR)], None, id="one that helped"),
    pytest.param([worth(PERSISTS, -HOUR)], None, id="a leak that persists"),
    pytest.param([worth(VAIN, -HOUR)], 5 * HOUR, id="one that did not help: 6 h"),
    pytest.param([worth(VAIN, -6 * HOUR)], None, id="6 h later"),
    pytest.param([worth(VAIN, -9 * HOUR), worth(VAIN, -HOUR)], 11 * HOUR, id="two in a row: 12 h"),
    pytest.param([worth(VAIN, -9 * HOUR), worth(HELPED, -HOUR)], None, id="the last one helped"),
    pytest.param(
        [worth(VAIN, -9 * HOUR), worth(HELPED, -5 * HOUR), worth(VAIN, -HOUR)], 5 * HOUR, id="the row begins anew"
    ),
    pytest.param([worth(VAIN, -2 * HOUR), worth(None, -HOUR)], 4 * HOUR, id="nobody knows what the last one was worth"),
    pytest.param([worth(VAIN, -HOUR, hash="4c")], None, id="another revision"),
    pytest.param([worth(VAIN, -HOUR, **STATEFUL)], 5 * HOUR, id="no revision in the record, the same image"),
    pytest.param([worth(VAIN, -HOUR, **STATEFUL, finding={"image": "leaky:0"})], None, id="another image"),
    pytest.param([worth(VAIN, -HOUR, **STATEFUL, finding={"image": ""})], 5 * HOUR, id="no image in the record"),
    pytest.param([worth(VAIN, -HOUR, finding={"container": "proxy"})], None, id="another container"),
    pytest.param([worth(VAIN, -HOUR, workload=WORKLOAD_REF | {"name": "other"})], None, id="another workload"),
]


@pytest.mark.parametrize(("rolls", "left_s"), HOLDS)
def test_a_workload_is_on_hold_while_rolling_does_not_help(rolls, left_s):
    words = on_hold(NEXT, context(*rolls))
    if left_s is None:
        assert words is None
    else:
        assert words is not None
        assert words.startswith(f"on hold until {stamp(left_s)} or a new revision: ")
        assert words.endswith("did not help (freed 2.0 MiB of 110.0 MiB)")
        assert len(words) <= 256


def test_a_bare_pod_is_not_on_hold():
    assert on_hold(candidate(workload=None), context(worth(VAIN, -HOUR))) is None


def test_the_pause_doubles_up_to_a_week():
    hours = [pause(n) / timedelta(hours=1) for n in (1, 2, 3, 4, 5, 6, 1000)]
    assert hours == [6, 12, 24, 48, 96, 168, 168]


def owned(kind: str, owner: str, **labels: str):
    return pod(controller=ObjectRef("apps/v1", kind, owner, "u"), labels=labels)


PODS = [
    pytest.param(owned("ReplicaSet", "web-5d", **{"pod-template-hash": "5d"}), "Deployment/web", "5d"),
    pytest.param(owned("ReplicaSet", "web-5d", **{"rollouts-pod-template-hash": "5d"}), "Rollout/web", "5d"),
    pytest.param(owned("ReplicaSet", "web"), "ReplicaSet/web", ""),
    pytest.param(owned("StatefulSet", "db", **{"controller-revision-hash": "db-7f"}), "StatefulSet/db", "db-7f"),
    pytest.param(owned("DaemonSet", "agent", **{"controller-revision-hash": "7f"}), "DaemonSet/agent", "7f"),
    pytest.param(pod("bare", controller=None, labels={}), "Pod/bare", ""),
]


@pytest.mark.parametrize(("target", "workload", "revision"), PODS)
def test_a_pod_tells_its_workload_and_revision(target, workload, revision):
    assert (workload_of(target), revision_of(target)) == (workload, revision)


def test_a_released_pod_still_tells_its_revision():
    labels, marks = {"pod-template-hash": "memroll-released"}, {"memroll.dev/released-from": "5d"}
    assert revision_of(pod(labels=labels, annotations=marks)) == "5d"


def of_kind(kind: str, controller: str, name: str, **more):
    ref = {"apiVersion": "apps/v1", "kind": kind, "name": "web"}
    return rolled(workload=ref, controller=ref | {"kind": controller, "name": name, "uid": "u"}, **more)


ROLLS = [
    pytest.param(of_kind("Deployment", "ReplicaSet", "web-5d"), "5d", id="evicted from a Deployment"),
    pytest.param(of_kind("Rollout", "ReplicaSet", "web-5d"), "5d", id="evicted from a Rollout"),
    pytest.param(of_kind("ReplicaSet", "ReplicaSet", "web-5d"), "", id="a bare ReplicaSet has none"),
    pytest.param(of_kind("StatefulSet", "StatefulSet", "web"), None, id="a StatefulSet's stands on the pod"),
    pytest.param(worth(VAIN, 0, hash="6e"), "6e", id="surged"),
    pytest.param(roll("Succeeded"), None, id="nothing is known"),
]


@pytest.mark.parametrize(("of", "revision"), ROLLS)
def test_a_roll_tells_the_revision_of_its_pod_where_it_can(of, revision):
    assert revision_of_roll(of) == revision
