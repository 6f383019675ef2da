"""Effect of a roll, as tables of values."""

from __future__ import annotations

import numpy as np
import pytest

from memroll.api.pod_roll import EffectResult, RollEffect
from memroll.detection.series import Series
from memroll.rolling.effect import Comparison, compare, comparison_ages, due_age_s, why_unmeasurable
from tests.builders import MIB, NOW, at, container, history, parameters, pod, roll, succeeded_roll

RULE = parameters()  # window 60 s, warm-up 20 s, a leak is above 64 MiB/h = 0.018 MiB/s
YOUNG_S = 25.0  # warm-up and a twelfth of the window
OLD_S = 80.0
FREED = RollEffect(before_bytes=110 * MIB, after_bytes=30 * MIB).to_dict()


def container_history(mib, *, start_s: float = 0.0, age_s: float = 200.0):
    """Build samples of a container whose usage in MiB is a function of its age."""
    times = np.arange(0.0, age_s + 1, 2.0)
    samples = Series(start_s + times, np.array([mib(t) for t in times]) * MIB)
    return history(samples, started_at_s=start_s)


def comparison(new, old, of, age_s: float):
    return Comparison(new, old, RULE, comparison_ages(RULE, of), age_s)


def leaking(rate: float = 0.5, base: float = 20.0):
    return lambda age: base + rate * age


AGES = [
    pytest.param(1000, YOUNG_S, 80, id="an old pod: warm-up and window"),
    pytest.param(70, YOUNG_S, 60, id="a short life: four fifths of the time after its warm-up"),
    pytest.param(24, 23.2, 23.2, id="a very short one: both at once"),
    pytest.param(20, YOUNG_S, None, id="rolled in its warm-up: no growth"),
    pytest.param(None, YOUNG_S, None, id="a roll that does not record when the old container started"),
]


@pytest.mark.parametrize(("lifetime_s", "usage_age_s", "growth_age_s"), AGES)
def test_a_replacement_is_compared_at_ages_that_the_old_pod_reached(lifetime_s, usage_age_s, growth_age_s):
    found = comparison_ages(RULE, succeeded_roll(lifetime_s=lifetime_s))
    assert found.usage_age_s == pytest.approx(usage_age_s)
    assert found.growth_age_s == (growth_age_s and pytest.approx(growth_age_s))
    assert bool(found.no_growth_because) == (growth_age_s is None)


def test_each_age_is_due_once():
    at_ages = comparison_ages(RULE, succeeded_roll())
    due = [due_age_s(at_ages, None, age) for age in (0, 24.9, 25, 79.9, 80, 1000)]
    assert due == [None, None, YOUNG_S, YOUNG_S, OLD_S, OLD_S]
    assert due_age_s(at_ages, RollEffect(after_bytes=1), 79.9) is None, "the usage is compared, the growth not yet"
    assert due_age_s(at_ages, RollEffect(after_bytes=1), 80) == OLD_S


def test_a_roll_that_freed_memory_waits_for_the_comparison_of_its_growth():
    found = compare(
        succeeded_roll(),
        comparison(container_history(leaking()), container_history(leaking()), succeeded_roll(), YOUNG_S),
        NOW,
    )
    assert found is not None
    assert (found.result, found.compared_at) == (None, None)
    assert (found.before_bytes, found.age_seconds) == (110 * MIB, 25)
    assert found.after_bytes == pytest.approx(31.5 * MIB, abs=MIB)
    assert found.message == "freed 78.5 MiB of 110.0 MiB; growth is compared at the age of 80s"


