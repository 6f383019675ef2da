"""Settings of a valid policy that can't have their effect."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memroll.detection.assessment import Assessment
from memroll.detection.effective_limit import with_effective_limits
from memroll.model.permissions import ALL_PERMISSIONS
from memroll.planning.misconfiguration import find_exceeded_limit, find_misconfigurations
from tests.builders import MIB, NOW, container, healthy_verdict, pod, policy, suspected_verdict

POD = pod(containers=(container(), container(name="proxy")))
ALWAYS_DENIED = {"maintenanceWindows": {"allow": [{"start": "01:00", "end": "05:00"}], "deny": [{}]}}
CLOSED_NOW = {"maintenanceWindows": {"allow": [{"start": "01:00", "end": "01:01"}]}}
NO_ACTS, NO_RESTART = replace(ALL_PERMISSIONS, acting=False), replace(ALL_PERMISSIONS, restart=False)
NO_SURGE = replace(ALL_PERMISSIONS, surge=False)
MANY = [f"c{i}" for i in range(8)]


def found(spec, pods=(POD,), permissions=ALL_PERMISSIONS) -> dict[str, str]:
    return {m.reason.value: m.message for m in find_misconfigurations(policy(**spec).spec, pods, permissions, NOW)}


@pytest.mark.parametrize(
    ("spec", "more", "expected"),
    [
        pytest.param({}, {}, {}, id="the defaults"),
        pytest.param({"containers": ["app", "proxy"]}, {}, {}, id="containers that exist"),
        pytest.param(
            {"containers": ["ap"]}, {},
            {"ContainerNotFound": "containers: none of the watched pods has ap; they have app, proxy"}, id="a typo",
        ),
        pytest.param(
            {"containers": MANY}, {},
            {"ContainerNotFound": "containers: none of the watched pods has c0, c1, c2, c3, c4 and 3 more; "
                                  "they have app, proxy"}, id="many",
        ),
        pytest.param({"containers": ["ap"]}, {"pods": ()}, {}, id="no pods yet"),
        pytest.param(
            {"containers": ["ap"], "mode": "Observe"}, {},
            {"ContainerNotFound": "containers: none of the watched pods has ap; they have app, proxy"},
            id="a typo of a policy that only observes",
        ),
        pytest.param(
            {}, {"permissions": NO_ACTS},
            {"RollsNotPermitted": "mode: memroll was installed without the permission to roll pods: "
                                  "set enforcement.enabled in the chart"}, id="no permission to act",
        ),
        pytest.param({"mode": "Observe"}, {"permissions": NO_ACTS}, {}, id="none is needed to observe"),
        pytest.param(
            {"roll": {"strategy": "Restart"}}, {"permissions": NO_RESTART},
            {"StrategyNotPermitted": "roll.strategy: memroll was installed without the permission for Restart: "
                                     "set restart.enabled in the chart"}, id="no permission to restart",
        ),
        pytest.param({"roll": {"strategy": "Restart"}}, {}, {}, id="a restart that is permitted"),
        pytest.param(
            {"roll": {"strategy": "Surge"}}, {"permissions": NO_SURGE},
            {"StrategyNotPermitted": "roll.strategy: memroll was installed without the permission for Surge: "
                                     "set surge.enabled in the chart"}, id="no permission to surge",
        ),
        pytest.param({}, {"permissions": NO_SURGE}, {}, id="Auto needs neither"),
        pytest.param(
            {"roll": {"budgets": [{"rolls": 5, "per": "1h"}, {"rolls": 0, "per": "24h"}]}}, {},
            {"BudgetIsZero": "roll.budgets[1]: 0 rolls permit none; to only report leaks, use mode: Observe"},
            id="a budget of zero",
        ),
        pytest.param({"mode": "Observe", "roll": {"budgets": [{"rolls": 0, "per": "24h"}]}}, {}, {}, id="and Observe"),
        pytest.param(
            {"roll": ALWAYS_DENIED}, {},
            {"WindowsNeverOpen": "roll.maintenanceWindows: the windows never open: deny covers all of allow"},
            id="windows that never open",
        ),
        pytest.param({"roll": CLOSED_NOW}, {}, {}, id="windows that open later"),
        pytest.param(
            {"roll": {"strategy": "Evict", "drain": {"mode": "Detach"}}}, {},
            {"DrainWithoutSurge": "roll.drain.mode: Detach has no effect with roll.strategy: Evict; use Surge or Auto"},
            id="a drain without a surge",
        ),
        pytest.param({"roll": {"drain": {"mode": "Detach"}}}, {}, {}, id="a drain with Auto"),
    ],
)  # fmt: skip
def test_a_setting_without_effect_is_named_with_its_remedy(spec, more, expected):
    assert found(spec, **more) == expected


def test_all_settings_without_effect_are_named():
    spec = {"containers": ["ap"], "roll": {"strategy": "Restart", "budgets": [{"rolls": 0, "per": "24h"}]}}
    assert list(found(spec, permissions=NO_RESTART)) == ["ContainerNotFound", "StrategyNotPermitted", "BudgetIsZero"]


GIB = 1024 * MIB


def limited(text, *limits, usages=(), healthy=True, node=None):
    """Return the misconfigurations of a policy with this limit, of one pod for each container limit."""
    spec = policy(exhaustion={"limit": text}).spec
    pods = [pod(f"p{i}", node="n1", containers=(container(limit_bytes=b),)) for i, b in enumerate(limits)]
    pods = with_effective_limits(pods, spec, {} if node is None else {"n1": node})
    make = healthy_verdict if healthy else suspected_verdict
    verdicts = [replace(make(), usage_bytes=None if u is None else float(u)) for u in usages]
    assessments = [Assessment(p, p.containers[0], v) for p, v in zip(pods, verdicts, strict=False)]
    all_found = (*find_misconfigurations(spec, pods, ALL_PERMISSIONS, NOW), *find_exceeded_limit(spec, assessments))
    return {m.reason.value: m.message for m in all_found}


@pytest.mark.parametrize(
    ("text", "limits", "expected"),
    [
        pytest.param("520Mi", (GIB,), "", id="below the limit"),
        pytest.param("520Mi", (256 * MIB, GIB), "", id="below that of one container"),
        pytest.param("520Mi", (None,), "", id="instead of none"),
        pytest.param("520Mi", (), "", id="no pods yet"),
        pytest.param(
            "2Gi", (GIB, 512 * MIB),
            "exhaustion.limit: 2Gi is not below the limit of any watched container: the highest is 1024.0 MiB",
            id="above",
        ),
        pytest.param(
            "100%", (GIB,),
            "exhaustion.limit: 100% is not below the limit of any watched container: the highest is 1024.0 MiB",
            id="all",
        ),
        pytest.param(
            "50%", (None, None),
            "exhaustion.limit: 50% of no limit: no watched container has one, and what their nodes have is not known; "
            "write a quantity, or set nodeAllocatable.enabled in the chart", id="a share of nothing",
        ),
    ],
)  # fmt: skip
def test_a_limit_that_never_counts_is_reported(text, limits, expected):
    assert limited(text, *limits) == ({"LimitWithoutEffect": expected} if expected else {})


def test_a_share_of_a_node_that_is_known_has_an_effect():
    assert limited("50%", None, node=GIB) == limited("100%", None, node=GIB) == {}
    assert "LimitWithoutEffect" in limited("2Gi", 4 * GIB, node=GIB), "the node is the limit"


def test_a_limit_that_all_containers_live_above_is_reported():
    message = "exhaustion.limit: all watched containers use more than 520Mi, at least 600.0 MiB, and do not grow"
    assert limited("520Mi", GIB, GIB, usages=(600 * MIB, 700 * MIB)) == {"LimitBelowUsage": message}


@pytest.mark.parametrize(
    ("usages", "healthy"), [((600 * MIB, 500 * MIB), True), ((600 * MIB,), False), ((None,), True), ((), True)]
)
def test_a_limit_that_one_container_is_below_or_grows_above_is_not(usages, healthy):
    assert limited("520Mi", *[GIB] * len(usages), usages=usages, healthy=healthy) == {}
