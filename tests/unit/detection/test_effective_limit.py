"""The limit that counts: of the container, of the policy, of the node; and how messages name it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from memroll.api.memory_limit import MemoryLimit
from memroll.detection.assess import Assessor
from memroll.detection.assessment import Assessment, describe_growth
from memroll.detection.effective_limit import NODE, POLICY, effective_limit, with_effective_limits
from memroll.detection.extremes import Extremes
from memroll.detection.pod_limit import shares_limit
from memroll.detection.reasons import VerdictReason
from memroll.detection.samples import PrefilterResult, PrefilterRow, QueryResult, SeriesRow
from memroll.detection.series import Series
from memroll.detection.verdict import Verdict
from memroll.model.pods import LoweredLimit
from memroll.model.roll_duration import RollDurations
from tests.builders import MIB, NOW, at, container, healthy_verdict, leak_verdict, pod, policy

GIB = 1024 * MIB
HOUR = 3600.0


@pytest.mark.parametrize(
    ("text", "own", "node", "expected", "source"),
    [
        pytest.param(None, GIB, None, GIB, None, id="its own"),
        pytest.param(None, None, None, None, None, id="none"),
        pytest.param(None, None, GIB, None, None, id="none, whatever the node has"),
        pytest.param(None, GIB, 2 * GIB, GIB, None, id="a larger node"),
        pytest.param(None, 2 * GIB, GIB, GIB, NODE, id="a smaller node"),
        pytest.param("50%", GIB, None, GIB // 2, POLICY, id="a share of its own"),
        pytest.param("50%", GIB, 4 * GIB, GIB // 2, POLICY, id="a share of its own, not of the node"),
        pytest.param("100%", GIB, None, GIB, None, id="all of its own"),
        pytest.param("50%", None, GIB, GIB // 2, POLICY, id="a share of the node"),
        pytest.param("100%", None, GIB, GIB, NODE, id="all of the node"),
        pytest.param("50%", None, None, None, None, id="a share of nothing known"),
        pytest.param("520Mi", GIB, None, 520 * MIB, POLICY, id="a quantity below its own"),
        pytest.param("2Gi", GIB, None, GIB, None, id="a quantity above its own"),
        pytest.param("520Mi", None, None, 520 * MIB, POLICY, id="a quantity instead of none"),
        pytest.param("2Gi", None, GIB, GIB, NODE, id="a quantity above the node"),
        pytest.param("50%", 8 * GIB, GIB, GIB, NODE, id="a share that is above the node"),
        pytest.param("50%", 8 * GIB, 5 * GIB, 4 * GIB, POLICY, id="a share that is below the node"),
    ],
)
def test_the_lowest_limit_counts(text, own, node, expected, source):
    found, lowered = effective_limit(None if text is None else MemoryLimit.parse(text), own, node)
    assert found == expected
    assert (None if lowered is None else lowered.source) == source
    assert lowered is None or lowered.own_bytes == own


def limits(target, node_bytes=None, **spec):
    known = {} if node_bytes is None else {"n1": node_bytes}
    (found,) = with_effective_limits([replace(target, node="n1")], policy(**spec).spec, known)
    return found, [c.limit_bytes for c in found.containers]


def two(first, second, shared=None):
    both = (container(limit_bytes=first), container(name="proxy", limit_bytes=second))
    return pod(containers=both, limit_bytes=shared)


def test_it_applies_to_each_watched_container():
    assert limits(two(GIB, 2 * GIB), exhaustion={"limit": "50%"})[1] == [GIB // 2, GIB]
    assert limits(two(GIB, 2 * GIB), exhaustion={"limit": "50%"}, containers=["app"])[1] == [GIB // 2, 2 * GIB]


def test_a_share_of_a_limit_of_the_pod_is_compared_with_the_usage_of_the_pod():
    found, each = limits(two(GIB, GIB, shared=GIB), exhaustion={"limit": "50%"}, containers=["app"])
    assert (each, found.limit_bytes) == ([GIB // 2, GIB // 2], GIB // 2)
    assert all(shares_limit(found, c) for c in found.containers)


def test_a_quantity_is_a_limit_of_the_container_alone():
    found, each = limits(two(GIB, GIB, shared=GIB), exhaustion={"limit": "520Mi"}, containers=["app"])
    assert (each, found.limit_bytes) == ([520 * MIB, GIB], GIB)
    assert [shares_limit(found, c) for c in found.containers] == [False, True]


def test_a_small_node_lowers_the_limit_of_the_pod_as_well():
    found, each = limits(two(2 * GIB, 2 * GIB, shared=2 * GIB), node_bytes=GIB)
    assert (each, found.limit_bytes) == ([GIB, GIB], GIB)
    assert all(shares_limit(found, c) for c in found.containers)
    assert limits(two(2 * GIB, None))[1] == [2 * GIB, None], "its node is not known"


BY_POLICY = container(limit_bytes=520 * MIB, lowered=LoweredLimit(POLICY, GIB))


def test_messages_name_a_limit_that_is_not_the_container_s():
    text = describe_growth(Assessment(pod(), BY_POLICY, leak_verdict(420.0, lead_s=30.0, due=False)))
    assert text.startswith(
        "110.0 MiB of 520.0 MiB (21% of exhaustion.limit; the container has 1024.0 MiB), limit in 7m"
    )
    status = Assessment(pod(), BY_POLICY, leak_verdict()).message
    assert status == "grows like a leak (limit 520.0 MiB: exhaustion.limit; the container has 1024.0 MiB)"
    unlimited = replace(BY_POLICY, lowered=LoweredLimit(NODE, None))
    shown = Assessment(pod(), unlimited, leak_verdict()).message
    assert shown.endswith("(limit 520.0 MiB: allocatable memory of the node; the container has no limit)")
    assert Assessment(pod(), container(), healthy_verdict()).message == ""


class Store:
    """One container whose memory has grown from 100 MiB by 30 MiB per hour until now, for 13.5 hours."""

    def __init__(self):
        times = NOW.timestamp() + np.arange(-13.5 * HOUR, 1.0, 60.0)
        noise = np.random.default_rng(1).normal(0, 0.5, times.size)
        values = (100 + 30 * (times - times[0]) / HOUR + noise) * MIB
        self.samples = Series(times, values)

    async def prefilter(self, connection, namespace, pods, windows_s, at_s, slow):
        slopes = tuple(30 * MIB / HOUR for _ in windows_s)
        used = float(self.samples.values[-1])
        row = PrefilterRow("leaky-abc", "app", "c0ffee", slopes, 500, used, used, self.samples.last_s)
        return PrefilterResult((row,), tuple(windows_s), at_s)

    async def read_extremes(self, connection, request):
        return Extremes((), request.step_s)

    async def read(self, connection, request):
        return QueryResult((SeriesRow("leaky-abc", "app", "c0ffee", self.samples, self.samples),), request.at_s)


async def verdict(own, **spec):
    watching = policy(interval="5m", **spec)
    target = pod(containers=(container(limit_bytes=own, started_at=at(-13.5 * HOUR)),))
    pods = with_effective_limits([target], watching.spec)
    durations = RollDurations.measure(watching.name, watching.spec.roll.drain, ())
    (found,) = await Assessor(watching, pods, durations, NOW).assess(Store())
    return found.verdict


async def test_a_runtime_that_dies_below_its_limit_is_rolled_before():
    """The samples end at 505 MiB; the runtime dies at 520 MiB, half an hour later."""
    assert not (await verdict(GIB)).due
    found = await verdict(GIB, exhaustion={"limit": "520Mi"})
    assert (found.is_at_risk, found.due) == (True, True)
    assert found.time_to_limit_s == pytest.approx(1800, rel=0.2)
    assert (await verdict(GIB, exhaustion={"limit": "50.8%"})).due


async def test_a_pod_without_a_limit_gets_a_deadline():
    without = await verdict(None)
    assert (without.verdict, without.reason) == (Verdict.INCONCLUSIVE, VerdictReason.NO_MEMORY_LIMIT)
    assert (await verdict(None, exhaustion={"limit": "520Mi"})).due


async def test_the_usage_threshold_is_one_of_the_limit_that_counts():
    above = {"usageThreshold": "90%", "growth": {"for": "30m"}}
    flat = {"growth": {"perHour": "1Gi", "for": "30m"}, "usageThreshold": "90%"}
    assert (await verdict(GIB, **flat)).reason is not VerdictReason.ABOVE_THRESHOLD
    found = await verdict(GIB, exhaustion={"limit": "520Mi"}, **above)
    assert found.reason is VerdictReason.ABOVE_THRESHOLD


def test_growth_in_percent_is_that_of_the_limit_that_counts():
    watching = policy(exhaustion={"limit": "50%"}, growth={"perHour": "1%"})
    pods = with_effective_limits([pod(containers=(container(limit_bytes=GIB),))], watching.spec)
    durations = RollDurations.measure(watching.name, watching.spec.roll.drain, ())
    (watched,) = Assessor(watching, pods, durations, NOW).containers
    assert watched.parameters.threshold_bytes_per_s == pytest.approx(0.01 * GIB / 2 / HOUR)