USAGES = [
    pytest.param(lambda _: 107.0, leaking(), 110, EffectResult.INEFFECTIVE, id="back at once"),
    pytest.param(lambda _: 115.0, leaking(), 110, EffectResult.INEFFECTIVE, id="more than before"),
    pytest.param(lambda _: 107.0, lambda _: 108.0, 110, None, id="freed a little more than the minimum"),
    pytest.param(lambda _: 108.0, lambda _: 108.0, 110, EffectResult.INEFFECTIVE, id="the old pod always used as much"),
    pytest.param(lambda _: 100.0, lambda _: 99.0, 108, None, id="a large service: it grew by 9, and 8 are freed"),
    pytest.param(lambda _: 98.0, leaking(), 110, EffectResult.INEFFECTIVE, id="15 % of the growth"),
    pytest.param(lambda _: 90.0, leaking(), 110, None, id="a quarter of the growth"),
    pytest.param(
        lambda _: 106.0, None, 110, EffectResult.INEFFECTIVE, id="no samples of the old pod: under 5 % of its usage"
    ),
    pytest.param(lambda _: 103.0, None, 110, None, id="no samples of the old pod: over 5 %"),
]


@pytest.mark.parametrize(("new", "old", "before", "result"), USAGES)
def test_a_roll_is_ineffective_when_the_memory_is_back_at_once(new, old, before, result):
    of = succeeded_roll(trigger={"usageBytes": before * MIB})
    found = compare(of, comparison(container_history(new), container_history(old) if old else None, of, YOUNG_S), NOW)
    assert found is not None
    assert found.result == result
    assert found.compared_at == (NOW if result else None)


def test_the_message_of_an_ineffective_roll_contains_its_numbers():
    found = compare(
        succeeded_roll(),
        comparison(container_history(lambda _: 106.9), container_history(leaking()), succeeded_roll(), YOUNG_S),
        NOW,
    )
    assert found is not None
    assert found.message.startswith("freed 3.1 MiB of 110.0 MiB: the replacement holds 106.9 MiB at the age of 25s")
    assert found.message.endswith("the old pod held 31.5 MiB then")


RATE = "MiB per hour at the age of 80s"
GROWTHS = [
    pytest.param(leaking(), leaking(), EffectResult.LEAK_PERSISTS, f"+1800.0 {RATE}, as before (+18"),
    pytest.param(leaking(0.3), leaking(), EffectResult.LEAK_PERSISTS, "as before"),
    pytest.param(leaking(1.2), leaking(), EffectResult.LEAK_PERSISTS, "faster than before"),
    pytest.param(leaking(0.2), leaking(), EffectResult.EFFECTIVE, "+1800.0 MiB per hour before"),
    pytest.param(leaking(0), leaking(), EffectResult.EFFECTIVE, f"+0.0 {RATE}, +1800.0"),
    pytest.param(leaking(0), leaking(0), EffectResult.EFFECTIVE, "when the old pod did not leak yet either (+0.0"),
    pytest.param(leaking(0.01), leaking(0.01), EffectResult.EFFECTIVE, "did not leak yet"),
    pytest.param(leaking(0.3), leaking(0), EffectResult.LEAK_PERSISTS, "faster than before (+0.0"),
]  # fmt: skip


@pytest.mark.parametrize(("new", "old", "result", "words"), GROWTHS)
def test_growth_is_compared_at_the_same_age(new, old, result, words):
    of = succeeded_roll(effect=FREED)
    found = compare(of, comparison(container_history(new, start_s=5000), container_history(old), of, OLD_S), NOW)
    assert found is not None
    assert (found.result, found.compared_at, found.age_seconds) == (result, NOW, 80)
    assert found.message.startswith("freed 80.0 MiB of 110.0 MiB; ")
    assert words in found.message


def test_a_slope_within_the_noise_is_not_a_leak():
    """Two waves within the window have a positive slope, but its confidence bound is below the threshold."""
    noisy = lambda age: 30 + 0.03 * age + 8 * np.sin(age / 9)  # noqa: E731 - a curve
    of = succeeded_roll(effect=FREED)
    found = compare(
        of, comparison(container_history(noisy, start_s=5000), container_history(leaking(0.03)), of, OLD_S), NOW
    )
    assert found is not None
    assert found.growth_after_bytes_per_hour is not None
    assert found.growth_after_bytes_per_hour > 64 * MIB, "above the threshold"
    assert found.result is EffectResult.EFFECTIVE


def test_samples_after_the_compared_age_do_not_count():
    """Both leak only from their second minute on."""
    late = lambda age: 30.0 + max(0.0, age - 120)  # noqa: E731 - a curve
    of = succeeded_roll(effect=FREED)
    found = compare(of, comparison(container_history(late, start_s=5000), container_history(late), of, OLD_S), NOW)
    assert found is not None
    assert (found.growth_before_bytes_per_hour, found.growth_after_bytes_per_hour) == (0, 0)


def test_a_late_reconcile_compares_usage_and_growth_at_once():
    found = compare(
        succeeded_roll(),
        comparison(container_history(leaking()), container_history(leaking()), succeeded_roll(), OLD_S),
        NOW,
    )
    assert found is not None
    assert found.result is EffectResult.LEAK_PERSISTS
    assert found.after_bytes == pytest.approx(31.5 * MIB, abs=MIB), "measured after its warm-up all the same"
    assert found.growth_before_bytes_per_hour == found.growth_after_bytes_per_hour == pytest.approx(1800 * MIB, abs=2)


FREED_ROLL = succeeded_roll(effect=FREED)
UNKNOWN = [
    pytest.param(
        FREED_ROLL,
        container_history(leaking()),
        None,
        "the old pod can't be compared",
        id="the old pod's samples are gone",
    ),
    pytest.param(
        FREED_ROLL,
        container_history(leaking()),
        container_history(leaking(), age_s=30),
        "the old pod can't be",
        id="most of them are",
    ),
    pytest.param(
        FREED_ROLL, None, container_history(leaking()), "the replacement can't be compared", id="those of the new pod"
    ),
    pytest.param(
        succeeded_roll(),
        None,
        container_history(leaking()),
        "Prometheus has no samples of the replacement",
        id="from the start",
    ),
    pytest.param(
        succeeded_roll(lifetime_s=15),
        container_history(leaking()),
        None,
        "the old pod was rolled during its warm-up",
        id="no such age",
    ),
    pytest.param(
        succeeded_roll(lifetime_s=None),
        container_history(leaking()),
        None,
        "does not record when",
        id="an older version's record",
    ),
]


@pytest.mark.parametrize(("of", "new", "old", "words"), UNKNOWN)
def test_an_effect_that_stays_unknown_is_not_compared_again(of, new, old, words):
    found = compare(of, comparison(new, old, of, comparison_ages(RULE, of).growth_age_s or YOUNG_S), NOW)
    assert found is not None
    assert (found.result, found.compared_at) == (None, NOW)
    assert words in found.message


def test_a_replacement_without_samples_is_compared_later():
    assert compare(succeeded_roll(), comparison(None, None, succeeded_roll(), YOUNG_S), NOW) is None


RESTARTED = container(restarts=1, oom_killed_at=at(-5))
UNMEASURABLE = [
    pytest.param(succeeded_roll(), pod(), container(), "", id="all is well"),
    pytest.param(succeeded_roll(), None, None, "leaky-2 was gone", id="the replacement is gone"),
    pytest.param(succeeded_roll(), pod(), RESTARTED, "was restarted, the last time OOM-killed", id="OOM-killed"),
    pytest.param(succeeded_roll(), pod(), container(restarts=2), "leaky-2 was restarted", id="restarted"),
    pytest.param(
        succeeded_roll(strategy="Restart"), pod(), container(), "the whole workload was restarted", id="Restart"
    ),
    pytest.param(succeeded_roll(replacement=None), None, None, "no replacement is known", id="scaled down meanwhile"),
    pytest.param(roll("Succeeded"), None, None, "does not record the numbers", id="without a trigger"),
]


@pytest.mark.parametrize(("of", "replacement", "running", "words"), UNMEASURABLE)
def test_some_effects_can_t_be_measured(of, replacement, running, words):
    found = why_unmeasurable(of, replacement, running)
    assert words in found
    assert bool(found) == bool(words)
